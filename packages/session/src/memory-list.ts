import type { Capabilities } from "./contract.ts";
import type { Page, SessionInfo, SessionQuery } from "./info.ts";
import { type ListPlace, listQuery } from "./list-query.ts";

type Place = ListPlace<string>;

/** One page of `infos`. Filters first, then order, then the page, so that a filter never makes a page short. Throws `INVALID_OPTION`. */
export function listPage(infos: readonly SessionInfo[], query: SessionQuery, capabilities: Capabilities): Page<SessionInfo> {
  const { order, limit, after, matches, cursor } = listQuery(query, capabilities, "text");
  const compare = order === "id" ? byId : byUpdate;
  const found = infos
    .filter((info) => matches(info) && (after === undefined || compare(after, placeOf(info)) < 0))
    .sort((a, b) => compare(placeOf(a), placeOf(b)));
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return last === undefined || found.length <= limit ? { items } : { items, nextCursor: cursor(placeOf(last)) };
}

function placeOf({ id, updatedAt }: SessionInfo): Place {
  return { id, rank: updatedAt };
}

function byId(a: Place, b: Place): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function byUpdate(a: Place, b: Place): number {
  return a.rank > b.rank ? -1 : a.rank < b.rank ? 1 : byId(a, b);
}
