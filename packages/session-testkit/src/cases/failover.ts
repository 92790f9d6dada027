import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Head } from "@aixgo/session/backend";
import type { Case, CaseContext } from "../harness/case.ts";
import { blobOf, readBlob } from "../harness/blob.ts";
import { countOps } from "../harness/count-ops.ts";
import { holds, refused, until } from "../harness/expect.ts";
import { message } from "../harness/log-builder.ts";
import { needsMember } from "../harness/offers.ts";
import { append, creatingAs, linesFrom, LONG_MS, startSession, takeLease } from "../harness/start-session.ts";
import { appendSurely, patiently } from "../harness/surely.ts";

const needs = needsMember("failover");
const ENOUGH = 25;
const PATIENCE_MS = 60_000;

async function failOver({ fixture, store }: CaseContext): Promise<void> {
  await (fixture.failover as NonNullable<typeof fixture.failover>)(store);
}

export const failoverCases: readonly Case[] = [
  {
    id: "failover/appends",
    sentence: "What was acknowledged is there after the server was killed, nothing is doubled, and the open backend goes on by itself.",
    needs,
    async run(context) {
      const { backend, open } = context;
      const other = await open();
      const logs = [await startSession(backend), await startSession(backend), await startSession(backend)];
      const acked = logs.map((): string[] => []);
      let over = false;
      const writers = logs.flatMap(({ ref }, nth) =>
        [backend, other].map(async (node, writer) => {
          let head: Head = await patiently("head", () => node.head(ref.id));
          for (let i = 0; !over; i += 1) {
            const op = `log-${nth}-writer-${writer}:${i}`;
            head = await appendSurely(node, head, op);
            acked[nth]?.push(op);
            // A store within the process may never wait for anything: let the others have their turn.
            await pause(1);
          }
        }),
      );
      const working = Promise.all(writers);
      working.catch(() => undefined);
      try {
        for (let round = 0; round < 3; round += 1) {
          const before = acked.map(({ length }) => length);
          await Promise.race([
            working,
            until("the writers go on", async () => acked.every(({ length }, i) => length >= Number(before[i]) + ENOUGH), PATIENCE_MS),
          ]);
          if (round < 2) await failOver(context);
        }
      } finally {
        over = true;
        await working;
      }
      for (const [nth, { ref }] of logs.entries()) {
        const { ops, length } = await countOps(context, ref.id);
        for (const op of acked[nth] ?? []) assert.equal(ops.get(op), 1, `${op} was acknowledged and is there ${ops.get(op) ?? 0} times`);
        for (const [op, times] of ops) assert.equal(times, 1, `${op} is there ${times} times`);
        assert.equal(length, 1 + ops.size);
      }
    },
  },
  {
    id: "failover/records",
    sentence: "What lies beside the log is there as well: leases, keys, wrapped keys, tombstones, attachments, the list.",
    needs,
    async run(context) {
      const { backend, open } = context;
      const log = await startSession(backend, { key: "k", tenantId: "acme" });
      const gone = await startSession(backend, { key: "gone" });
      await append(backend, log, message("one"));
      const wrapped = Buffer.from("wrapped");
      const expect = log.position;
      await backend.append(log.ref, { expect, lines: log.add(message("two")), keys: wrapped });
      const blob = blobOf("attached");
      await backend.blobs?.put(log.ref, blob.digest, linesFrom([blob.bytes]));
      const lease = await takeLease(backend, log);
      await backend.delete(gone.ref);
      await failOver(context);
      for (const node of [backend, await open()]) {
        const head = await patiently("head", () => node.head(log.ref.id));
        assert.equal(head.lease?.fence, 1, "the lease is gone");
        assert.deepEqual(Buffer.from(head.keys ?? []), wrapped, "the wrapped keys are gone");
        await holds(node, log);
        await refused("SESSION_DELETED", () => node.head(gone.ref.id));
        assert.deepEqual(
          (await node.list({ tenantId: "acme" })).items.map(({ id }) => id),
          [log.ref.id],
        );
        const { created, head: found } = await node.create(creatingAs({ key: "k", tenantId: "acme" }, "get"));
        assert.deepEqual([created, found.id], [false, log.ref.id], "the key is gone");
        if (node.blobs !== undefined) assert.ok(blob.bytes.equals(await readBlob(node, log.ref, blob.digest)));
        await node.renew(log.ref, lease, LONG_MS);
        await refused("FENCED", () => node.renew(log.ref, { ...lease, token: "wrong" }, LONG_MS));
      }
      await append(backend, log, message("goes on"));
      assert.equal((await backend.create(creatingAs({ key: "gone" }, "get"))).created, true);
    },
  },
];
