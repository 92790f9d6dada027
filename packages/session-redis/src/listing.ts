import { type ListPlace, type ListQuery, listQuery, type Page, type SessionInfo, type SessionQuery } from "@aixgo/session/backend";
import { type Catalog, peekAll, scoreOf } from "./catalog.ts";
import type { Scope } from "./keys.ts";
import { TOMBSTONE, unpackHead } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import type { Store } from "./store.ts";

const OPERATION = "list sessions";
/** Where a walk stands: behind this session. The rank is its score in the set, in milliseconds; zero in the order of ids. */
type Place = ListPlace<number>;
type CheckedQuery = ListQuery<number>;
/** Ids that are looked at together. */
const LEAST_STEP = 16;
const MOST_STEP = 256;
/** How often a step is taken again because the sets had to be put right. */
const REPAIRS = 3;

interface Listed {
  readonly place: Place;
  readonly info: SessionInfo;
  /** The score that is due, if the set has an older one. */
  readonly due: number | undefined;
}

/** Walks the smallest set that holds all that is asked for, and believes the heads, not the set. */
export async function list(store: Store, catalog: Catalog, query: SessionQuery): Promise<Page<SessionInfo>> {
  store.open(OPERATION);
  const checked = listQuery(query, store.options, "number");
  const scope = await narrowest(store, checked);
  const found: Listed[] = [];
  let place = checked.after;
  let repairs = 0;
  for (;;) {
    const step = Math.min(MOST_STEP, Math.max(LEAST_STEP, checked.limit + 1 - found.length));
    const members = await walk(store, scope, checked, place, step);
    const { listed, mended } = await look(store, catalog, scope, checked, members);
    if (mended && repairs < REPAIRS) {
      repairs += 1;
      continue;
    }
    repairs = 0;
    found.push(...listed);
    if (found.length > checked.limit) {
      const items = found.slice(0, checked.limit);
      await advance(items);
      return { items: items.map(({ info }) => info), nextCursor: checked.cursor((items.at(-1) as Listed).place) };
    }
    place = members.at(-1);
    if (members.length < step || place === undefined) {
      await advance(found);
      return { items: found.map(({ info }) => info) };
    }
  }

  /** What is shown late goes where it belongs now. Not before it is shown: there the pages have passed already. */
  async function advance(items: readonly Listed[]): Promise<void> {
    await Promise.all(items.flatMap(({ place: { id, rank }, due }) => (due === undefined ? [] : [catalog.rescore(scope, id, rank, due)])));
  }
}

/** Those of a step that fit the query. `mended`: one stood too early in the order, the step must be taken again. */
async function look(
  store: Store,
  catalog: Catalog,
  scope: Scope,
  checked: CheckedQuery,
  members: readonly Place[],
): Promise<{ readonly listed: readonly Listed[]; readonly mended: boolean }> {
  const heads = await peekAll(
    store,
    OPERATION,
    members.map(({ id }) => id),
  );
  const listed: Listed[] = [];
  const repairs: Promise<void>[] = [];
  let mended = false;
  for (const [i, place] of members.entries()) {
    const { id, rank: score } = place;
    const packed = heads[i];
    if (packed === undefined || packed.toString("latin1", 0, 1) === TOMBSTONE) {
      // Expired, deleted, or never finished.
      repairs.push(catalog.forget(scope, id, undefined));
      continue;
    }
    const info = readable(id, packed);
    // Damaged: reading the session says so. It is nothing that a list could mend.
    if (info === undefined) continue;
    if (!scope.holds(info)) {
      // Left over from older metadata.
      if (checked.order === "updated") repairs.push(catalog.forget(scope, id, score));
      continue;
    }
    const due = scoreOf(info);
    if (checked.order === "updated" && due < score) {
      // Its turn is still to come.
      repairs.push(catalog.rescore(scope, id, score, due));
      mended = true;
      continue;
    }
    // One whose turn was before this step is shown now, or it would be missed.
    if (checked.matches(info)) listed.push({ place, info, due: checked.order === "updated" && due > score ? due : undefined });
  }
  await Promise.all(repairs);
  return { listed, mended };
}

async function walk(
  store: Store,
  scope: Scope,
  { order, updatedAfter, updatedBefore }: CheckedQuery,
  place: Place | undefined,
  step: number,
): Promise<readonly Place[]> {
  if (order === "id") {
    const reply = (await store.read({
      operation: OPERATION,
      script: scripts.walkIds,
      keys: [scope.ids],
      args: [place?.id ?? "", String(step)],
    })) as readonly Buffer[];
    return reply.map((id) => ({ id: String(id), rank: 0 }));
  }
  const args = [place === undefined ? "" : String(place.rank), place?.id ?? "", text(updatedAfter), text(updatedBefore), String(step)];
  const reply = (await store.read({ operation: OPERATION, script: scripts.walkUpdated, keys: [scope.updated], args })) as readonly Buffer[];
  return Array.from({ length: reply.length / 2 }, (_, i) => ({ id: String(reply[i * 2]), rank: Number(String(reply[i * 2 + 1])) }));
}

async function narrowest(store: Store, { filters, metadata }: CheckedQuery): Promise<Scope> {
  const { keys, options } = store;
  const { agentName, tenantId, userId } = filters;
  const scopes = [
    ...(agentName === undefined ? [] : [keys.agent(agentName)]),
    ...(tenantId === undefined ? [] : [keys.tenant(tenantId)]),
    ...(userId === undefined ? [] : [keys.user(userId)]),
    ...metadata.flatMap(([key, value]) => (options.indexedMetadata.includes(key) ? [keys.metadata(key, value)] : [])),
  ];
  const [only] = scopes;
  if (only === undefined) return keys.all;
  if (scopes.length === 1) return only;
  const sizes = await Promise.all(
    scopes.map(async ({ updated }) => {
      const [size] = (await store.read({ operation: OPERATION, script: scripts.size, keys: [updated] })) as readonly number[];
      return size as number;
    }),
  );
  return scopes[sizes.indexOf(Math.min(...sizes))] as Scope;
}

function readable(id: string, packed: Buffer): SessionInfo | undefined {
  try {
    return unpackHead(id, packed).fold.info;
  } catch {
    return undefined;
  }
}

function text(number: number | undefined): string {
  return number === undefined ? "" : String(number);
}
