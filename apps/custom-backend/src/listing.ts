import type { Head, Page, SessionInfo, SessionQuery } from "@aixgo/session/backend";
import { rowQuery, type Place } from "./list-query.ts";
import type { Store } from "./store.ts";

/** Rows that are read at once while metadata that is not indexed is looked through. */
const SCAN_ROWS = 200;

/** One page. A filter never makes it short: rows are read on until it is full. Throws `INVALID_OPTION`. */
export async function listSessions(store: Store, query: SessionQuery, indexedMetadata: readonly string[]): Promise<Page<SessionInfo>> {
  const { limit, after, rowsAfter, matches, cursor } = rowQuery(query, indexedMetadata);
  // One row more than the page has tells whether there is another page.
  const count = matches === undefined ? limit + 1 : SCAN_ROWS;
  const items: SessionInfo[] = [];
  let place: Place | undefined = after;
  let last: Place | undefined;
  for (;;) {
    const { sql, values } = rowsAfter(place);
    const rows = await store.read("list sessions", (connection) =>
      connection.all(`SELECT id, updated_ms, head FROM sessions ${sql} LIMIT ?`, ...values, count),
    );
    for (const [id, updatedMs, head] of rows) {
      place = { id: id as string, rank: updatedMs as number };
      const { info } = JSON.parse(head as string) as Head;
      if (matches?.(info) === false) continue;
      if (items.length === limit && last !== undefined) return { items, nextCursor: cursor(last) };
      items.push(info);
      last = place;
    }
    if (rows.length < count) return { items };
    // A long scan leaves room for others.
    await new Promise(setImmediate);
  }
}
