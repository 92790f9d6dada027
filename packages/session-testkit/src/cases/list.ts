import assert from "node:assert/strict";
import type { Case } from "../harness/case.ts";
import { refused } from "../harness/expect.ts";
import { at, idsOf, listed, pages, sessions } from "../harness/listing.ts";
import { type LogBuilder, message } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";

export const listCases: readonly Case[] = [
  {
    id: "list/empty",
    sentence: "List: newest update first or by id.",
    async run({ backend }) {
      for (const order of ["updated", "id"] as const) assert.deepEqual(await backend.list({ order }), { items: [] });
      assert.deepEqual(await backend.list({ agentName: "nobody", userId: "nobody", tenantId: "nobody" }), { items: [] });
    },
  },
  {
    id: "list/newest-first",
    sentence: "List: newest update first.",
    async run({ backend, open }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 8 }, (_, i) => ({ agentName: `agent-${i % 3}` })),
      );
      const other = await open();
      for (const node of [backend, other]) assert.deepEqual(await listed(node, {}), idsOf(logs).reverse());
      await append(backend, logs[2] as LogBuilder, message("touched", { timestamp: at(20) }));
      await append(other, logs[5] as LogBuilder, message("touched", { timestamp: at(30) }));
      const order = [5, 2, 7, 6, 4, 3, 1, 0].map((i) => logs[i]?.ref.id);
      for (const node of [backend, other]) assert.deepEqual(await listed(node, { limit: 3 }), order);
    },
  },
  {
    id: "list/by-id",
    sentence: "List: newest update first or by id: stable, for sweeps.",
    async run({ backend, open }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 9 }, () => ({})),
      );
      const ids = idsOf(logs).sort();
      await append(backend, logs[0] as LogBuilder, message("touched", { timestamp: at(99) }));
      for (const node of [backend, await open()]) {
        assert.deepEqual(await listed(node, { order: "id" }), ids);
        assert.deepEqual(await listed(node, { order: "id", limit: 2 }), ids);
      }
    },
  },
  {
    id: "list/info",
    sentence: "Head, counters and index follow from the lines.",
    async run({ backend, open }) {
      const log = await startSession(backend, {
        agentName: "helper",
        userId: "ada",
        tenantId: "acme",
        key: "k",
        metadata: { a: { b: [1] } },
      });
      await append(backend, log, message("one"), message("two"));
      for (const node of [backend, await open()]) {
        const { items } = await node.list({});
        assert.deepEqual(items, [(await node.head(log.ref.id)).info]);
        assert.equal(items[0]?.version, 2);
        assert.equal(items[0]?.messageCount, 2);
        assert.equal(items[0]?.tenantId, "acme");
        assert.equal(items[0]?.userId, "ada");
      }
    },
  },
  {
    id: "list/refused",
    sentence: "`INVALID_OPTION` for a query that cannot be answered.",
    async run({ backend }) {
      await startSession(backend);
      const wrong: readonly object[] = [
        { flavour: "sweet" },
        { order: "size" },
        { agentName: 5 },
        { tenantId: ["acme"] },
        { userId: null },
        { metadata: "topic", scan: true },
        { metadata: { topic: undefined }, scan: true },
        { updatedAfter: "yesterday" },
        { updatedBefore: 5 },
        { cursor: 5 },
      ];
      for (const query of wrong) await refused("INVALID_OPTION", () => backend.list(query));
      assert.equal((await backend.list({})).items.length, 1);
    },
  },
  {
    id: "list/limits",
    sentence: "`limit`: 1 to 1000, 50 by default.",
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 51 }, () => ({})),
      );
      for (const limit of [0, -1, 1001, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
        await refused("INVALID_OPTION", () => backend.list({ limit }));
      assert.equal((await backend.list({ limit: 1000 })).items.length, 51);
      assert.equal((await backend.list({ limit: 1 })).items.length, 1);
      assert.deepEqual(
        (await pages(backend, {})).map(({ length }) => length),
        [50, 1],
      );
      assert.deepEqual(await listed(backend, {}), idsOf(logs).reverse());
    },
  },
];
