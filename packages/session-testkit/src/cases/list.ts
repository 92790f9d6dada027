import assert from "node:assert/strict";
import type { Json } from "@aixgo/core";
import type { SessionBackend, SessionInfo, SessionQuery } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { refused } from "../harness/expect.ts";
import { type LogBuilder, message } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";

const START = Date.UTC(2026, 2, 1);
const MINUTE = 60_000;
const ONCE = "Keyset pages: a session untouched meanwhile appears exactly once.";
const FILTERS = "Tenant and user filter before paging.";

function at(minute: number): string {
  return new Date(START + minute * MINUTE).toISOString();
}

/** Sessions whose last updates are a minute apart, the last one the newest. */
async function sessions(backend: SessionBackend, options: readonly Parameters<typeof startSession>[1][]): Promise<LogBuilder[]> {
  const logs: LogBuilder[] = [];
  for (const [i, one] of options.entries()) logs.push(await startSession(backend, { startedAt: START + i * MINUTE, ...one }));
  return logs;
}

function idsOf(logs: readonly LogBuilder[]): string[] {
  return logs.map((log) => log.ref.id);
}

/** All pages of a query, one after the other; `between` runs after each. */
async function pages(
  backend: SessionBackend,
  query: SessionQuery,
  between?: (page: readonly SessionInfo[]) => Promise<void>,
): Promise<SessionInfo[][]> {
  const all: SessionInfo[][] = [];
  let cursor: string | undefined;
  do {
    assert.ok(all.length < 200, "the pages do not end");
    const page = await backend.list({ ...query, ...(cursor === undefined ? undefined : { cursor }) });
    assert.ok(page.items.length <= (query.limit ?? 50), "a page is longer than its limit");
    assert.ok(page.nextCursor === undefined || page.items.length > 0, "a page is empty, but others are to follow");
    all.push([...page.items]);
    cursor = page.nextCursor;
    await between?.(page.items);
  } while (cursor !== undefined);
  return all;
}

async function listed(backend: SessionBackend, query: SessionQuery): Promise<string[]> {
  return (await pages(backend, query)).flat().map(({ id }) => id);
}

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
    id: "list/pages",
    sentence: ONCE,
    async run({ backend, open }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 11 }, () => ({})),
      );
      for (const node of [backend, await open()]) {
        for (const limit of [1, 2, 5, 10, 11, 12]) {
          const all = await pages(node, { limit });
          assert.deepEqual(
            all.flat().map(({ id }) => id),
            idsOf(logs).reverse(),
          );
          assert.deepEqual(
            all.map(({ length }) => length),
            Array.from({ length: Math.ceil(11 / limit) }, (_, i) => Math.min(limit, 11 - i * limit)),
            `pages of ${limit}`,
          );
        }
      }
    },
  },
  {
    id: "list/same-time",
    sentence: ONCE,
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 9 }, () => ({ startedAt: START })),
      );
      for (const limit of [1, 2, 4]) assert.deepEqual((await listed(backend, { limit })).sort(), idsOf(logs).sort());
    },
  },
  {
    id: "list/updated-meanwhile",
    sentence: ONCE,
    async run({ backend, open }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 12 }, () => ({})),
      );
      const other = await open();
      const touched = logs.slice(0, 4);
      let minute = 100;
      let page = 0;
      const seen = await pages(other, { limit: 2 }, async () => {
        // One that is still to come moves to the front, and a new one stands there.
        const log = touched[page++];
        if (log === undefined) return;
        await append(backend, log, message("touched", { timestamp: at(minute++) }));
        await startSession(backend, { startedAt: START + minute++ * MINUTE });
      });
      const ids = seen.flat().map(({ id }) => id);
      assert.ok(page >= 4);
      assert.deepEqual(ids, idsOf(logs.slice(4)).reverse(), "the sessions that nobody touched do not appear exactly once");
    },
  },
  {
    id: "list/shown-once",
    sentence: "Keyset cursors: a session shown on a page and then updated moves before the cursor, not behind it.",
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 6 }, () => ({})),
      );
      let minute = 100;
      const seen = await pages(backend, { limit: 2 }, async (page) => {
        for (const { id } of page)
          await append(backend, logs.find(({ ref }) => ref.id === id) as LogBuilder, message("touched", { timestamp: at(minute++) }));
      });
      assert.deepEqual(
        seen.flat().map(({ id }) => id),
        idsOf(logs).reverse(),
      );
    },
  },
  {
    id: "list/deleted-meanwhile",
    sentence: ONCE,
    async run({ backend }) {
      const logs = await sessions(
        backend,
        Array.from({ length: 8 }, () => ({})),
      );
      const rest = idsOf(logs);
      const first = await backend.list({ limit: 3, order: "updated" });
      // The session that the cursor points at goes.
      const gone = first.items.at(-1)?.id as string;
      await backend.delete((logs.find(({ ref }) => ref.id === gone) as LogBuilder).ref);
      assert.ok(first.nextCursor !== undefined);
      const second = await backend.list({ limit: 5, cursor: first.nextCursor });
      assert.deepEqual(
        second.items.map(({ id }) => id),
        rest.slice(0, 5).reverse(),
      );
      assert.equal(second.nextCursor, undefined);
    },
  },
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
  {
    id: "list/cursor-of-another-query",
    sentence: "`cursor`: of the page before, made by the same query.",
    async run({ backend, open }) {
      await sessions(
        backend,
        Array.from({ length: 6 }, (_, i) => ({ tenantId: "acme", userId: i % 2 === 0 ? "ada" : "bob", agentName: "agent" })),
      );
      const { nextCursor: cursor } = await backend.list({ limit: 2, tenantId: "acme" });
      assert.ok(cursor !== undefined);
      const others: readonly SessionQuery[] = [
        {},
        { tenantId: "zeta" },
        { tenantId: "acme", userId: "ada" },
        { tenantId: "acme", agentName: "agent" },
        { tenantId: "acme", order: "id" },
        { tenantId: "acme", updatedAfter: at(-1) },
        { tenantId: "acme", updatedBefore: at(99) },
        { tenantId: "acme", metadata: { a: 1 }, scan: true },
        { userId: "acme" },
      ];
      const other = await open();
      for (const query of others) await refused("INVALID_OPTION", () => other.list({ ...query, limit: 2, cursor }));
      assert.equal((await other.list({ limit: 2, tenantId: "acme", cursor })).items.length, 2);
    },
  },
  {
    id: "list/cursor-foreign",
    sentence: "`cursor`: of the page before, made by the same query.",
    async run({ backend }) {
      await sessions(backend, [{}, {}, {}]);
      const { nextCursor = "" } = await backend.list({ limit: 1 });
      for (const cursor of ["", "x", "AAAA", "null", "W10", nextCursor.slice(0, -6), "../../etc", "\u0000", "9".repeat(5000)]) {
        await refused("INVALID_OPTION", () => backend.list({ limit: 1, cursor }));
      }
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
