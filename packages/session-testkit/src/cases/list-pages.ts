import assert from "node:assert/strict";
import type { SessionQuery } from "@aixgo/session/backend";
import { MANY_SESSIONS } from "../fixture.ts";
import type { Case } from "../harness/case.ts";
import { refused } from "../harness/expect.ts";
import { at, idsOf, listed, MINUTE, pages, sessions, START } from "../harness/listing.ts";
import { type LogBuilder, message } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";

const ONCE = "Keyset pages: a session untouched meanwhile appears exactly once.";
/** Sessions that are made at the same time. */
const BATCH = 16;

export const listPageCases: readonly Case[] = [
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
    id: "list/many",
    sentence: ONCE,
    async run({ backend, open, fixture }) {
      const count = fixture.sessions ?? MANY_SESSIONS;
      const tenants = ["acme", "zeta"];
      const logs: LogBuilder[] = [];
      for (let from = 0; from < count; from += BATCH) {
        const batch = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => {
          const nth = from + i;
          const own = { tenantId: tenants[nth % 2] as string, userId: `user-${nth % 5}`, agentName: `agent-${nth % 3}` };
          return startSession(backend, { ...own, metadata: { nth: nth % 7 }, startedAt: START + nth * MINUTE });
        });
        logs.push(...(await Promise.all(batch)));
      }
      const other = await open();
      // Every tenth is appended to while the pages are read, and new ones are made that fit every filter.
      const waiting = logs.filter((_, i) => i % 10 === 9);
      const touched = new Set(idsOf(waiting));
      const due = (fits: (info: LogBuilder["info"]) => boolean): string[] =>
        idsOf(logs.filter(({ ref, info }) => !touched.has(ref.id) && fits(info)));
      let minute = count + 1;
      const queries: readonly (readonly [SessionQuery, (info: LogBuilder["info"]) => boolean])[] = [
        [{}, () => true],
        [{ tenantId: "acme" }, ({ tenantId }) => tenantId === "acme"],
        [{ userId: "user-3", agentName: "agent-1" }, ({ userId, agentName }) => userId === "user-3" && agentName === "agent-1"],
        [{ metadata: { nth: 3 }, scan: true }, ({ metadata }) => metadata["nth"] === 3],
        [{ updatedAfter: at(count / 2) }, ({ createdAt }) => createdAt > at(count / 2)],
      ];
      for (const [filter, fits] of queries) {
        for (const order of ["updated", "id"] as const) {
          const limit = Math.max(7, Math.min(211, Math.floor(due(fits).length / 4)));
          const seen = await pages(other, { ...filter, order, limit }, async () => {
            const log = waiting.pop();
            if (log !== undefined) await append(backend, log, message("touched", { timestamp: at((minute += 1)) }));
            const own = { tenantId: "acme", userId: "user-3", agentName: "agent-1", metadata: { nth: 3 } };
            await startSession(backend, { ...own, startedAt: START + (minute += 1) * MINUTE });
          });
          const times = new Map<string, number>();
          for (const { id } of seen.flat()) times.set(id, (times.get(id) ?? 0) + 1);
          const wrong = due(fits).filter((id) => times.get(id) !== 1);
          assert.equal(
            wrong.length,
            0,
            `${JSON.stringify(filter)} by ${order}: of ${count} sessions, ${wrong.length} untouched ones do not appear exactly once`,
          );
          const foreign = due((info) => !fits(info)).filter((id) => times.has(id));
          assert.equal(foreign.length, 0, `${JSON.stringify(filter)} by ${order}: ${foreign.length} sessions appear that do not fit`);
        }
      }
      assert.ok(waiting.length < touched.size);
    },
  },
];
