import assert from "node:assert/strict";
import type { Json } from "@aixgo/core";
import type { Case } from "../harness/case.ts";
import { refused } from "../harness/expect.ts";
import { at, idsOf, listed, pages, sessions } from "../harness/listing.ts";
import type { LogBuilder } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";

const FILTERS = "Tenant and user filter before paging.";

export const listFilterCases: readonly Case[] = [
  {
    id: "list/tenant-and-user",
    sentence: FILTERS,
    async run({ backend, open }) {
      const who = [
        ["acme", "ada"],
        ["acme", "bob"],
        ["zeta", "ada"],
        [undefined, "ada"],
        ["acme", undefined],
        [undefined, undefined],
      ] as const;
      const logs = await sessions(
        backend,
        Array.from({ length: 18 }, (_, i) => {
          const [tenantId, userId] = who[i % 6] as (typeof who)[number];
          return {
            ...(tenantId === undefined ? undefined : { tenantId }),
            ...(userId === undefined ? undefined : { userId }),
            agentName: i < 9 ? "first" : "second",
          };
        }),
      );
      const expected = (fits: (info: LogBuilder["info"]) => boolean): string[] => idsOf(logs.filter(({ info }) => fits(info))).reverse();
      for (const node of [backend, await open()]) {
        for (const limit of [1, 2, 50]) {
          assert.deepEqual(
            await listed(node, { tenantId: "acme", limit }),
            expected((info) => info.tenantId === "acme"),
          );
          assert.deepEqual(
            await listed(node, { userId: "ada", limit }),
            expected((info) => info.userId === "ada"),
          );
          assert.deepEqual(
            await listed(node, { tenantId: "acme", userId: "ada", limit }),
            expected((info) => info.tenantId === "acme" && info.userId === "ada"),
          );
          assert.deepEqual(
            await listed(node, { agentName: "second", limit }),
            expected((info) => info.agentName === "second"),
          );
          assert.deepEqual(await listed(node, { tenantId: "zeta", userId: "bob", limit }), []);
        }
        assert.deepEqual(await listed(node, { userId: "ad" }), []);
        assert.deepEqual(await listed(node, { tenantId: "Acme" }), []);
      }
    },
  },
  {
    id: "list/filter-before-page",
    sentence: FILTERS,
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 30 }, (_, i) => ({ tenantId: i % 10 === 0 ? "rare" : "common", userId: i % 10 === 0 ? "ada" : "bob" })),
      );
      const rare = idsOf(logs.filter(({ info }) => info.tenantId === "rare")).reverse();
      for (const query of [{ tenantId: "rare" }, { userId: "ada" }]) {
        const all = await pages(backend, { ...query, limit: 2 });
        assert.deepEqual(
          all.map((page) => page.map(({ id }) => id)),
          [rare.slice(0, 2), rare.slice(2)],
          "pages are not filled with what matches",
        );
      }
    },
  },
  {
    id: "list/metadata-needs-scan",
    sentence: "Flat only on declared metadata keys, others need `scan: true`.",
    async run({ backend }) {
      const [log] = await sessions(backend, [{ metadata: { undeclared: "x" } }]);
      assert.ok(!backend.capabilities.indexedMetadata.includes("undeclared"));
      await refused("INVALID_OPTION", () => backend.list({ metadata: { undeclared: "x" } }));
      await refused("INVALID_OPTION", () => backend.list({ metadata: { undeclared: "x" }, scan: false }));
      assert.deepEqual(await listed(backend, { metadata: { undeclared: "x" }, scan: true }), [log?.ref.id]);
      for (const key of backend.capabilities.indexedMetadata) assert.deepEqual(await listed(backend, { metadata: { [key]: "x" } }), []);
    },
  },
  {
    id: "list/metadata",
    sentence: "All members must be equal; keys that the backend has not indexed need `scan`.",
    async run({ backend, open }) {
      const [declared] = backend.capabilities.indexedMetadata;
      for (const [key, scan] of [["undeclared", true], ...(declared === undefined ? [] : [[declared, false] as const])] as const) {
        const values: readonly Json[] = ["x", "X", 1, "1", true, null, { a: 1, b: [2] }, [1, 2]];
        const logs = await sessions(
          backend,
          values.map((value, i) => ({ metadata: { [key]: value, [`${key}-other`]: i } })),
        );
        const none = await startSession(backend);
        for (const node of [backend, await open()]) {
          for (const [i, value] of values.entries()) {
            assert.deepEqual(
              await listed(node, { metadata: { [key]: value }, scan, limit: 2 }),
              [logs[i]?.ref.id],
              `metadata ${JSON.stringify(value)}`,
            );
          }
          assert.deepEqual(await listed(node, { metadata: { [key]: { b: [2], a: 1 } }, scan }), [logs[6]?.ref.id]);
          assert.deepEqual(await listed(node, { metadata: { [key]: { a: 1 } }, scan }), []);
          assert.deepEqual(await listed(node, { metadata: { [key]: "x", [`${key}-other`]: 0 }, scan: true }), [logs[0]?.ref.id]);
          assert.deepEqual(await listed(node, { metadata: { [key]: "x", [`${key}-other`]: 1 }, scan: true }), []);
          for (const inherited of ["constructor", "toString"])
            assert.deepEqual(await listed(node, { metadata: { [inherited]: null }, scan: true }), []);
        }
        for (const log of [...logs, none]) await backend.delete(log.ref);
      }
    },
  },
  {
    id: "list/metadata-follows",
    sentence: "`metadata`: the whole new object. Head, counters and index follow from the lines.",
    async run({ backend, open }) {
      const [key = "topic"] = backend.capabilities.indexedMetadata;
      const log = await startSession(backend, { metadata: { [key]: "old", gone: 1 } });
      const other = await open();
      assert.deepEqual(await listed(other, { metadata: { [key]: "old" }, scan: true }), [log.ref.id]);
      await append(backend, log, { type: "metadata", data: { [key]: "new" } });
      for (const node of [other, backend]) {
        assert.deepEqual(await listed(node, { metadata: { [key]: "new" }, scan: true }), [log.ref.id]);
        assert.deepEqual(await listed(node, { metadata: { [key]: "old" }, scan: true }), []);
        assert.deepEqual((await node.list({})).items[0]?.metadata, { [key]: "new" });
      }
    },
  },
  {
    id: "list/updated-range",
    sentence: "`updatedAfter`, `updatedBefore`: ISO 8601, exclusive.",
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 7 }, () => ({})),
      );
      const ids = idsOf(logs);
      assert.deepEqual(await listed(backend, { updatedAfter: at(3) }), ids.slice(4).reverse());
      assert.deepEqual(await listed(backend, { updatedBefore: at(3) }), ids.slice(0, 3).reverse());
      assert.deepEqual(await listed(backend, { updatedAfter: at(1), updatedBefore: at(5), limit: 2 }), ids.slice(2, 5).reverse());
      assert.deepEqual(await listed(backend, { updatedAfter: at(1), updatedBefore: at(5), order: "id", limit: 1 }), ids.slice(2, 5).sort());
      assert.deepEqual(await listed(backend, { updatedAfter: at(1).replace(".000Z", "Z"), updatedBefore: at(3) }), ids.slice(2, 3));
      assert.deepEqual(await listed(backend, { updatedAfter: at(6) }), []);
    },
  },
];
