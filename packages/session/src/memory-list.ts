import type { Capabilities } from "./contract.ts";
import type { Page, SessionInfo, SessionQuery } from "./info.ts";
import { listQuery } from "./list-query.ts";

type Sorted = Pick<SessionInfo, "id" | "updatedAt">;

/** One page of `infos`. Filters first, then order, then the page, so that a filter never makes a page short. Throws `INVALID_OPTION`. */
export function listPage(infos: readonly SessionInfo[], query: SessionQuery, capabilities: Capabilities): Page<SessionInfo> {
  const { order, limit, after, matches, cursor } = listQuery(query, capabilities, "text");
  const compare = order === "id" ? byId : byUpdate;
  const place = after === undefined ? undefined : { id: after.id, updatedAt: after.rank };
  const found = firstOf(infos, (info) => matches(info) && (place === undefined || compare(place, info) < 0), compare, limit + 1);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return last === undefined || found.length <= limit ? { items } : { items, nextCursor: cursor({ id: last.id, rank: last.updatedAt }) };
}

/** The first so many in order, without sorting all: a page is short, however many sessions there are. */
function firstOf(
  infos: readonly SessionInfo[],
  matches: (info: SessionInfo) => boolean,
  compare: (a: Sorted, b: Sorted) => number,
  count: number,
): readonly SessionInfo[] {
  const first: SessionInfo[] = [];
  // The latest sessions are mostly those with the newest update: most of the others need one comparison.
  for (let index = infos.length - 1; index >= 0; index -= 1) {
    const info = infos[index] as SessionInfo;
    const last = first[count - 1];
    if (!matches(info) || (last !== undefined && compare(last, info) < 0)) continue;
    let low = 0;
    for (let high = first.length; low < high;) {
      const middle = (low + high) >> 1;
      if (compare(first[middle] as SessionInfo, info) < 0) low = middle + 1;
      else high = middle;
    }
    first.splice(low, 0, info);
    if (first.length > count) first.pop();
  }
  return first;
}

function byId(a: Sorted, b: Sorted): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function byUpdate(a: Sorted, b: Sorted): number {
  return a.updatedAt > b.updatedAt ? -1 : a.updatedAt < b.updatedAt ? 1 : byId(a, b);
}
