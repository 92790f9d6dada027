import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import { envelopeOf } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { type Child, withChildren } from "../harness/child.ts";
import { countOps } from "../harness/count-ops.ts";
import { refused, until } from "../harness/expect.ts";
import { continueLog, message, namesSync, turn } from "../harness/log-builder.ts";
import { needsModule as needs } from "../harness/offers.ts";
import { creatingAs, LONG_MS, startSession } from "../harness/start-session.ts";
import { patiently } from "../harness/surely.ts";
import { readLines, verifyLog } from "../harness/verify-log.ts";

const LEASE_MS = 500;
const PATIENCE_MS = 60_000;
const COUNT = 1_000_000;

/** What became of a task, once it has ended. */
function endOf(asked: ReturnType<Child["ask"]>): { ended: string | undefined } {
  const end: { ended: string | undefined } = { ended: undefined };
  asked.then(
    ({ ended }) => (end.ended = ended ?? "done"),
    (error: { readonly code?: string; readonly message: string }) => (end.ended = error.code ?? error.message),
  );
  return end;
}

export const staleWriterCases: readonly Case[] = [
  {
    id: "processes/paused-holder",
    sentence: "A holder that is stopped, and goes on after another has taken over, writes nothing more: it is `FENCED`.",
    needs: (fixture) => needs(fixture) ?? (process.platform === "win32" ? "this system cannot stop a process" : undefined),
    async run(context) {
      const { backend } = context;
      const { ref } = await startSession(backend);
      await withChildren(context, 1, async ([child]) => {
        assert.ok(child !== undefined);
        await child.ask({ kind: "hold", id: ref.id, token: "of-the-paused", ttlMs: LONG_MS });
        await child.ask({ kind: "renew", id: ref.id, fence: 1, token: "of-the-paused", ttlMs: LEASE_MS });
        // From here on nobody renews: what it writes is late, but allowed until another takes the lease.
        const end = endOf(child.ask({ kind: "write-on", id: ref.id, fence: 1, token: "of-the-paused" }));
        await until("the holder writes", async () => child.acked.length > 5, PATIENCE_MS);
        child.pause();
        let taken = -1;
        await until(
          "the lease of a stopped holder is taken over",
          async () => {
            try {
              const head = await backend.head(ref.id);
              const log = continueLog(head, namesSync(backend));
              const { position: expect } = log;
              const lines = log.add(turn("start", 2, expect.seq + 1));
              const acquire = { fence: 2, token: "of-the-heir", holder: "kit", ttlMs: LONG_MS };
              const answer = await backend.append(ref, { expect, lines, acquire });
              if ("head" in answer) taken = answer.head.seq;
            } catch (error) {
              if (!isAixgoError(error, "STORE_BUSY")) throw error;
              // It was stopped while it held the store's own lock: it lets go of that at least.
              child.resume();
              await new Promise((resolve) => setTimeout(resolve, 20));
              child.pause();
            }
            return taken >= 0;
          },
          PATIENCE_MS,
        );
        child.resume();
        await until("the old holder is refused", async () => end.ended !== undefined, 20_000);
        assert.equal(end.ended, "FENCED");
        const { ops } = await countOps(context, ref.id);
        for (const op of child.acked) assert.equal(ops.get(op), 1, `${op} was acknowledged and is not there exactly once`);
        const late = (await readLines(backend, ref)).map((line) => envelopeOf(line)).filter(({ seq, fence }) => seq > taken && fence === 1);
        assert.deepEqual(late, [], "a line of the old holder stands behind the start of the new turn");
      });
      await backend.renew(ref, { fence: 2, token: "of-the-heir" }, LONG_MS);
    },
  },
  {
    id: "processes/deleted-under-writer",
    sentence: "A late write gets `SESSION_DELETED`, also from another process that has just written: nothing brings a session back.",
    needs,
    async run(context) {
      const { backend, open } = context;
      await withChildren(context, 2, async (children) => {
        for (let round = 0; round < 3; round += 1) {
          const log = await startSession(backend, { key: "k" });
          const before = children.map(({ acked }) => acked.length);
          const ends = children.map((child, i) =>
            endOf(child.ask({ kind: "append", id: log.ref.id, tag: `round-${round}-child-${i}`, count: COUNT, batch: 2 })),
          );
          await until("the children write", async () => children.every(({ acked }, i) => acked.length > Number(before[i]) + 5), 30_000);
          await patiently("delete", () => backend.delete(log.ref));
          await until("the writers of a deleted session are refused", async () => ends.every(({ ended }) => ended !== undefined));
          for (const { ended } of ends) assert.equal(ended, "SESSION_DELETED");
          for (const node of [backend, await open()]) {
            await refused("SESSION_DELETED", () => node.head(log.ref.id));
            await refused("SESSION_DELETED", () => readLines(node, log.ref));
            const late = { expect: log.position, lines: log.branch().add(message("late")) };
            await refused("SESSION_DELETED", () => node.append(log.ref, late));
            assert.deepEqual((await node.list({})).items, [], "a deleted session is listed");
          }
        }
      });
    },
  },
  {
    id: "processes/deleted-while-created",
    sentence: "While processes delete the session of a key and make it anew, the key names one session or none, and never a deleted one.",
    needs,
    async run(context) {
      const { backend, open } = context;
      await withChildren(context, 3, async (children) => {
        await Promise.all(children.map((child) => child.ask({ kind: "churn", key: "k", count: 15 })));
        const gone = new Set(children.flatMap(({ acked }) => acked));
        assert.ok(gone.size > 0, "nobody deleted anything");
        const other = await open();
        for (const id of gone) await refused("SESSION_DELETED", () => other.head(id));
        const { items } = await other.list({ limit: 1000 });
        assert.ok(items.length <= 1, `${items.length} sessions have one key`);
        const now = await backend.create(creatingAs({ key: "k" }, "get"));
        assert.equal(now.created, items.length === 0);
        assert.ok(!gone.has(now.head.id), "a deleted session answers to its key");
        const again = await other.create(creatingAs({ key: "k" }, "get"));
        assert.deepEqual([again.created, again.head.id], [false, now.head.id]);
        await verifyLog(other, now.head);
      });
    },
  },
];
