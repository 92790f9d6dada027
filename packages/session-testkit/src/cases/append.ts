import assert from "node:assert/strict";
import { fold, type Head } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { conflicting, holds, refused, written } from "../harness/expect.ts";
import { createLog, message, turn } from "../harness/log-builder.ts";
import { append, startSession, takeLease } from "../harness/start-session.ts";
import { foldedPart, linesOf, readLines } from "../harness/verify-log.ts";
import { sameLines } from "../harness/same-lines.ts";

const ORDER = "Checks in this order: incarnation, expect, lease.";
const EXPECT =
  "`append` is version-checked (`expect` names seq and hash; a mismatch writes nothing and answers with the new head and the lines since).";

export const appendCases: readonly Case[] = [
  {
    id: "append/head-is-fold",
    sentence:
      "All of a line before its data, and the head that follows from one more line: every backend and every rebuild uses these two.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      await append(backend, log, message("one"));
      await append(other, log, message("two"));
      await append(backend, log, { type: "checkpoint", data: { seq: 2, hash: log.position.hash, label: "here" } });
      await append(other, log, { type: "restore", data: { target: "one", seq: 1, hash: "-" }, head: 1, n: 1 });
      await append(backend, log, { type: "metadata", data: { topic: "birds" } });
      await append(backend, log, message("another two"));
      const expect = log.position;
      const lines = log.add({ type: "checkpoint", data: { seq: expect.seq, hash: expect.hash } });
      const head = written(await other.append(log.ref, { expect, lines }));
      const folded = log.lines.reduce<Head | undefined>(fold, undefined);
      assert.ok(folded !== undefined);
      assert.deepEqual(foldedPart(head), foldedPart(folded));
      assert.equal(head.headSeq, expect.seq);
      assert.deepEqual(head.info.metadata, { topic: "birds" });
      await holds(backend, log);
      await holds(other, log);
    },
  },
  {
    id: "append/many-batches",
    sentence: "Lines may hold several batches; a batch is all or nothing.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const expect = log.position;
      const lines = log.group([
        [message("a1"), message("a2"), message("a3")],
        [message("b1")],
        [message("c1"), message("c2")],
        ...Array.from({ length: 60 }, (_, i) => [message(`d${i}`)]),
      ]);
      assert.equal(written(await backend.append(log.ref, { expect, lines })).seq, 66);
      await holds(await open(), log);
    },
  },
  {
    id: "append/unknown-kept",
    sentence: "Unknown members are kept and hashed. Backends store lines as opaque bytes and return them unchanged.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      await append(backend, log, {
        type: "summary-of-tomorrow",
        data: { nested: { data: [1, 2], hash: "x" } },
        unknown: { opt: true, later: { deep: [1] }, zebra: "é\u2028" },
      });
      await append(backend, log, { type: "summary-of-tomorrow", unknown: { later: { data: { deep: 1 } } } });
      await append(backend, log, message("after it"));
      assert.equal((await holds(await open(), log)).unsupported, "summary-of-tomorrow");
    },
  },
  {
    id: "append/expect-stale",
    sentence: EXPECT,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const stale = log.branch();
      await append(backend, log, message("won"));
      for (const node of [backend, await open()]) {
        const loser = stale.branch();
        conflicting(await node.append(log.ref, { expect: stale.position, lines: loser.add(message("lost")) }));
      }
      await holds(backend, log);
    },
  },
  {
    id: "append/expect-ahead",
    sentence: EXPECT,
    async run({ backend }) {
      const log = await startSession(backend, { history: [message("one")] });
      const ahead = log.branch();
      ahead.add(message("never written"));
      const { conflict } = conflicting(
        await backend.append(log.ref, { expect: ahead.position, lines: ahead.add(message("hanging in the air")) }),
      );
      assert.equal(conflict.seq, 1);
      await holds(backend, log);
    },
  },
  {
    id: "append/expect-hash",
    sentence: "`expect` names seq and hash.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const foreign = log.branch();
      await append(backend, log, message("the one that is there"));
      foreign.add(message("one that is not there"));
      for (const node of [backend, await open()]) {
        const { conflict } = conflicting(
          await node.append(log.ref, { expect: foreign.position, lines: foreign.branch().add(message("built on it")) }),
        );
        assert.deepEqual({ seq: conflict.seq, hash: conflict.hash }, log.position);
      }
      // What follows another entry of that seq is not what follows `expect`.
      await append(backend, log, message("more"));
      for (const node of [backend, await open()]) {
        const built = foreign.branch().add(message("built on it"));
        const { since } = conflicting(await node.append(log.ref, { expect: foreign.position, lines: built }));
        assert.equal(since, undefined, "lines are brought since an entry that the log does not hold");
      }
      await holds(backend, log);
    },
  },
  {
    id: "append/conflict-brings-head",
    sentence: "A conflict is an answer, not an exception: the new head and, within bounds, the lines since `expect`.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const stale = log.branch();
      const other = await open();
      await append(other, log, message("one"), message("two"));
      await takeLease(other, log);
      const { conflict } = conflicting(
        await backend.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("lost")) }),
      );
      const folded = log.lines.reduce<Head | undefined>(fold, undefined);
      assert.ok(folded !== undefined);
      assert.deepEqual(foldedPart(conflict), foldedPart(folded));
      assert.equal(conflict.fence, 1);
      assert.equal(conflict.lease?.fence, 1);
    },
  },
  {
    id: "append/conflict-brings-lines",
    sentence: "A conflict answers with the new head and the lines since `expect`, each ended by a newline.",
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("before")] });
      const stale = log.branch();
      const other = await open();
      await append(other, log, message("one"), message("two \u2028 \u{1F99C}"));
      await append(backend, log, message("three", { op: "u:three" }));
      for (const node of [backend, other]) {
        const { since } = conflicting(await node.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("lost")) }));
        assert.ok(since !== undefined, "the lines since `expect` are missing");
        sameLines(linesOf(since), log.lines.slice(2));
      }
    },
  },
  {
    id: "append/conflict-lines-whole",
    sentence: "The lines since `expect`, within bounds: all of them or none, for what is not among them is taken as not written.",
    async run({ backend }) {
      const log = await startSession(backend);
      const stale = log.branch();
      for (let i = 0; i < 30; i++) await append(backend, log, message(`${i}`.repeat(4000)));
      const { since } = conflicting(await backend.append(log.ref, { expect: stale.position, lines: stale.add(message("lost")) }));
      if (since !== undefined) sameLines(linesOf(since), log.lines.slice(1));
      await holds(backend, log);
    },
  },
  {
    id: "append/sent-twice",
    sentence:
      "Idempotency follows: after `OUTCOME_UNKNOWN` the same bytes are sent again; on a conflict the lines after the first attempt's `expect` are searched for its own `op`.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const expect = log.position;
      const lines = log.add(message("once", { op: "u:once" }));
      written(await backend.append(log.ref, { expect, lines }));
      for (const node of [backend, await open()]) {
        const { since } = conflicting(await node.append(log.ref, { expect, lines }));
        assert.ok(since !== undefined, "the lines since `expect` are missing");
        sameLines(linesOf(since), lines);
      }
      await holds(backend, log);
    },
  },
  {
    id: "append/incarnation-before-expect",
    sentence: ORDER,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const stale = log.branch();
      await append(backend, log, message("one"));
      for (const node of [backend, await open()]) {
        const ref = { id: log.ref.id, incarnation: "another-life" };
        await refused("INCARNATION_CHANGED", () =>
          node.append(ref, { expect: stale.position, lines: stale.branch().add(message("lost")) }),
        );
        await refused("INCARNATION_CHANGED", () =>
          node.append(ref, { expect: log.position, lines: log.branch().add(message("lost")), lease: { fence: 7, token: "x" } }),
        );
      }
      await holds(backend, log);
    },
  },
  {
    id: "append/expect-before-lease",
    sentence: ORDER,
    async run({ backend }) {
      const log = await startSession(backend);
      const stale = log.branch();
      await takeLease(backend, log);
      conflicting(
        await backend.append(log.ref, {
          expect: stale.position,
          lines: stale.branch().add(message("lost")),
          lease: { fence: 9, token: "none" },
        }),
      );
      await holds(backend, log);
    },
  },
  {
    id: "append/line-limit",
    sentence: "Limits are options with stated defaults; above: `LIMIT_EXCEEDED` before anything is written.",
    async run({ backend }) {
      const { maxLineBytes } = backend.capabilities;
      const log = await startSession(backend);
      const frame = log.branch().add(message(""))[0] as Buffer;
      const fits = "x".repeat(maxLineBytes - frame.length);
      const tooLong = log.branch().add(message(`${fits}x`));
      assert.equal(tooLong[0]?.length, maxLineBytes + 1);
      await refused("LIMIT_EXCEEDED", () => backend.append(log.ref, { expect: log.position, lines: tooLong }));
      await holds(backend, log);
      await append(backend, log, message(fits));
      assert.equal(log.lines[1]?.length, maxLineBytes);
      await holds(backend, log);
    },
  },
  {
    id: "append/line-limit-in-group",
    sentence: "`LIMIT_EXCEEDED` before anything is written: a line of a group that is too long stops the whole group.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const long = "x".repeat(backend.capabilities.maxLineBytes);
      const lines = log.branch().group([[message("short")], [message(long)], [message("short")]]);
      await refused("LIMIT_EXCEEDED", () =>
        backend.append(log.ref, { expect: log.position, lines, acquire: { fence: 1, token: "t", holder: "kit", ttlMs: 60_000 } }),
      );
      const head = await holds(await open(), log);
      assert.equal(head.lease, undefined);
      assert.equal(head.fence, 0);
    },
  },
  {
    id: "append/does-not-follow",
    sentence: "Seq 0, 1, 2 … without gaps: lines that do not follow are refused, all of them.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const skipping = log.branch();
      skipping.add(message("left out"));
      await refused(["ENTRY_CORRUPT", "INVALID_INPUT"], () =>
        backend.append(log.ref, { expect: log.position, lines: skipping.add(message("gap before it")) }),
      );
      const half = log.branch();
      const good = half.add(message("good"));
      half.add(message("left out"));
      const bad = half.add(message("gap before it"));
      await refused(["ENTRY_CORRUPT", "INVALID_INPUT"], () => backend.append(log.ref, { expect: log.position, lines: [...good, ...bad] }));
      await holds(backend, log);
      await holds(await open(), log);
    },
  },
  {
    id: "append/unknown-session",
    sentence: "Throws `SESSION_NOT_FOUND`.",
    async run({ backend }) {
      const log = createLog();
      await refused("SESSION_NOT_FOUND", () =>
        backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("to nobody")) }),
      );
      await refused("SESSION_NOT_FOUND", () => backend.head(log.ref.id));
      await refused("SESSION_NOT_FOUND", () => readLines(backend, log.ref));
      await refused("SESSION_NOT_FOUND", () => backend.find(log.ref, { op: "u:1" }));
      await refused("SESSION_NOT_FOUND", () => backend.renew(log.ref, { fence: 1, token: "t" }, 1000));
      await refused("SESSION_NOT_FOUND", () => backend.cancel(log.ref, "stop"));
      await refused("SESSION_NOT_FOUND", () => backend.delete(log.ref));
      assert.deepEqual((await backend.list({})).items, []);
    },
  },
  {
    id: "append/copies-lines",
    sentence: "Lines are stored and returned unchanged: what a caller does with its buffers afterwards changes nothing.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const expect = log.position;
      const buffers = log.add(message("one"), message("two")).map((line) => Buffer.from(line));
      written(await backend.append(log.ref, { expect, lines: buffers }));
      for (const buffer of buffers) buffer.fill(0x20);
      await holds(backend, log);
      for await (const page of backend.read(log.ref)) page.fill(0x20);
      await holds(backend, log);
      await holds(await open(), log);
    },
  },
  {
    id: "append/keys",
    sentence: "Wrapped data keys: opaque, outside the log.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const keys = Uint8Array.from([0, 255, 10, 13, 34, 200]);
      let expect = log.position;
      const head = written(await backend.append(log.ref, { expect, lines: log.add(message("one")), keys }));
      assert.deepEqual(Buffer.from(head.keys ?? []), Buffer.from(keys));
      const other = await open();
      expect = log.position;
      assert.deepEqual(
        Buffer.from(written(await other.append(log.ref, { expect, lines: log.add(message("two")) })).keys ?? []),
        Buffer.from(keys),
      );
      const stale = { expect, lines: log.branch().add(message("lost")), keys: Uint8Array.from([1]) };
      conflicting(await other.append(log.ref, stale));
      assert.deepEqual(Buffer.from((await backend.head(log.ref.id)).keys ?? []), Buffer.from(keys));
      await holds(other, log);
    },
  },
  {
    id: "append/aborted",
    sentence: "Every long call takes an `AbortSignal`: an append that has been given up before it was taken writes nothing.",
    async run({ backend }) {
      const log = await startSession(backend);
      const request = { expect: log.position, lines: log.branch().add(message("given up")), signal: AbortSignal.abort() };
      await refused("CANCELLED", () => backend.append(log.ref, request));
      await holds(backend, log);
    },
  },
  {
    id: "append/sessions-apart",
    sentence: "A session is an append-only log of immutable entries: what is appended to one is not seen in another.",
    async run({ backend }) {
      const logs = await Promise.all(
        Array.from({ length: 12 }, (_, i) => startSession(backend, { agentName: i % 2 === 0 ? "even" : "odd" })),
      );
      for (let round = 0; round < 4; round++) {
        await Promise.all(
          logs.map((log, i) => append(backend, log, message(`session ${i} round ${round}`), turn("start", 0, log.position.seq + 2))),
        );
      }
      for (const log of logs) await holds(backend, log);
    },
  },
];
