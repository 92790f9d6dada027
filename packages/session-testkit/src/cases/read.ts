import assert from "node:assert/strict";
import type { ReadRange } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { holds, refused } from "../harness/expect.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";
import { readLines } from "../harness/verify-log.ts";
import { sameLines } from "../harness/same-lines.ts";

const UNCHANGED = "Backends store lines as opaque bytes and return them unchanged.";
const PAGES = "Pages of whole lines, each line ended by a newline, at most 64 KiB a page unless one line is longer.";
const RANGE = "`to` is inclusive, `limit` counts lines, `reverse` yields them in falling order.";

/** JSON that says the same when parsed and printed again, but in other bytes. */
const UNUSUAL = [
  '{"text":"\u2028 \u2029 \u0085 \uFEFF \u{1F468}\u200D\u{1F469}\u200D\u{1F467} e\u0301 \u{10FFFF}"}',
  '{"escaped":"\\u0041\\u00e9\\/\\u007f","lone":"\\ud800","nul":"\\u0000"}',
  '{"numbers":[1.0,1e2,-0,0.10,9007199254740993,1E+5]}',
  '{"spaces" :  [ 1 ,2 ],\t"twice":1,"twice":2,"10":"ten","9":"nine"}',
  '{"hash":"x","data":{"data":1},"seq":99,"__proto__":{"a":1}}',
  '"a text"',
  "null",
  "0",
  "[]",
  '""',
];

export const readCases: readonly Case[] = [
  {
    id: "read/bytes-unchanged",
    sentence: UNCHANGED,
    async run({ backend, open }) {
      const log = createLog();
      log.group(UNUSUAL.map((rawData) => [{ type: "message", rawData }]));
      await backend.create({
        ref: log.ref,
        info: log.info,
        async *lines() {
          yield* log.lines;
        },
      });
      for (const rawData of UNUSUAL) await append(backend, log, { type: "message", rawData });
      await append(backend, log, ...UNUSUAL.map((rawData) => ({ type: "message", rawData })));
      await holds(backend, log);
      await holds(await open(), log);
    },
  },
  {
    id: "read/long-line",
    sentence: "A message over 64 KiB round-trips: any size up to the stated limit does, and is one page.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const size = Math.min(1024 * 1024, backend.capabilities.maxLineBytes - 1024);
      await append(backend, log, message("before"));
      await append(backend, log, message("é".repeat(size / 2)));
      await append(backend, log, message("after"), message("x".repeat(65_536)), message("last"));
      await holds(backend, log);
      await holds(await open(), log);
    },
  },
  {
    id: "read/pages",
    sentence: PAGES,
    async run({ backend }) {
      const log = await startSession(backend);
      for (let i = 0; i < 40; i++) await append(backend, log, message("x".repeat(i * 331)), message("y".repeat(i * 7)));
      // Lines that fill a page to the byte, and one byte more.
      for (const size of [32 * 1024, 32 * 1024, 32 * 1024 + 1, 32 * 1024, 64 * 1024, 64 * 1024 - 1]) {
        const frame = log.branch().add(message(""))[0] as Buffer;
        await append(backend, log, message("z".repeat(size - frame.length - 1)));
        assert.equal((log.lines.at(-1) as Buffer).length + 1, size);
      }
      await holds(backend, log);
      for (const from of [0, 1, 17, 80, 83, 86]) {
        sameLines(await readLines(backend, log.ref, { from }), log.lines.slice(from));
        sameLines(await readLines(backend, log.ref, { from, reverse: true }), log.lines.slice(from).reverse());
      }
    },
  },
  {
    id: "read/range",
    sentence: RANGE,
    async run({ backend, open }) {
      const log = await startSession(backend);
      for (let i = 1; i <= 12; i++) await append(backend, log, message(`number ${i}`));
      const other = await open();
      const cases: readonly (readonly [ReadRange, readonly number[]])[] = [
        [{ from: 3, to: 5 }, [3, 4, 5]],
        [{ from: 5, to: 5 }, [5]],
        [{ to: 2 }, [0, 1, 2]],
        [{ to: 0 }, [0]],
        [{ from: 11 }, [11, 12]],
        [{ from: 12, to: 400 }, [12]],
        [{ limit: 3 }, [0, 1, 2]],
        [{ from: 4, limit: 2 }, [4, 5]],
        [{ from: 4, to: 9, limit: 100 }, [4, 5, 6, 7, 8, 9]],
        [{ reverse: true, limit: 3 }, [12, 11, 10]],
        [{ reverse: true, to: 6, limit: 2 }, [6, 5]],
        [{ reverse: true, from: 3, to: 5 }, [5, 4, 3]],
        [{ reverse: true, from: 11 }, [12, 11]],
        [{ reverse: true, to: 0 }, [0]],
        [{ reverse: true, from: 2, to: 9, limit: 4 }, [9, 8, 7, 6]],
      ];
      for (const node of [backend, other]) {
        for (const [range, expected] of cases) {
          const lines = await readLines(node, log.ref, range);
          assert.deepEqual(
            lines,
            expected.map((seq) => log.lines[seq]),
            `read ${JSON.stringify(range)}`,
          );
        }
      }
    },
  },
  {
    id: "read/nothing-there",
    sentence: RANGE,
    async run({ backend }) {
      const log = await startSession(backend, { history: [message("one")] });
      for (const range of [
        { from: 2 },
        { from: 400, to: 500 },
        { from: 2, reverse: true },
        { from: 1, to: 0 },
        { from: 1, to: 0, reverse: true },
        { limit: 0 },
      ]) {
        sameLines(await readLines(backend, log.ref, range), [], `read ${JSON.stringify(range)}`);
      }
      await append(backend, log, message("two"));
      sameLines(await readLines(backend, log.ref, { from: 2 }), log.lines.slice(2));
    },
  },
  {
    id: "read/left-early",
    sentence: "A reader that leaves the loop early holds nothing.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      for (let i = 0; i < 6; i++) await append(backend, log, message("x".repeat(50_000)));
      const other = await open();
      for (let i = 0; i < 20; i++) {
        for await (const page of other.read(log.ref, { reverse: i % 2 === 0 })) {
          assert.ok(page.length > 0);
          break;
        }
      }
      await append(backend, log, message("afterwards"));
      await holds(other, log);
    },
  },
  {
    id: "read/aborted",
    sentence: "Every long call takes an `AbortSignal`.",
    async run({ backend }) {
      const log = await startSession(backend);
      for (let i = 0; i < 6; i++) await append(backend, log, message("x".repeat(50_000)));
      await refused("CANCELLED", () => readLines(backend, log.ref, { signal: AbortSignal.abort() }));
      const controller = new AbortController();
      let pages = 0;
      await refused("CANCELLED", async () => {
        for await (const _ of backend.read(log.ref, { signal: controller.signal })) {
          pages += 1;
          controller.abort();
        }
      });
      assert.equal(pages, 1);
      await holds(backend, log);
    },
  },
  {
    id: "read/while-written",
    sentence: "Pages of whole lines: a reader sees a prefix of the log, whatever is appended meanwhile.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      for (let i = 0; i < 5; i++) await append(backend, log, message("x".repeat(60_000)));
      const other = await open();
      const seen: Buffer[] = [];
      for await (const page of other.read(log.ref)) {
        seen.push(Buffer.from(page));
        await append(backend, log, message("meanwhile"));
        if (seen.length > 50) break;
      }
      const all = Buffer.concat(log.lines.flatMap((line) => [line, Buffer.from("\n")]));
      const read = Buffer.concat(seen);
      assert.ok(read.equals(all.subarray(0, read.length)), "the pages are no prefix of the log");
      assert.ok(read.length >= Buffer.concat(log.lines.slice(0, 6)).length, "lines that were there when the read began are missing");
      await holds(other, log);
    },
  },
  {
    id: "read/incarnation",
    sentence: "`read` throws `INCARNATION_CHANGED`: the incarnation is named by every read and write.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const stranger = { id: log.ref.id, incarnation: "another-life" };
      for (const node of [backend, await open()]) {
        await refused("INCARNATION_CHANGED", () => readLines(node, stranger));
        await refused("INCARNATION_CHANGED", () => node.find(stranger, { op: "u:1" }));
        await refused("INCARNATION_CHANGED", () => node.renew(stranger, { fence: 1, token: "t" }, 1000));
        await refused("INCARNATION_CHANGED", () => node.cancel(stranger, "stop"));
        await refused("INCARNATION_CHANGED", () => node.delete(stranger));
      }
      await holds(backend, log);
    },
  },
];
