import assert from "node:assert/strict";
import { envelopeOf } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { type Child, type ChildOptions, TaskFailure, withChildren } from "../harness/child.ts";
import { countOps } from "../harness/count-ops.ts";
import { conflicting, until } from "../harness/expect.ts";
import { listed, pages } from "../harness/listing.ts";
import { continueLog, namesSync, turn } from "../harness/log-builder.ts";
import { needsModule as needs } from "../harness/offers.ts";
import { LONG_MS, startSession } from "../harness/start-session.ts";
import { appendSurely } from "../harness/surely.ts";
import { readLines, verifyLog } from "../harness/verify-log.ts";

const HOUR = 3_600_000;
const AHEAD: ChildOptions = { clockMs: 12 * HOUR };
const BEHIND: ChildOptions = { clockMs: -12 * HOUR };
/** More than a busy machine takes for a case. */
const SLACK_MS = 300_000;

type Pair = readonly [ahead: Child, behind: Child];

/** Whether a child got the lease. */
async function takes(child: Child, id: string, token: string): Promise<boolean> {
  try {
    await child.ask({ kind: "hold", id, token, ttlMs: LONG_MS });
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("the lease could not be taken")) return false;
    throw error;
  }
}

export const clockCases: readonly Case[] = [
  {
    id: "clocks/lease",
    sentence: "A lease is measured by the store's clock: nodes whose own clocks differ by hours agree on whether it lives.",
    needs,
    async run(context) {
      const { backend } = context;
      await withChildren(context, [AHEAD, BEHIND], async (children) => {
        const [ahead, behind] = children as unknown as Pair;
        for (const [holder, rival] of [
          [ahead, behind],
          [behind, ahead],
        ] as const) {
          const { ref } = await startSession(backend, { startedAt: Date.now() });
          await holder.ask({ kind: "hold", id: ref.id, token: "held", ttlMs: LONG_MS });
          const head = await backend.head(ref.id);
          const left = head.lease?.expiresInMs ?? 0;
          assert.ok(left > LONG_MS - SLACK_MS && left <= LONG_MS + 1000, `a lease of ${LONG_MS} ms has ${left} ms left`);
          assert.equal(await takes(rival, ref.id, "rival"), false, "a node took over a live lease: by its own clock it had expired");
          const log = continueLog(head, namesSync(backend));
          const { position: expect } = log;
          const acquire = { fence: 2, token: "early", holder: "kit", ttlMs: LONG_MS };
          conflicting(await backend.append(ref, { expect, lines: log.add(turn("start", 2, expect.seq + 1)), acquire }));
          await holder.ask({ kind: "renew", id: ref.id, fence: 1, token: "held", ttlMs: 300 });
          await until("a node takes over an expired lease", () => takes(rival, ref.id, "heir"), 30_000);
          assert.equal((await backend.head(ref.id)).fence, 2);
          await assert.rejects(
            holder.ask({ kind: "renew", id: ref.id, fence: 1, token: "held", ttlMs: LONG_MS }),
            (error) => error instanceof TaskFailure && error.code === "FENCED",
          );
          await verifyLog(backend, ref);
        }
      });
    },
  },
  {
    id: "clocks/appends",
    sentence: "No order comes from a clock: what nodes append whose clocks differ by hours is all there, in the order of its seqs.",
    needs,
    async run(context) {
      const { backend } = context;
      const { ref } = await startSession(backend, { startedAt: Date.now() });
      await withChildren(context, [AHEAD, BEHIND], async (children) => {
        const asked = Promise.all(
          children.map((child, i) => child.ask({ kind: "append", id: ref.id, tag: `child-${i}`, count: 25, batch: 1 + i })),
        );
        asked.catch(() => undefined);
        for (let i = 0; i < 10; i += 1) await appendSurely(backend, await backend.head(ref.id), `own:${i}`);
        await asked;
        const { ops } = await countOps(context, ref.id);
        const acked = [...children.flatMap((child) => child.acked), ...Array.from({ length: 10 }, (_, i) => `own:${i}`)];
        assert.equal(acked.length, 60);
        for (const op of acked) assert.equal(ops.get(op), 1, `${op} is not there exactly once`);
      });
      const times = (await readLines(backend, ref)).map((line) => Date.parse(envelopeOf(line).timestamp));
      assert.ok(Math.max(...times) - Math.min(...times) > 20 * HOUR, "the clocks of the children were not apart");
      const { updatedAt } = (await backend.head(ref.id)).info;
      assert.equal(Date.parse(updatedAt), Math.max(...times), "`updatedAt` goes back with a clock");
    },
  },
  {
    id: "clocks/list",
    sentence: "A session untouched meanwhile appears exactly once, whatever the clocks of the nodes that write.",
    needs,
    async run(context) {
      const { backend, open } = context;
      await withChildren(context, [AHEAD, BEHIND], async (children) => {
        const [ahead, behind] = children as unknown as Pair;
        await Promise.all(children.map((child, i) => child.ask({ kind: "start", agentName: `child-${i}`, count: 7 })));
        const made = children.map(({ acked }) => [...acked]) as [string[], string[]];
        const own: string[] = [];
        for (let i = 0; i < 7; i += 1) own.push((await startSession(backend, { agentName: "own", startedAt: Date.now() + i })).ref.id);
        const groups = [made[0], own, made[1]];
        const all = groups.flat();
        assert.equal(new Set(all).size, 21);
        const touched = new Set(groups.flatMap((ids) => ids.slice(0, 3)));
        for (const order of ["updated", "id"] as const) {
          const waiting = [...touched];
          const seen = await pages(await open(), { order, limit: 2 }, async (page) => {
            const id = waiting.shift();
            if (id !== undefined)
              await children[waiting.length % 2]?.ask({ kind: "append", id, tag: `${order}-${page.length}`, count: 1, batch: 1 });
          });
          const ids = seen.flat().map(({ id }) => id);
          for (const id of all.filter((one) => !touched.has(one)))
            assert.equal(ids.filter((one) => one === id).length, 1, "a session that nobody touched does not appear exactly once");
        }
        // When nobody writes any more: all of them, each as its head is, by the times that were written.
        for (const node of [backend, await open()]) {
          for (const order of ["updated", "id"] as const) {
            const items = (await pages(node, { order, limit: 4 })).flat();
            assert.deepEqual(items.map(({ id }) => id).toSorted(), all.toSorted(), "sessions are missing, or there twice");
            for (const item of items) assert.deepEqual(item, (await node.head(item.id)).info);
          }
          const order = (await listed(node, { limit: 5 })).filter((id) => !touched.has(id));
          assert.deepEqual(
            order.map((id) => groups.findIndex((ids) => ids.includes(id))),
            [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
            "the order is not that of the updates",
          );
          const future = await listed(node, { updatedAfter: new Date(Date.now() + HOUR).toISOString(), limit: 3 });
          for (const id of made[0]) assert.ok(future.includes(id), "a session of the node that is ahead is not found by its time");
        }
        for (const child of [ahead, behind]) assert.ok(child.acked.length > 7, "a node touched no session");
      });
    },
  },
];
