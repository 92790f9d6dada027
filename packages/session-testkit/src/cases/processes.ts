import assert from "node:assert/strict";
import type { Case } from "../harness/case.ts";
import { withChildren } from "../harness/child.ts";
import { conflicting, refused, until } from "../harness/expect.ts";
import { continueLog, message, turn } from "../harness/log-builder.ts";
import { append, startSession, takeLease } from "../harness/start-session.ts";
import { countOps } from "../harness/count-ops.ts";
import { blobOf, readBlob } from "../harness/blob.ts";
import { follow, followByHints } from "../harness/follower.ts";
import { needsModule, needsOffer } from "../harness/offers.ts";
import { verifyLog } from "../harness/verify-log.ts";

const needs = needsModule;
const SHARED = "The kit tests each sentence on every backend, with several processes where `sharedBy` says so.";

export const processCases: readonly Case[] = [
  {
    id: "processes/declared",
    sentence: SHARED,
    async run({ backend, fixture }) {
      const shared = backend.capabilities.sharedBy !== "process";
      assert.equal(
        fixture.module !== undefined,
        shared,
        shared
          ? `sharedBy is "${backend.capabilities.sharedBy}", so the cases with several processes are due: give the fixture's module`
          : 'sharedBy is "process", so no other process can open the store: leave out the fixture\'s module',
      );
    },
  },
  {
    id: "processes/appenders",
    sentence: "`append` is atomic and version-checked: writers of several processes leave gapless, unique seqs.",
    needs,
    async run(context) {
      const { ref } = await startSession(context.backend);
      await withChildren(context, 3, async (children) => {
        await Promise.all(
          children.map((child, i) => child.ask({ kind: "append", id: ref.id, tag: `child-${i}`, count: 40, batch: 1 + i })),
        );
        const { ops, length } = await countOps(context, ref.id);
        assert.equal(ops.size, 120);
        for (const child of children) for (const op of child.acked) assert.equal(ops.get(op), 1, `${op} is not there exactly once`);
        assert.equal(length, 1 + 40 * (1 + 2 + 3));
      });
    },
  },
  {
    id: "processes/killed-writer",
    sentence: "When it resolves, the lines are as durable as the backend declares: also if the writer is killed right after.",
    needs,
    async run(context) {
      const log = await startSession(context.backend);
      const acked: string[] = [];
      for (let round = 0; round < 3; round++) {
        await withChildren(context, 2, async (children) => {
          const endless = children.map((child, i) =>
            child.ask({ kind: "append", id: log.ref.id, tag: `round-${round}-child-${i}`, count: 1_000_000, batch: 3 }),
          );
          for (const one of endless) one.catch(() => undefined);
          await until("the children write", async () => children.every((child) => child.acked.length > 10), 30_000);
          await Promise.all(children.map((child) => child.kill()));
          acked.push(...children.flatMap((child) => child.acked));
        });
        const { ops, length } = await countOps(context, log.ref.id);
        for (const op of acked) assert.equal(ops.get(op), 1, `${op} was acknowledged and is not there exactly once`);
        for (const [op, times] of ops) assert.equal(times, 1, `${op} is there ${times} times`);
        assert.equal((length - 1 - round) % 3, 0, "a part of a batch is there");
        // The store can be written to: by the node that was there all along, and the next round's by new ones.
        await append(context.backend, continueLog(await context.backend.head(log.ref.id)), message("after the kill"));
      }
    },
  },
  {
    id: "processes/killed-holder",
    sentence: "Exclusive across all processes and nodes. Lease: released by the append that writes the turn's end, or by time.",
    needs,
    async run(context) {
      const { backend } = context;
      const { ref } = await startSession(backend);
      await withChildren(context, 1, async ([child]) => {
        assert.ok(child !== undefined);
        await child.ask({ kind: "hold", id: ref.id, token: "of-the-child", ttlMs: 600_000 });
        const head = await backend.head(ref.id);
        assert.equal(head.lease?.holder, "child");
        const rival = continueLog(head);
        const { position: expect } = rival;
        conflicting(
          await backend.append(ref, {
            expect,
            lines: rival.add(turn("start", 2, expect.seq + 1)),
            acquire: { fence: 2, token: "early", holder: "kit", ttlMs: 1000 },
          }),
        );
        await refused("FENCED", () => backend.renew(ref, { fence: 1, token: "guessed" }, 1000));
        await child.ask({ kind: "renew", id: ref.id, fence: 1, token: "of-the-child", ttlMs: 500 });
        await child.kill();
      });
      let fence = 0;
      await until("the lease of a killed holder is taken over", async () => {
        const log = continueLog(await backend.head(ref.id));
        const { position: expect } = log;
        const answer = await backend.append(ref, {
          expect,
          lines: log.add(turn("start", 2, expect.seq + 1)),
          acquire: { fence: 2, token: "of-the-heir", holder: "kit", ttlMs: 600_000 },
        });
        if ("head" in answer) fence = answer.head.fence;
        return "head" in answer;
      });
      assert.equal(fence, 2);
      const late = continueLog(await backend.head(ref.id));
      const { position: expect } = late;
      await refused("FENCED", async () =>
        (await context.open()).append(ref, { expect, lines: late.add(message("late")), lease: { fence: 1, token: "of-the-child" } }),
      );
      await verifyLog(backend, ref);
    },
  },
  {
    id: "processes/same-fence",
    sentence: "`append` is fenced: of several processes that take the lease with one fence, one gets it.",
    needs,
    async run(context) {
      await withChildren(context, 3, async (children) => {
        for (let round = 0; round < 5; round++) {
          const { ref } = await startSession(context.backend);
          const answers = await Promise.allSettled(
            children.map((child, i) => child.ask({ kind: "hold", id: ref.id, token: `child-${i}`, ttlMs: 600_000 })),
          );
          assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 1, "not exactly one process got the lease");
          const { head } = await verifyLog(context.backend, ref);
          assert.equal(head.fence, 1);
          assert.equal(head.seq, 1);
        }
      });
    },
  },
  {
    id: "processes/one-key",
    sentence: "With a key: concurrent creators get one session.",
    needs,
    async run(context) {
      await withChildren(context, 3, async (children) => {
        for (let round = 0; round < 10; round++) {
          const answers = await Promise.all(children.map((child) => child.ask({ kind: "create", key: `user:${round}` })));
          assert.equal(new Set(answers.map(({ id }) => id)).size, 1, "processes got different sessions for one key");
          assert.equal(answers.filter(({ created }) => created).length, 1, "not exactly one process created the session");
        }
      });
      assert.equal((await context.backend.list({})).items.length, 10);
    },
  },
  {
    id: "processes/coherent",
    sentence: "Reads are coherent with the store: what another process appended is seen at the next read, also by a holder of the lease.",
    needs,
    async run(context) {
      const { backend } = context;
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      await backend.head(log.ref.id);
      await withChildren(context, 1, async ([child]) => {
        assert.ok(child !== undefined);
        for (let round = 0; round < 5; round++) {
          await child.ask({ kind: "append", id: log.ref.id, tag: `round-${round}`, count: 2, batch: 2 });
          const head = await backend.head(log.ref.id);
          assert.equal(head.seq, 1 + (round + 1) * 4);
          assert.equal(await backend.find(log.ref, { op: `round-${round}:1` }), head.seq - 1);
          assert.equal((await backend.list({})).items[0]?.version, head.seq);
        }
      });
      await backend.renew(log.ref, lease, 1000);
      await verifyLog(backend, log.ref);
    },
  },
  {
    id: "processes/follow",
    sentence: "A follower is given each entry once, in order, whichever process appends it, and goes on from its cursor.",
    needs,
    async run(context) {
      const { ref } = await startSession(context.backend);
      await withChildren(context, 2, async (children) => {
        const appending = Promise.all(
          children.map((child, i) => child.ask({ kind: "append", id: ref.id, tag: `child-${i}`, count: 50, batch: 1 + i })),
        );
        appending.catch(() => undefined);
        const first = await follow(context.backend, ref.id, 60);
        const rest = await follow(await context.open(), ref.id, 91, first.cursor);
        await appending;
        const seqs = [...first.entries, ...rest.entries].map(({ seq }) => seq);
        assert.deepEqual(seqs, [...seqs.keys()]);
      });
    },
  },
  {
    id: "processes/watch",
    sentence: "Hints that there is more behind `after`, by whichever process it was appended; none is missed.",
    needs: (fixture) => needs(fixture) ?? needsOffer("watch")(fixture),
    async run(context) {
      const { ref, position } = await startSession(context.backend);
      await withChildren(context, 1, async ([child]) => {
        assert.ok(child !== undefined);
        const following = followByHints(context.backend, ref, position, 60);
        following.catch(() => undefined);
        for (let round = 0; round < 3; round += 1) {
          await child.ask({ kind: "append", id: ref.id, tag: `round-${round}`, count: 20, batch: 1 });
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        assert.deepEqual(
          await following,
          Array.from({ length: 60 }, (_, index) => index + 1),
        );
      });
    },
  },
  {
    id: "processes/blobs",
    sentence:
      "When it resolves the bytes are as durable as the backend declares: also if the process that stored them is killed right after.",
    needs: (fixture) => needs(fixture) ?? needsOffer("blobs")(fixture),
    async run(context) {
      const { ref } = await startSession(context.backend);
      const text = "stored by a process that is gone ".repeat(20_000);
      await withChildren(context, 1, async ([child]) => {
        assert.ok(child !== undefined);
        await child.ask({ kind: "attach", id: ref.id, text });
        await child.kill();
      });
      for (const node of [context.backend, await context.open()])
        assert.ok((await readBlob(node, ref, blobOf(text).digest)).equals(blobOf(text).bytes), "other bytes came back");
    },
  },
];
