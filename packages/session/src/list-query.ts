import { createHash } from "node:crypto";
import { AixgoError, type Json } from "@aixgo/core";
import { canonicalJson } from "./canonical-json.ts";
import type { Capabilities } from "./contract.ts";
import type { SessionInfo, SessionQuery } from "./info.ts";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1000;
const MAX_CURSOR_CHARACTERS = 8192;
/** Deeper than any metadata is. */
const MAX_DEPTH = 256;
const KNOWN: Readonly<Record<keyof SessionQuery, true>> = {
  agentName: true,
  tenantId: true,
  userId: true,
  metadata: true,
  updatedAfter: true,
  updatedBefore: true,
  limit: true,
  cursor: true,
  order: true,
  scan: true,
};
/** Year, month and day at least; `Date.parse` alone takes "1" for a time. */
const ISO_8601 = /^(\d{4}|[+-]\d{6})-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** Where a page ended, and the next one begins: right behind this session. */
export interface ListPlace<Rank extends string | number> {
  readonly id: string;
  /** Whatever the store orders by besides the id: a time as text, milliseconds, a score. Of no meaning in the order of ids. */
  readonly rank: Rank;
}

/** A query with nothing left to check. */
export interface ListQuery<Rank extends string | number> {
  readonly order: "updated" | "id";
  /** 1 to 1000. */
  readonly limit: number;
  /** Those that were given. Compared exactly. */
  readonly filters: Pick<SessionQuery, "agentName" | "tenantId" | "userId">;
  /** All must be equal, as JSON. */
  readonly metadata: readonly (readonly [key: string, value: Json])[];
  /** Milliseconds since 1970, exclusive. */
  readonly updatedAfter: number | undefined;
  readonly updatedBefore: number | undefined;
  /** Undefined: the first page. */
  readonly after: ListPlace<Rank> | undefined;
  /** All filters at once, for what a store cannot ask its index. */
  matches(info: SessionInfo): boolean;
  /** The cursor of the page behind `last`: good for this query only, with any limit. */
  cursor(last: ListPlace<Rank>): string;
}

/**
 * Resolves a query of `list` once, for every store the same: unknown members, limits, times, metadata that needs `scan`, and
 * cursors, which belong to the query that made them. With another one they would skip or repeat.
 *
 * @param ranks of which kind the `rank` of a place in this store is; a cursor with another one is refused
 * @throws AixgoError `INVALID_OPTION`, with the name of what cannot be used
 */
export function listQuery(query: SessionQuery, capabilities: Pick<Capabilities, "indexedMetadata">, ranks: "text"): ListQuery<string>;
export function listQuery(query: SessionQuery, capabilities: Pick<Capabilities, "indexedMetadata">, ranks: "number"): ListQuery<number>;
export function listQuery(
  query: SessionQuery,
  { indexedMetadata }: Pick<Capabilities, "indexedMetadata">,
  ranks: "text" | "number",
): ListQuery<string> | ListQuery<number> {
  if (typeof query !== "object" || query === null) throw new AixgoError("INVALID_OPTION", "list sessions: the query must be an object");
  for (const key of Object.keys(query))
    if (!Object.hasOwn(KNOWN, key)) throw invalid(key, `is not known; a query has ${Object.keys(KNOWN).join(", ")}`);
  const { agentName, tenantId, userId, limit = DEFAULT_LIMIT, order = "updated", scan = false, cursor } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  if (typeof scan !== "boolean") throw invalid("scan", "must be true or false");
  const filters = Object.entries({ agentName, tenantId, userId }).filter(([, value]) => value !== undefined);
  for (const [name, value] of filters) if (typeof value !== "string") throw invalid(name, "must be a text");
  const metadata = metadataOf(query.metadata);
  const foreign = metadata.find(([key]) => !indexedMetadata.includes(key));
  if (foreign !== undefined && !scan) {
    throw invalid(
      "metadata",
      `filters by ${JSON.stringify(foreign[0])}, which is not among indexedMetadata; declare it there, or give scan: true`,
    );
  }
  const updatedAfter = moment("updatedAfter", query.updatedAfter);
  const updatedBefore = moment("updatedBefore", query.updatedBefore);
  const texts = metadata.map(([key, value]) => [key, canonicalJson(value)] as const);
  const owner = digest([
    order,
    agentName ?? null,
    tenantId ?? null,
    userId ?? null,
    texts.toSorted(([a], [b]) => (a < b ? -1 : 1)),
    updatedAfter ?? null,
    updatedBefore ?? null,
  ]);
  const resolved: ListQuery<string | number> = {
    order,
    limit,
    filters: Object.fromEntries(filters),
    metadata,
    updatedAfter,
    updatedBefore,
    after: cursor === undefined ? undefined : placeOf(cursor, owner, ranks),
    matches: (info) =>
      (agentName === undefined || info.agentName === agentName) &&
      (tenantId === undefined || info.tenantId === tenantId) &&
      (userId === undefined || info.userId === userId) &&
      (updatedAfter === undefined || Date.parse(info.updatedAt) > updatedAfter) &&
      (updatedBefore === undefined || Date.parse(info.updatedAt) < updatedBefore) &&
      texts.every(([key, text]) => Object.hasOwn(info.metadata, key) && canonicalJson(info.metadata[key] as Json) === text),
    cursor: ({ id, rank }) => Buffer.from(JSON.stringify([owner, rank, id])).toString("base64url"),
  };
  return resolved as ListQuery<string> | ListQuery<number>;
}

function metadataOf(metadata: unknown): readonly (readonly [key: string, value: Json])[] {
  if (metadata === undefined) return [];
  if (!isObject(metadata)) throw invalid("metadata", "must be an object");
  const members = Object.entries(metadata);
  const foreign = members.find(([, value]) => !isJson(value, MAX_DEPTH));
  if (foreign !== undefined) throw invalid("metadata", `has a member ${JSON.stringify(foreign[0])} that no JSON value equals`);
  return members;
}

/** Not whether a session may have it, as a text that is not well-formed: it equals none then. */
function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  return (isObject(value) || Array.isArray(value)) && depth > 0 && Object.values(value).every((inner) => isJson(inner, depth - 1));
}

/** No Date, no Map: those have no members to compare, and would find everything. */
function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return Object.prototype.toString.call(value) === "[object Object]";
}

function placeOf(cursor: unknown, owner: string, ranks: "text" | "number"): ListPlace<string | number> {
  let parts: unknown;
  try {
    const bytes = typeof cursor === "string" && cursor.length <= MAX_CURSOR_CHARACTERS ? Buffer.from(cursor, "base64url") : undefined;
    // The decoder passes over what it does not know: a cursor is good only as it was made.
    parts = bytes?.toString("base64url") === cursor ? JSON.parse((bytes as Buffer).toString("utf8")) : undefined;
  } catch {
    parts = undefined;
  }
  const [made, rank, id] = Array.isArray(parts) && parts.length === 3 ? (parts as unknown[]) : [];
  const isRank = ranks === "text" ? typeof rank === "string" : Number.isFinite(rank);
  if (typeof made !== "string" || !isRank || typeof id !== "string")
    throw invalid("cursor", "is none that a page of this store brought; leave it out to begin anew");
  if (made !== owner) throw invalid("cursor", "belongs to another query; page on with the same filters and order");
  return { id, rank: rank as string | number };
}

function moment(name: string, text: unknown): number | undefined {
  if (text === undefined) return undefined;
  const time = typeof text === "string" && ISO_8601.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw invalid(name, "must be a time in ISO 8601, as 2026-03-01T12:00:00Z");
  return time;
}

function digest(value: Json): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64url").slice(0, 16);
}

function invalid(name: string, rule: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list sessions: ${name} ${rule}`);
}
