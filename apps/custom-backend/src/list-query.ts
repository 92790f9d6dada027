import { type ListPlace, listQuery, type SessionInfo, type SessionQuery } from "@aixgo/session/backend";
import type { Value } from "./connection.ts";
import { digestOf, quoted } from "./text.ts";

/** Where the next rows begin: right behind this one. The rank is its last update, in milliseconds. */
export type Place = ListPlace<number>;

const COLUMNS = { agentName: "agent", tenantId: "tenant", userId: "user" } as const;

/** A query as SQL. */
export interface RowQuery {
  readonly limit: number;
  readonly after: Place | undefined;
  /** The rows behind a place, in order: SQL from WHERE on, and its values. */
  rowsAfter(place: Place | undefined): { readonly sql: string; readonly values: readonly Value[] };
  /** What SQL cannot tell: metadata keys that are not indexed. Undefined: SQL tells all. */
  readonly matches: ((info: SessionInfo) => boolean) | undefined;
  cursor(last: Place): string;
}

/** Throws `INVALID_OPTION` with the name of what cannot be answered. */
export function rowQuery(query: SessionQuery, indexedMetadata: readonly string[]): RowQuery {
  const { order, limit, filters, metadata, updatedAfter, updatedBefore, after, matches, cursor } = listQuery(
    query,
    { indexedMetadata },
    "number",
  );
  const conditions: string[] = [];
  const bound: Value[] = [];
  const demand = (sql: string, ...values: readonly Value[]): void => {
    conditions.push(sql);
    bound.push(...values);
  };
  for (const [name, value] of Object.entries(filters)) demand(`${COLUMNS[name as keyof typeof COLUMNS]} = ?`, quoted(value));
  if (updatedAfter !== undefined) demand("updated_ms > ?", updatedAfter);
  if (updatedBefore !== undefined) demand("updated_ms < ?", updatedBefore);
  for (const [key, value] of metadata)
    if (indexedMetadata.includes(key))
      demand("id IN (SELECT id FROM metadata_values WHERE name = ? AND digest = ?)", quoted(key), digestOf(value));
  return {
    limit,
    after,
    matches: metadata.every(([key]) => indexedMetadata.includes(key)) ? undefined : matches,
    rowsAfter(place) {
      const [behind, values]: readonly [readonly string[], readonly Value[]] =
        place === undefined
          ? [[], []]
          : order === "id"
            ? [["id > ?"], [place.id]]
            : [["(updated_ms < ? OR (updated_ms = ? AND id > ?))"], [place.rank, place.rank, place.id]];
      const all = [...conditions, ...behind];
      const where = all.length === 0 ? "" : `WHERE ${all.join(" AND ")} `;
      return { sql: `${where}ORDER BY ${order === "id" ? "id" : "updated_ms DESC, id"}`, values: [...bound, ...values] };
    },
    cursor,
  };
}
