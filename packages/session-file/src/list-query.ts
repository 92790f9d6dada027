import { AixgoError, type Json } from "@aixgo/core";
import type { SessionInfo, SessionQuery } from "@aixgo/session/backend";
import { shortDigest } from "./scan.ts";

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 1_000;
const CURSOR_VERSION = 1;
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

/** The last item of the page before. */
export interface After {
  readonly id: string;
  readonly updatedAt: string;
}

/** A query with nothing left to check. */
export interface CheckedQuery {
  readonly order: "updated" | "id";
  readonly limit: number;
  readonly after: After | undefined;
  matches(info: SessionInfo): boolean;
  cursor(last: SessionInfo): string;
}

/** Throws `INVALID_OPTION` with the name of what is wrong. */
export function checkQuery(query: SessionQuery, indexedMetadata: readonly string[]): CheckedQuery {
  for (const key of Object.keys(query)) if (!KNOWN.has(key)) throw invalid(key, "is not known");
  const { agentName, tenantId, userId, metadata, limit = DEFAULT_LIMIT, order = "updated", scan = false } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  for (const [name, value] of Object.entries({ agentName, tenantId, userId })) {
    if (value !== undefined && typeof value !== "string") throw invalid(name, "must be a text");
  }
  const wanted = Object.entries(metadata ?? {});
  const foreign = wanted.find(([key]) => !indexedMetadata.includes(key));
  if (foreign !== undefined && !scan) {
    throw invalid(
      "metadata",
      `filters by ${JSON.stringify(foreign[0])}, which is not among indexedMetadata; declare it there, or give scan: true`,
    );
  }
  const after = moment("updatedAfter", query.updatedAfter);
  const before = moment("updatedBefore", query.updatedBefore);
  // A cursor belongs to the query that made it: with another one it would skip or repeat.
  const digest = shortDigest(
    JSON.stringify([
      agentName ?? null,
      tenantId ?? null,
      userId ?? null,
      wanted.map(([key, value]) => JSON.stringify([key, canonical(value)])).toSorted(),
      after ?? null,
      before ?? null,
      order,
    ]),
  );
  return {
    order,
    limit,
    after: query.cursor === undefined ? undefined : decode(query.cursor, digest),
    matches: (info) =>
      (agentName === undefined || info.agentName === agentName) &&
      (tenantId === undefined || info.tenantId === tenantId) &&
      (userId === undefined || info.userId === userId) &&
      (after === undefined || Date.parse(info.updatedAt) > after) &&
      (before === undefined || Date.parse(info.updatedAt) < before) &&
      wanted.every(([key, value]) => Object.hasOwn(info.metadata, key) && same(info.metadata[key] as Json, value)),
    cursor: (last) => Buffer.from(JSON.stringify([CURSOR_VERSION, digest, last.updatedAt, last.id])).toString("base64url"),
  };
}

function decode(cursor: unknown, digest: string): After {
  let parts: unknown;
  try {
    parts = typeof cursor === "string" && cursor.length <= 4096 ? JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")) : undefined;
  } catch {
    parts = undefined;
  }
  if (
    !Array.isArray(parts) ||
    parts.length !== 4 ||
    parts[0] !== CURSOR_VERSION ||
    typeof parts[2] !== "string" ||
    typeof parts[3] !== "string"
  ) {
    throw invalid("cursor", "is not one that a page of this store brought");
  }
  if (parts[1] !== digest) throw invalid("cursor", "belongs to another query: page on with the same filters and order");
  return { updatedAt: parts[2], id: parts[3] };
}

function moment(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw invalid(name, "must be a time in ISO 8601");
  return at;
}

function same(a: Json, b: Json): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && canonical(a) === canonical(b));
}

/** Members in one order, so that equal values have equal texts. */
function canonical(value: Json): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list sessions: ${name} ${problem}`);
}
