import assert from "node:assert/strict";
import type { Case } from "../harness/case.ts";
import { holds, refused } from "../harness/expect.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { append, creating, linesFrom, startSession, takeLease } from "../harness/start-session.ts";
import { readLines } from "../harness/verify-log.ts";

export const lifecycleCases: readonly Case[] = [
  {
    id: "backend/capabilities",
    sentence: "Differences between stores are `capabilities`.",
    async run({ backend, open }) {
      const { capabilities } = backend;
      assert.ok(backend.name.length > 0);
      assert.ok(["process", "host", "cluster"].includes(capabilities.sharedBy));
      assert.ok(["memory", "os", "disk", "quorum"].includes(capabilities.durability));
      assert.ok(
        Number.isSafeInteger(capabilities.maxLineBytes) && capabilities.maxLineBytes >= 256 * 1024,
        "maxLineBytes is no whole number of at least 256 KiB",
      );
      assert.ok(capabilities.indexedMetadata.every((key) => typeof key === "string"));
      assert.equal(typeof capabilities.ttl, "boolean");
      assert.deepEqual((await open()).capabilities, capabilities);
    },
  },
  {
    id: "backend/offers",
    sentence: "`watch` and `blobs` are optional; a store that has blobs says how long one may be.",
    async run({ backend, fixture }) {
      const has = (["watch", "blobs"] as const).filter((member) => backend[member] !== undefined);
      assert.deepEqual([...(fixture.offers ?? [])].toSorted(), has.toSorted(), "the fixture's `offers` is not what the backend has");
      const { maxBlobBytes } = backend.capabilities;
      if (backend.blobs === undefined) assert.equal(maxBlobBytes, undefined);
      else
        assert.ok(
          Number.isSafeInteger(maxBlobBytes) && (maxBlobBytes as number) >= 1024 * 1024,
          "maxBlobBytes is no whole number of at least 1 MiB",
        );
    },
  },
  {
    id: "backend/closed",
    sentence: "Idempotent. Every other method throws `BACKEND_CLOSED` afterwards.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      const node = await open();
      await node.head(log.ref.id);
      await Promise.all([node.close(), node.close()]);
      await node.close();
      await refused("BACKEND_CLOSED", () => node.create(creating(createLog())));
      await refused("BACKEND_CLOSED", () => node.head(log.ref.id));
      await refused("BACKEND_CLOSED", () => node.append(log.ref, { expect: log.position, lines: log.branch().add(message("late")) }));
      await refused("BACKEND_CLOSED", () => readLines(node, log.ref));
      await refused("BACKEND_CLOSED", () => node.find(log.ref, { op: "u:1" }));
      await refused("BACKEND_CLOSED", () => node.list({}));
      await refused("BACKEND_CLOSED", () => node.renew(log.ref, lease, 1000));
      await refused("BACKEND_CLOSED", () => node.cancel(log.ref, "stop"));
      await refused("BACKEND_CLOSED", () =>
        node.rewrite(log.ref, { expect: log.position, next: { id: log.ref.id, incarnation: "next" }, lines: linesFrom([]) }),
      );
      await refused("BACKEND_CLOSED", () => node.delete(log.ref));
      const never = await open();
      await never.close();
      await refused("BACKEND_CLOSED", () => never.head(log.ref.id));
      await append(backend, log, { type: "checkpoint", data: { seq: 1, hash: log.position.hash } });
      await holds(backend, log);
    },
  },
  {
    id: "backend/opened-again",
    sentence:
      "When it resolves, the lines are as durable as the backend declares: a store that is opened again holds what was acknowledged.",
    async run({ backend, open }) {
      const log = await startSession(backend, { key: "k", metadata: { topic: "birds" } });
      await append(backend, log, message("one", { op: "u:1" }), message("two"));
      await takeLease(backend, log);
      const gone = await startSession(backend);
      await backend.delete(gone.ref);
      const before = await backend.head(log.ref.id);
      await backend.close();
      const again = await open();
      const { lease, ...rest } = await holds(again, log);
      const { lease: leaseBefore, ...restBefore } = before;
      assert.deepEqual(rest, restBefore);
      assert.equal(leaseBefore?.fence, 1);
      assert.equal(rest.fence, 1);
      assert.equal(lease?.fence ?? 1, 1);
      assert.equal(await again.find(log.ref, { op: "u:1" }), 1);
      assert.deepEqual((await again.list({})).items, [before.info]);
      await refused("SESSION_DELETED", () => again.head(gone.ref.id));
      await refused("KEY_EXISTS", () => again.create(creating(createLog({ key: "k" }))));
    },
  },
  {
    id: "backend/idle",
    sentence: "Factories are synchronous and lazy: a backend that was never used closes.",
    async run({ open }) {
      const node = await open();
      await node.close();
      await node.close();
      await refused("BACKEND_CLOSED", () => node.list({}));
    },
  },
];
