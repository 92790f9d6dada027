import { createHash } from "node:crypto";
import { AixgoError } from "@aixgo/core";
import type { SessionQuery } from "@aixgo/session/backend";
import { canonical } from "./labels.ts";

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 1000;

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
const MAX_CURSOR = 4096;

/** The last item of the page before. */
export interface Place {
  /** Its coarse time of update, in milliseconds. */
  readonly listedMs: number;
  /** As its column holds it. */
  readonly id: string;
}

/** A query with nothing left to check. */
export interface CheckedQuery {
  readonly order: "updated" | "id";
  readonly limit: number;
  readonly filters: Pick<SessionQuery, "agentName" | "tenantId" | "userId">;
  readonly metadata: NonNullable<SessionQuery["metadata"]>;
  /** Milliseconds since 1970, exclusive. */
  readonly updatedAfter: number | undefined;
  readonly updatedBefore: number | undefined;
  readonly after: Place | undefined;
  cursor(last: Place): string;
}

/** Throws `INVALID_OPTION` with the name of what cannot be used. */
export function checkQuery(query: SessionQuery, indexedMetadata: readonly string[]): CheckedQuery {
  for (const key of Object.keys(query)) if (!KNOWN.has(key)) throw invalid(key, "is not known");
  const { agentName, tenantId, userId, metadata = {}, limit = DEFAULT_LIMIT, order = "updated", scan = false, cursor } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  const filters = { agentName, tenantId, userId };
  for (const [name, value] of Object.entries(filters))
    if (value !== undefined && typeof value !== "string") throw invalid(name, "must be a text");
  const foreign = Object.keys(metadata).find((key) => !indexedMetadata.includes(key));
  if (foreign !== undefined && !scan)
    throw invalid(
      "metadata",
      `filters by ${JSON.stringify(foreign)}, which is not among indexedMetadata; declare it there, or give scan: true`,
    );
  const updatedAfter = moment("updatedAfter", query.updatedAfter);
  const updatedBefore = moment("updatedBefore", query.updatedBefore);
  // A cursor belongs to the query that made it: with another one it would skip or repeat. The limit may change from page to page.
  const text = canonical([
    order,
    agentName ?? null,
    tenantId ?? null,
    userId ?? null,
    metadata,
    updatedAfter ?? null,
    updatedBefore ?? null,
  ]);
  const digest = createHash("sha256").update(text).digest("base64url").slice(0, 16);
  return {
    order,
    limit,
    filters: Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)),
    metadata,
    updatedAfter,
    updatedBefore,
    after: cursor === undefined ? undefined : placeOf(cursor, digest),
    cursor: ({ listedMs, id }) => Buffer.from(JSON.stringify([digest, listedMs, id])).toString("base64url"),
  };
}

function placeOf(cursor: unknown, digest: string): Place {
  let parts: unknown;
  try {
    parts =
      typeof cursor === "string" && cursor.length <= MAX_CURSOR ? JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")) : undefined;
  } catch {
    parts = undefined;
  }
  const [made, listedMs, id] = Array.isArray(parts) && parts.length === 3 ? (parts as unknown[]) : [];
  if (typeof made !== "string" || !Number.isSafeInteger(listedMs) || typeof id !== "string" || id.includes("\0"))
    throw invalid("cursor", "is none that list has given");
  if (made !== digest) throw invalid("cursor", "was made by another query: page on with the same filters and order");
  return { listedMs: listedMs as number, id };
}

function moment(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw invalid(name, "must be a time in ISO 8601");
  return time;
}

function invalid(name: string, rule: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list sessions: ${name} ${rule}`);
}
