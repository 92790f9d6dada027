import { createHash } from "node:crypto";
import { AixgoError, type Json } from "@aixgo/core";
import type { SessionInfo, SessionQuery } from "@aixgo/session/backend";
import type { Value } from "./connection.ts";
import { digestOf, quoted } from "./text.ts";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1000;
const MAX_CURSOR = 4096;
const KNOWN: ReadonlySet<string> = new Set([
  "agentName",
  "tenantId",
  "userId",
  "metadata",
  "updatedAfter",
  "updatedBefore",
  "limit",
  "cursor",
  "order",
  "scan",
]);

/** Where the next rows begin: right behind this one. */
export interface Place {
  readonly updatedMs: number;
  readonly id: string;
}

/** A query with nothing left to check. */
export interface CheckedQuery {
  readonly limit: number;
  readonly after: Place | undefined;
  /** The rows behind a place, in order: SQL from WHERE on, and its values. */
  rowsAfter(place: Place | undefined): { readonly sql: string; readonly values: readonly Value[] };
  /** What SQL cannot tell: metadata keys that are not indexed. Undefined: SQL tells all. */
  readonly matches: ((info: SessionInfo) => boolean) | undefined;
  cursor(last: Place): string;
}

/** Throws `INVALID_OPTION` with the name of what cannot be answered. */
export function checkQuery(query: SessionQuery, indexedMetadata: readonly string[]): CheckedQuery {
  for (const key of Object.keys(query)) if (!KNOWN.has(key)) throw invalid(key, "is not known");
  const { limit = DEFAULT_LIMIT, order = "updated", scan = false, metadata = {} } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  const wanted = Object.entries(metadata).map(([key, value]) => ({ key, digest: digestOf(value) }));
  const scanned = wanted.filter(({ key }) => !indexedMetadata.includes(key));
  if (scanned[0] !== undefined && !scan)
    throw invalid(
      "metadata",
      `has a key that is not among indexedMetadata (${JSON.stringify(scanned[0].key)}); declare it there, or give scan: true`,
    );

  const conditions: string[] = [];
  const bound: Value[] = [];
  const demand = (sql: string, ...values: readonly Value[]): void => {
    conditions.push(sql);
    bound.push(...values);
  };
  for (const [column, name] of [
    ["agent", "agentName"],
    ["tenant", "tenantId"],
    ["user", "userId"],
  ] as const) {
    const value = query[name];
    if (value === undefined) continue;
    if (typeof value !== "string") throw invalid(name, "must be a text");
    demand(`${column} = ?`, quoted(value));
  }
  const after = moment("updatedAfter", query.updatedAfter);
  const before = moment("updatedBefore", query.updatedBefore);
  if (after !== undefined) demand("updated_ms > ?", after);
  if (before !== undefined) demand("updated_ms < ?", before);
  for (const { key, digest } of wanted.filter(({ key }) => indexedMetadata.includes(key)))
    demand("id IN (SELECT id FROM metadata_values WHERE name = ? AND digest = ?)", quoted(key), digest);

  // A cursor belongs to the query that made it: with another one it would skip or repeat. `limit` may change.
  const owner = createHash("sha256")
    .update(JSON.stringify([order, conditions, bound, scanned]))
    .digest("base64url")
    .slice(0, 16);
  return {
    limit,
    after: query.cursor === undefined ? undefined : placeOf(query.cursor, owner),
    matches:
      scanned.length === 0
        ? undefined
        : (info) =>
            scanned.every(({ key, digest }) => Object.hasOwn(info.metadata, key) && digestOf(info.metadata[key] as Json) === digest),
    rowsAfter(place) {
      const [behind, values]: readonly [readonly string[], readonly Value[]] =
        place === undefined
          ? [[], []]
          : order === "id"
            ? [["id > ?"], [place.id]]
            : [["(updated_ms < ? OR (updated_ms = ? AND id > ?))"], [place.updatedMs, place.updatedMs, place.id]];
      const all = [...conditions, ...behind];
      const where = all.length === 0 ? "" : `WHERE ${all.join(" AND ")} `;
      return { sql: `${where}ORDER BY ${order === "id" ? "id" : "updated_ms DESC, id"}`, values: [...bound, ...values] };
    },
    cursor: ({ updatedMs, id }) => Buffer.from(JSON.stringify([owner, updatedMs, id])).toString("base64url"),
  };
}

function placeOf(cursor: unknown, owner: string): Place {
  let parts: unknown;
  try {
    parts =
      typeof cursor === "string" && cursor.length <= MAX_CURSOR ? JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")) : undefined;
  } catch {
    parts = undefined;
  }
  if (!Array.isArray(parts) || parts.length !== 3 || !Number.isSafeInteger(parts[1]) || typeof parts[2] !== "string")
    throw invalid("cursor", "is none that a page of this store brought");
  const [made, updatedMs, id] = parts as [unknown, number, string];
  if (made !== owner) throw invalid("cursor", "belongs to another query; page on with the same filters and order");
  return { updatedMs, id };
}

function moment(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time)) throw invalid(name, "must be a time in ISO 8601");
  return time;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list sessions: ${name} ${problem}`);
}
