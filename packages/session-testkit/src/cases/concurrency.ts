import assert from "node:assert/strict";
import type { SessionBackend } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { holds, until, written } from "../harness/expect.ts";
import { continueLog, type LogBuilder, message, namesSync } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";
import { readLines, verifyLines, verifyLog } from "../harness/verify-log.ts";

const WRITERS = 8;

/** Appends until it is written, each time on the head that the conflict brought. */
async function rebase(backend: SessionBackend, log: LogBuilder, text: string): Promise<void> {
  let head = await backend.head(log.ref.id);
  for (let attempt = 0; attempt < 1000; attempt++) {
    const next = continueLog(head, namesSync(backend));
    const answer = await backend.append(log.ref, {
      expect: next.position,
      lines: next.add(message(text, { op: text }), message(`${text}, second line`)),
    });
    if ("head" in answer) return;
    head = answer.conflict;
  }
  assert.fail("1000 conflicts in a row");
}

export const concurrencyCases: readonly Case[] = [
  {
    id: "append/one-winner",
    sentence: "`append` is atomic and version-checked: of several that expect the same head one is written.",
    async run({ backend, open }) {
      let log = await startSession(backend);
      const nodes = [backend, await open()];
      for (let round = 0; round < 12; round++) {
        const expect = log.position;
        const rivals = Array.from({ length: WRITERS }, (_, i) => {
          const rival = log.branch();
          rival.add(message(`round ${round} writer ${i}`), message("and its second line"));
          return rival;
        });
        const answers = await Promise.all(
          rivals.map((rival, i) => (nodes[i % 2] as SessionBackend).append(log.ref, { expect, lines: rival.lines.slice(expect.seq + 1) })),
        );
        const winners = rivals.filter((_, i) => "head" in (answers[i] ?? {}));
        assert.equal(winners.length, 1, `${winners.length} appends won round ${round}`);
        const winner = winners[0] as LogBuilder;
        for (const answer of answers) {
          const head = "head" in answer ? answer.head : answer.conflict;
          assert.deepEqual({ seq: head.seq, hash: head.hash }, winner.position);
        }
        log = winner;
      }
      for (const node of nodes) await holds(node, log);
    },
  },
  {
    id: "append/rebased",
    sentence: "Re-base at once: an append without an expected version is rebuilt on the head that the conflict brought, without sleeping.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const nodes = [backend, await open()];
      const texts = Array.from({ length: WRITERS }, (_, writer) => Array.from({ length: 6 }, (__, i) => `writer ${writer} line ${i}`));
      await Promise.all(
        texts.map(async (own, writer) => {
          for (const text of own) await rebase(nodes[writer % 2] as SessionBackend, log, text);
        }),
      );
      for (const node of nodes) {
        const { lines } = await verifyLog(node, log.ref);
        assert.equal(lines.length, 1 + WRITERS * 6 * 2);
        const stored = lines.map((line) => line.toString("utf8"));
        for (const text of texts.flat()) {
          assert.equal(stored.filter((line) => line.includes(`"op":"${text}"`)).length, 1, `"${text}" is not there exactly once`);
          assert.equal(typeof (await node.find(log.ref, { op: text })), "number");
        }
      }
    },
  },
  {
    id: "append/half-batch-unseen",
    sentence: "A batch is the atom, for readers too: an incomplete last batch is ignored by readers.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const reader = await open();
      let writing = true;
      let looks = 0;
      const look = async (): Promise<void> => {
        for (const node of [reader, backend]) {
          verifyLines(log.ref, await readLines(node, log.ref));
          const head = await node.head(log.ref.id);
          const [last] = await readLines(node, log.ref, { from: head.seq, to: head.seq });
          const [index = 0, of = 1] = (JSON.parse(String(last)) as { batch?: [number, number] }).batch ?? [];
          assert.equal(index + 1, of, "the head lies within a batch");
        }
        looks += 1;
      };
      const looking = (async () => {
        while (writing) {
          await look();
          await new Promise(setImmediate);
        }
      })();
      looking.catch(() => undefined);
      try {
        for (let i = 0; i < 25; i++) {
          await append(backend, log, ...Array.from({ length: 9 }, (_, part) => message(`batch ${i} part ${part} ${"x".repeat(2000)}`)));
          await Promise.race([looking, new Promise(setImmediate)]);
        }
      } finally {
        writing = false;
        await looking;
      }
      await until("a reader looks", async () => looks > 0);
      await holds(reader, log);
    },
  },
  {
    id: "read/coherent",
    sentence: "Reads are coherent with the store: an acknowledged append is seen by every node at its next read.",
    async run({ backend, open }) {
      const nodes = [backend, await open(), await open()];
      const log = await startSession(backend);
      for (const node of nodes) await node.head(log.ref.id);
      for (let i = 0; i < 18; i++) {
        await append(nodes[i % 3] as SessionBackend, log, message(`number ${i}`, { op: `u:${i}` }));
        for (const node of nodes) {
          const head = await node.head(log.ref.id);
          assert.deepEqual({ seq: head.seq, hash: head.hash }, log.position, "head() is older than an acknowledged append");
          const [last] = await readLines(node, log.ref, { reverse: true, limit: 1 });
          assert.ok(last?.equals(log.lines.at(-1) as Buffer), "read() is older than an acknowledged append");
          assert.equal(await node.find(log.ref, { op: `u:${i}` }), log.position.seq, "find() is older than an acknowledged append");
          assert.equal((await node.list({})).items[0]?.version, log.position.seq, "list() is older than an acknowledged append");
        }
      }
    },
  },
  {
    id: "append/conflicts-while-read",
    sentence: "A mismatch writes nothing: also while others read and write.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      const stale = log.branch();
      await append(backend, log, message("first"));
      const work: Promise<unknown>[] = [];
      const begin = (promise: Promise<unknown>): void => {
        // Awaited below; until then a failure is not unhandled.
        promise.catch(() => undefined);
        work.push(promise);
      };
      for (let i = 0; i < 20; i++) {
        begin(
          other
            .append(log.ref, { expect: stale.position, lines: stale.branch().add(message(`stale ${i}`)) })
            .then((answer) => assert.ok("conflict" in answer)),
        );
        begin(readLines(other, log.ref).then((lines) => verifyLines(log.ref, lines)));
        const expect = log.position;
        written(await backend.append(log.ref, { expect, lines: log.add(message(`number ${i}`)) }));
      }
      await Promise.all(work);
      await holds(other, log);
    },
  },
];
