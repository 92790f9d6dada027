import type { Json } from "@aixgo/core";
import type { Page, SessionInfo, SessionQuery } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { type Flaw, type Mutant, mutant } from "./mutant.ts";

const ONCE = "keyset pages: a session untouched meanwhile appears exactly once";
const FILTERS = "tenant and user filter before paging";
const CURSOR = "cursor: of the page before, made by the same query";
const SCAN = "flat only on declared metadata keys, others need scan";

type Listing = (query: SessionQuery) => Promise<Page<SessionInfo>>;

function listing(change: (list: Listing, real: SessionBackend) => Listing): (real: SessionBackend) => Flaw {
  return (real) => ({ list: change(real.list, real) });
}

function omit(query: SessionQuery, ...members: readonly (keyof SessionQuery)[]): SessionQuery {
  const copy = { ...query };
  for (const member of members) delete copy[member];
  return copy;
}

/** Everything that a query finds, whatever its page. */
async function everything(list: Listing, query: SessionQuery): Promise<readonly SessionInfo[]> {
  return (await list({ ...omit(query, "cursor"), limit: 1000 })).items;
}

/** Pages by a place in what is found now. */
async function byOffset(list: Listing, query: SessionQuery): Promise<Page<SessionInfo>> {
  const all = await everything(list, query);
  const from = Number(query.cursor ?? 0);
  const to = from + (query.limit ?? 50);
  return { items: all.slice(from, to), ...(to < all.length ? { nextCursor: String(to) } : undefined) };
}

export const listMutants: readonly Mutant[] = [
  mutant(
    "passes over what it does not know in a query",
    "INVALID_OPTION for a query that cannot be answered",
    ["list/refused"],
    listing((list) => (query) => {
      const known = ["agentName", "tenantId", "userId", "metadata", "updatedAfter", "updatedBefore", "limit", "cursor", "order", "scan"];
      return list(Object.fromEntries(Object.entries(query).filter(([name]) => known.includes(name))));
    }),
  ),
  mutant(
    "lists by id",
    "newest update first",
    ["list/newest-first", "list/pages"],
    listing((list) => (query) => list({ ...query, order: "id" })),
  ),
  mutant(
    "lists by update only",
    "newest update first or by id",
    ["list/by-id"],
    listing((list) => (query) => list(omit(query, "order"))),
  ),
  mutant(
    "lists by creation",
    "newest update first",
    ["list/newest-first"],
    listing((list) => async (query) => {
      const page = await list(query);
      return query.order === "id" ? page : { ...page, items: page.items.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1)) };
    }),
  ),
  mutant(
    "pages by offset",
    ONCE,
    ["list/updated-meanwhile", "list/deleted-meanwhile", "list/cursor-of-another-query", "list/cursor-foreign", "list/many"],
    listing((list) => (query) => byOffset(list, query)),
  ),
  mutant(
    "pages by time alone",
    ONCE,
    ["list/same-time"],
    listing((list) => async (query) => {
      if (query.order === "id") return list(query);
      const { cursor = "9" } = query;
      const all = (await everything(list, query)).filter(({ updatedAt }) => updatedAt < cursor);
      const items = all.slice(0, query.limit ?? 50);
      return { items, ...(items.length < all.length ? { nextCursor: items.at(-1)?.updatedAt ?? "" } : undefined) };
    }),
  ),
  mutant(
    "lists no more than the newest 500",
    ONCE,
    ["list/many"],
    listing((list) => async (query) => {
      const newest = new Set((await list({ limit: 500 })).items.map(({ id }) => id));
      const page = await list(query);
      return { ...page, items: page.items.filter(({ id }) => newest.has(id)) };
    }),
  ),
  mutant(
    "begins a page with the last of the page before",
    ONCE,
    ["list/pages", "list/shown-once"],
    listing((list) => async (query) => {
      const page = await list(query);
      const all = await everything(list, query);
      const at = all.findIndex(({ id }) => id === page.items[0]?.id);
      return query.cursor === undefined || at < 1 ? page : { ...page, items: all.slice(at - 1, at - 1 + page.items.length) };
    }),
  ),
  mutant(
    "forgets the last page",
    ONCE,
    ["list/pages", "list/limits"],
    listing((list) => async (query) => {
      const page = await list(query);
      if (page.nextCursor === undefined) return page;
      return (await list({ ...query, cursor: page.nextCursor })).nextCursor === undefined ? { items: page.items } : page;
    }),
  ),
  mutant(
    "always promises another page",
    "nextCursor: absent on the last page",
    ["list/empty", "list/pages"],
    listing((list) => async (query) => {
      const page = await list(query);
      return { ...page, nextCursor: page.nextCursor ?? "more" };
    }),
  ),
  mutant(
    "filters after paging",
    FILTERS,
    ["list/filter-before-page"],
    listing((list) => async (query) => {
      const page = await list(omit(query, "tenantId", "userId"));
      return {
        ...page,
        items: page.items.filter(
          (info) => (query.tenantId ?? info.tenantId) === info.tenantId && (query.userId ?? info.userId) === info.userId,
        ),
      };
    }),
  ),
  mutant(
    "forgets the tenant",
    FILTERS,
    ["list/tenant-and-user", "list/filter-before-page"],
    listing((list) => (query) => list(omit(query, "tenantId"))),
  ),
  mutant(
    "forgets the user",
    FILTERS,
    ["list/tenant-and-user", "list/filter-before-page"],
    listing((list) => (query) => list(omit(query, "userId"))),
  ),
  mutant(
    "forgets the agent",
    FILTERS,
    ["list/tenant-and-user"],
    listing((list) => (query) => list(omit(query, "agentName"))),
  ),
  mutant(
    "shows sessions without a user to everybody",
    FILTERS,
    ["list/tenant-and-user"],
    listing((list) => async (query) => {
      const all = await everything(list, omit(query, "userId"));
      return { items: all.filter(({ userId }) => query.userId === undefined || userId === undefined || userId === query.userId) };
    }),
  ),
  mutant(
    "compares users by their beginning",
    FILTERS,
    ["list/tenant-and-user"],
    listing((list) => async (query) => {
      const all = await everything(list, omit(query, "userId"));
      return { items: all.filter(({ userId }) => query.userId === undefined || userId?.startsWith(query.userId)) };
    }),
  ),
  mutant("goes on with the query of the cursor", CURSOR, ["list/cursor-of-another-query"], (real) => {
    const queries = new Map<string, SessionQuery>();
    return {
      async list(query) {
        const page = await real.list(
          query.cursor === undefined ? query : { ...(queries.get(query.cursor) ?? query), cursor: query.cursor },
        );
        if (page.nextCursor !== undefined) queries.set(page.nextCursor, omit(query, "cursor"));
        return page;
      },
    };
  }),
  mutant(
    "begins anew after a cursor that it does not know",
    CURSOR,
    ["list/cursor-foreign", "list/cursor-of-another-query"],
    listing((list) => (query) => list(query).catch(() => list(omit(query, "cursor")))),
  ),
  mutant(
    "scans unasked",
    SCAN,
    ["list/metadata-needs-scan"],
    listing((list) => (query) => list({ ...query, scan: true })),
  ),
  mutant(
    "ignores a metadata filter on undeclared keys",
    SCAN,
    ["list/metadata", "list/metadata-needs-scan", "list/metadata-follows"],
    listing((list) => (query) => list(omit(query, "metadata"))),
  ),
  mutant(
    "compares metadata as text",
    "all members must be equal",
    ["list/metadata"],
    listing((list) => async (query) => {
      const { metadata = {} } = query;
      const text = (value: Json | undefined): string | undefined => (typeof value === "string" ? value : JSON.stringify(value));
      await list({ ...query, limit: 1 });
      const all = await everything(list, omit(query, "metadata"));
      return { items: all.filter((info) => Object.entries(metadata).every(([key, value]) => text(info.metadata[key]) === text(value))) };
    }),
  ),
  mutant(
    "needs one equal member",
    "all members must be equal",
    ["list/metadata"],
    listing((list) => async (query) => {
      const { metadata } = query;
      if (metadata === undefined) return list(query);
      await list({ ...query, limit: 1 });
      const found: SessionInfo[] = [];
      for (const [key, value] of Object.entries(metadata))
        found.push(...(await everything(list, { ...query, metadata: { [key]: value } })));
      return { items: found.filter((info, at) => found.findIndex(({ id }) => id === info.id) === at) };
    }),
  ),
  mutant(
    "lists sessions as they were created",
    "head, counters and index follow from the lines",
    ["list/info", "list/metadata-follows", "read/coherent"],
    (real) => {
      const infos = new Map<string, SessionInfo>();
      return {
        async create(request) {
          const answer = await real.create(request);
          if (answer.created) infos.set(answer.head.id, answer.head.info);
          return answer;
        },
        async list(query) {
          const page = await real.list(query);
          return { ...page, items: page.items.map((info) => infos.get(info.id) ?? info) };
        },
      };
    },
  ),
  mutant(
    "takes both ends of a range of time",
    "updatedAfter, updatedBefore: exclusive",
    ["list/updated-range"],
    listing((list) => (query) => {
      const moved = (text: string, byMs: number): string => new Date(Date.parse(text) + byMs).toISOString();
      return list({
        ...query,
        ...(query.updatedAfter === undefined ? undefined : { updatedAfter: moved(query.updatedAfter, -1) }),
        ...(query.updatedBefore === undefined ? undefined : { updatedBefore: moved(query.updatedBefore, 1) }),
      });
    }),
  ),
  mutant(
    "compares times as text",
    "updatedAfter, updatedBefore: ISO 8601",
    ["list/updated-range"],
    listing((list) => async (query) => {
      const { updatedAfter: after = "", updatedBefore: before = "9" } = query;
      const all = await everything(list, omit(query, "updatedAfter", "updatedBefore"));
      if (query.updatedAfter === undefined && query.updatedBefore === undefined) return list(query);
      return { items: all.filter(({ updatedAt }) => updatedAt > after && updatedAt < before) };
    }),
  ),
  mutant(
    "takes any limit",
    "limit: 1 to 1000",
    ["list/limits"],
    listing((list) => (query) => {
      const { limit = 50 } = query;
      return list({ ...query, limit: Math.min(1000, Math.max(1, Math.trunc(limit) || 50)) });
    }),
  ),
  mutant(
    "gives all at once",
    "limit: 50 by default",
    ["list/limits"],
    listing((list) => (query) => list({ ...query, limit: query.limit ?? 1000 })),
  ),
];
