import assert from "node:assert/strict";
import type { Lease, SessionBackend } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { conflicting, holds, refused, until, written } from "../harness/expect.ts";
import { createLog, type LogBuilder, message, namesSync, turn } from "../harness/log-builder.ts";
import { append, linesFrom, LONG_MS, startSession, takeLease } from "../harness/start-session.ts";

const SHORT_MS = 40;
const FENCED = "`append` is fenced (fence and token equal the lease record that lies in the same row or key as the head).";
const ACQUIRE = "A live lease, or a fence other than the record's + 1, is a conflict.";
const EXPIRY =
  "Released by time, by the store's clock; the record outlives its expiry, and an expired lease that nobody took may still write.";

/** An append that wants the lease; the builder is left as it was. */
function taking(log: LogBuilder, fence: number, token: string, ttlMs: number = LONG_MS): Parameters<SessionBackend["append"]>[1] {
  const expect = log.position;
  return { expect, lines: log.branch().add(turn("start", fence, expect.seq + 1)), acquire: { fence, token, holder: "kit", ttlMs } };
}

/** An append under a lease; the builder is left as it was. */
function under(log: LogBuilder, lease: Pick<Lease, "fence" | "token">): Parameters<SessionBackend["append"]>[1] {
  return { expect: log.position, lines: log.branch().add(message("under a lease", { turn: 1, fence: lease.fence })), lease };
}

async function end(backend: SessionBackend, log: LogBuilder, lease: Pick<Lease, "fence" | "token">): Promise<void> {
  const expect = log.position;
  const head = written(
    await backend.append(log.ref, { expect, lines: log.add(message("the answer"), turn("end", lease.fence, 1)), lease, release: true }),
  );
  assert.equal(head.lease, undefined, "the lease is still shown after its release");
}

async function expired(backend: SessionBackend, log: LogBuilder): Promise<void> {
  await until("the lease expires by the store's clock", async () => {
    const { lease } = await backend.head(log.ref.id);
    assert.ok(lease !== undefined, "the record of a lease is gone when it expires");
    return lease.expiresInMs <= 0;
  });
}

export const leaseCases: readonly Case[] = [
  {
    id: "lease/taken-by-append",
    sentence:
      "Lease: taken only by the append that writes a turn's start (the caller names `fence = head.fence + 1` and a token), so taking it moves `seq`.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      await takeLease(backend, log, { token: "secret-of-the-holder" });
      for (const node of [backend, await open()]) {
        const head = await holds(node, log);
        assert.equal(head.seq, 1);
        assert.equal(head.fence, 1);
        assert.equal(head.lease?.fence, 1);
        assert.equal(head.lease?.holder, "kit");
        assert.ok((head.lease?.expiresInMs ?? 0) > 0, "a fresh lease is shown as expired");
        assert.ok(!JSON.stringify(head).includes("secret-of-the-holder"), "the head shows the token");
        const { conflict } = conflicting(await node.append(log.ref, taking(log, 2, "rival")));
        assert.ok(!JSON.stringify(conflict).includes("secret-of-the-holder"), "the head of a conflict shows the token");
      }
    },
  },
  {
    id: "lease/live-is-conflict",
    sentence: "A live lease is a conflict.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      for (const node of [backend, await open()]) {
        for (const fence of [2, 1, 3]) {
          const { conflict, since } = conflicting(await node.append(log.ref, taking(log, fence, "rival")));
          assert.deepEqual({ seq: conflict.seq, hash: conflict.hash }, log.position);
          assert.equal(conflict.lease?.fence, 1);
          assert.equal(since?.length ?? 0, 0, "lines are said to be new, but there are none");
        }
      }
      await holds(backend, log);
      written(await backend.append(log.ref, under(log, lease)));
    },
  },
  {
    id: "lease/fence-is-next",
    sentence: ACQUIRE,
    async run({ backend }) {
      const log = await startSession(backend);
      for (const fence of [2, 7]) conflicting(await backend.append(log.ref, taking(log, fence, "t")));
      const head = await holds(backend, log);
      assert.equal(head.lease, undefined);
      assert.equal(head.fence, 0);
      await takeLease(backend, log);
    },
  },
  {
    id: "lease/fence-once",
    sentence: "Fenced: no two leases of one incarnation have the same fence.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      await end(backend, log, await takeLease(backend, log));
      for (const node of [backend, await open()]) {
        assert.equal((await node.head(log.ref.id)).fence, 1);
        conflicting(await node.append(log.ref, taking(log, 1, "again")));
      }
      await end(backend, log, await takeLease(backend, log, { fence: 2 }));
      conflicting(await backend.append(log.ref, taking(log, 2, "again")));
      await holds(backend, log);
    },
  },
  {
    id: "lease/fence-once-after-expiry",
    sentence: ACQUIRE,
    async run({ backend, open }) {
      const log = await startSession(backend);
      await takeLease(backend, log, { ttlMs: SHORT_MS });
      await expired(backend, log);
      for (const node of [backend, await open()]) conflicting(await node.append(log.ref, taking(log, 1, "again")));
      await takeLease(backend, log, { fence: 2 });
      await holds(backend, log);
    },
  },
  {
    id: "lease/fence-above-log",
    sentence: "Fences only rise: also in a log that was made whole, or rewritten, and whose entries name fences.",
    async run({ backend, open }) {
      const made = await startSession(backend, { history: [turn("start", 4, 1), turn("end", 4, 1)] });
      const old = await startSession(backend);
      const rewritten = createLog({ id: old.ref.id, sync: namesSync(backend) });
      for (const draft of [turn("start", 4, 1), turn("end", 4, 1)]) rewritten.add(draft);
      const request = { expect: old.position, next: rewritten.ref, lines: linesFrom(rewritten.lines) };
      written(await backend.rewrite(old.ref, request));
      for (const log of [made, rewritten]) {
        for (const node of [backend, await open()]) {
          assert.equal((await node.head(log.ref.id)).fence, 4, "the head does not know the fence of its log");
          for (const fence of [1, 4, 6]) conflicting(await node.append(log.ref, taking(log, fence, "t")));
        }
        await end(backend, log, await takeLease(backend, log, { fence: 5 }));
        conflicting(await backend.append(log.ref, taking(log, 5, "again")));
        await holds(backend, log);
      }
    },
  },
  {
    id: "lease/conflict-takes-nothing",
    sentence: "A mismatch writes nothing.",
    async run({ backend }) {
      const log = await startSession(backend);
      const stale = log.branch();
      await append(backend, log, message("one"));
      conflicting(await backend.append(log.ref, taking(stale, 1, "t")));
      const head = await holds(backend, log);
      assert.equal(head.lease, undefined);
      assert.equal(head.fence, 0);
      await refused("FENCED", () => backend.append(log.ref, under(log, { fence: 1, token: "t" })));
    },
  },
  {
    id: "lease/holder-writes",
    sentence: FENCED,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      const other = await open();
      for (const node of [other, backend, other]) {
        const expect = log.position;
        const head = written(
          await node.append(log.ref, { expect, lines: log.add(message("under the lease", { turn: 1, fence: 1 })), lease }),
        );
        assert.equal(head.lease?.fence, 1);
      }
      await end(other, log, lease);
      await holds(backend, log);
    },
  },
  {
    id: "lease/wrong-token",
    sentence: FENCED,
    async run({ backend, open }) {
      const log = await startSession(backend);
      await takeLease(backend, log, { token: "right" });
      for (const node of [backend, await open()]) {
        await refused("FENCED", () => node.append(log.ref, under(log, { fence: 1, token: "wrong" })));
        await refused("FENCED", () => node.append(log.ref, under(log, { fence: 1, token: "" })));
      }
      await holds(backend, log);
    },
  },
  {
    id: "lease/wrong-fence",
    sentence: FENCED,
    async run({ backend }) {
      const log = await startSession(backend);
      await end(backend, log, await takeLease(backend, log, { token: "same" }));
      await takeLease(backend, log, { fence: 2, token: "same" });
      for (const fence of [1, 3, 0]) await refused("FENCED", () => backend.append(log.ref, under(log, { fence, token: "same" })));
      await holds(backend, log);
    },
  },
  {
    id: "lease/no-record",
    sentence: "If another fence or token holds the record, or none does, it is `FENCED`.",
    async run({ backend }) {
      const log = await startSession(backend);
      for (const fence of [0, 1]) await refused("FENCED", () => backend.append(log.ref, under(log, { fence, token: "t" })));
      await refused("FENCED", () => backend.renew(log.ref, { fence: 1, token: "t" }, LONG_MS));
      await holds(backend, log);
    },
  },
  {
    id: "lease/others-may-append",
    sentence:
      "An append without a lease is refused by the session layer when the head it builds on shows a live one: the store itself takes it (checkpoints, metadata).",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      await append(await open(), log, { type: "checkpoint", data: { seq: 1, hash: log.position.hash } });
      await append(backend, log, { type: "metadata", data: { seen: true } });
      written(await backend.append(log.ref, under(log, lease)));
      assert.equal((await backend.head(log.ref.id)).lease?.fence, 1);
    },
  },
  {
    id: "lease/expired-may-write",
    sentence: EXPIRY,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log, { ttlMs: SHORT_MS });
      const other = await open();
      await expired(other, log);
      for (const node of [backend, other]) {
        const expect = log.position;
        written(await node.append(log.ref, { expect, lines: log.add(message("late, but nobody minded", { turn: 1, fence: 1 })), lease }));
      }
      await refused("FENCED", () => other.append(log.ref, under(log, { ...lease, token: "wrong" })));
      await end(backend, log, lease);
      await holds(other, log);
    },
  },
  {
    id: "lease/expired-may-renew",
    sentence: "An expired lease that nobody took is prolonged.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log, { ttlMs: SHORT_MS });
      await expired(backend, log);
      assert.ok((await backend.renew(log.ref, lease, LONG_MS)).expiresInMs > SHORT_MS);
      const other = await open();
      assert.ok(((await other.head(log.ref.id)).lease?.expiresInMs ?? 0) > SHORT_MS);
      conflicting(await other.append(log.ref, taking(log, 2, "rival")));
      await holds(other, log);
    },
  },
  {
    id: "lease/taken-over-is-fenced",
    sentence: "`FENCED`: the lease of an append or a renewal has been taken over.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const old = await takeLease(backend, log, { ttlMs: SHORT_MS });
      await expired(backend, log);
      const other = await open();
      const fresh = await takeLease(other, log, { fence: 2 });
      for (const node of [backend, other]) {
        await refused("FENCED", () => node.append(log.ref, under(log, old)));
        await refused("FENCED", () => node.append(log.ref, { ...under(log, old), release: true }));
        await refused("FENCED", () => node.renew(log.ref, old, LONG_MS));
        assert.equal((await node.head(log.ref.id)).lease?.fence, 2);
      }
      written(await backend.append(log.ref, under(log, fresh)));
    },
  },
  {
    id: "lease/one-takes-over",
    sentence: "Exclusive: one turn per session at a time across all processes and nodes.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      await takeLease(backend, log, { ttlMs: SHORT_MS });
      const nodes = [backend, await open()];
      await expired(backend, log);
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => (nodes[i % 2] as SessionBackend).append(log.ref, taking(log, 2, `rival-${i}`))),
      );
      const winners = answers.flatMap((answer, i) => ("head" in answer ? [i] : []));
      assert.equal(winners.length, 1, `${winners.length} of ten took over one lease`);
      await backend.renew(log.ref, { fence: 2, token: `rival-${winners[0]}` }, LONG_MS);
    },
  },
  {
    id: "lease/released",
    sentence: "Released by the append that writes the turn's end.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      await end(backend, log, lease);
      for (const node of [backend, await open()]) {
        assert.equal((await node.head(log.ref.id)).lease, undefined);
        await refused("FENCED", () => node.append(log.ref, under(log, lease)));
        await refused("FENCED", () => node.renew(log.ref, lease, LONG_MS));
      }
      await holds(backend, log);
      await takeLease(backend, log, { fence: 2 });
    },
  },
  {
    id: "lease/conflict-releases-nothing",
    sentence: "A mismatch writes nothing: a lease is not released by an append that is not written.",
    async run({ backend }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      const stale = log.branch();
      await append(backend, log, { type: "checkpoint", data: { seq: 1, hash: log.position.hash } });
      conflicting(await backend.append(log.ref, { ...under(stale, lease), release: true }));
      await refused("FENCED", () => backend.append(log.ref, { ...under(log, { ...lease, token: "wrong" }), release: true }));
      assert.equal((await backend.head(log.ref.id)).lease?.fence, 1);
      await end(backend, log, lease);
    },
  },
  {
    id: "lease/renewed",
    sentence: "Prolongs a lease and brings `cancelRequested`.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log, { ttlMs: 60_000 });
      const other = await open();
      const renewed = await other.renew(log.ref, lease, LONG_MS);
      assert.equal(renewed.fence, 1);
      assert.equal(renewed.token, lease.token);
      assert.equal(renewed.holder, "kit");
      assert.equal(renewed.cancelRequested, undefined);
      for (const left of [renewed.expiresInMs, (await backend.head(log.ref.id)).lease?.expiresInMs ?? 0]) {
        assert.ok(left > 60_000 && left <= LONG_MS, `after a renewal for ${LONG_MS} ms, ${left} ms are left`);
      }
      await other.renew(log.ref, lease, SHORT_MS);
      await expired(backend, log);
      await holds(other, log);
    },
  },
  {
    id: "lease/renew-is-fenced",
    sentence: "`FENCED` if another, or none, holds the record.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log, { ttlMs: 60_000 });
      for (const node of [backend, await open()]) {
        await refused("FENCED", () => node.renew(log.ref, { ...lease, token: "wrong" }, LONG_MS));
        await refused("FENCED", () => node.renew(log.ref, { ...lease, fence: 2 }, LONG_MS));
        assert.ok(((await node.head(log.ref.id)).lease?.expiresInMs ?? 0) <= 60_000, "a refused renewal prolonged the lease");
      }
    },
  },
  {
    id: "lease/cancel",
    sentence: "`cancel` tells the holder of the lease, if any: seen at the next append or renewal.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      const other = await open();
      assert.equal(await other.cancel(log.ref, "the user left \u2028"), true);
      assert.equal((await backend.renew(log.ref, lease, LONG_MS)).cancelRequested, "the user left \u2028");
      assert.equal((await backend.renew(log.ref, lease, LONG_MS)).cancelRequested, "the user left \u2028");
      for (const node of [backend, other]) assert.equal((await node.head(log.ref.id)).lease?.cancelRequested, "the user left \u2028");
      const expect = log.position;
      const head = written(await backend.append(log.ref, { expect, lines: log.add(message("partial", { turn: 1, fence: 1 })), lease }));
      assert.equal(head.lease?.cancelRequested, "the user left \u2028");
      await end(backend, log, lease);
      await holds(other, log);
    },
  },
  {
    id: "lease/cancel-without-holder",
    sentence: "Tells the holder of the live lease to stop. False: there is none.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      assert.equal(await other.cancel(log.ref, "nobody there"), false);
      await end(backend, log, await takeLease(backend, log));
      assert.equal(await other.cancel(log.ref, "released"), false);
      await takeLease(backend, log, { fence: 2, ttlMs: SHORT_MS });
      await expired(backend, log);
      assert.equal(await other.cancel(log.ref, "expired"), false);
      await holds(other, log);
    },
  },
  {
    id: "lease/cancel-is-not-inherited",
    sentence: "`cancel` tells the holder of the lease: not the next one.",
    async run({ backend }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      await backend.cancel(log.ref, "stop");
      await end(backend, log, lease);
      const next = await takeLease(backend, log, { fence: 2 });
      assert.equal((await backend.head(log.ref.id)).lease?.cancelRequested, undefined);
      assert.equal((await backend.renew(log.ref, next, LONG_MS)).cancelRequested, undefined);
    },
  },
];
