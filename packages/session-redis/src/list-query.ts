import { AixgoError, type Json } from "@aixgo/core";
import type { SessionInfo, SessionQuery } from "@aixgo/session/backend";
import { canonical, digest } from "./keys.ts";

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 1_000;
const CURSOR_VERSION = 1;
const MAX_CURSOR_CHARACTERS = 1_024;
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

/** Where a walk stands: behind this session. The score is that of the set, in milliseconds; zero in the order of ids. */
export interface Place {
  readonly id: string;
  readonly score: number;
}

/** A query with nothing left to check. */
export interface CheckedQuery extends Pick<SessionQuery, "agentName" | "tenantId" | "userId"> {
  readonly order: "updated" | "id";
  readonly limit: number;
  readonly after: Place | undefined;
  readonly metadata: readonly (readonly [key: string, value: Json])[];
  /** Milliseconds, exclusive. */
  readonly updatedAfter: number | undefined;
  readonly updatedBefore: number | undefined;
  matches(info: SessionInfo): boolean;
  cursor(last: Place): string;
}

/** Throws `INVALID_OPTION` with the name of what is wrong. */
export function checkQuery(query: SessionQuery, indexedMetadata: readonly string[]): CheckedQuery {
  for (const key of Object.keys(query)) if (!KNOWN.has(key)) throw invalid(key, "is not known");
  const { agentName, tenantId, userId, limit = DEFAULT_LIMIT, order = "updated", scan = false } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  for (const [name, value] of Object.entries({ agentName, tenantId, userId })) {
    if (value !== undefined && typeof value !== "string") throw invalid(name, "must be a text");
  }
  const metadata = Object.entries(query.metadata ?? {});
  const foreign = metadata.find(([key]) => !indexedMetadata.includes(key));
  if (foreign !== undefined && scan !== true) {
    throw invalid(
      "metadata",
      `filters by ${JSON.stringify(foreign[0])}, which is not among indexedMetadata; declare it there, or give scan: true`,
    );
  }
  const wanted = metadata.map(([key, value]) => [key, canonical(value)] as const);
  const updatedAfter = moment("updatedAfter", query.updatedAfter);
  const updatedBefore = moment("updatedBefore", query.updatedBefore);
  // A cursor belongs to the query that made it: with another one it would skip or repeat. Only the limit may change.
  const made = digest(
    JSON.stringify([
      agentName ?? null,
      tenantId ?? null,
      userId ?? null,
      wanted.map((pair) => JSON.stringify(pair)).toSorted(),
      updatedAfter ?? null,
      updatedBefore ?? null,
      order,
    ]),
  ).slice(0, 16);
  return {
    ...(agentName === undefined ? undefined : { agentName }),
    ...(tenantId === undefined ? undefined : { tenantId }),
    ...(userId === undefined ? undefined : { userId }),
    order,
    limit,
    after: query.cursor === undefined ? undefined : decode(query.cursor, made),
    metadata,
    updatedAfter,
    updatedBefore,
    matches: (info) =>
      (agentName === undefined || info.agentName === agentName) &&
      (tenantId === undefined || info.tenantId === tenantId) &&
      (userId === undefined || info.userId === userId) &&
      (updatedAfter === undefined || Date.parse(info.updatedAt) > updatedAfter) &&
      (updatedBefore === undefined || Date.parse(info.updatedAt) < updatedBefore) &&
      wanted.every(([key, text]) => Object.hasOwn(info.metadata, key) && canonical(info.metadata[key] as Json) === text),
    cursor: ({ id, score }) => Buffer.from(JSON.stringify([CURSOR_VERSION, made, score, id])).toString("base64url"),
  };
}

function decode(cursor: unknown, made: string): Place {
  let parts: unknown;
  try {
    parts =
      typeof cursor === "string" && cursor.length <= MAX_CURSOR_CHARACTERS
        ? JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"))
        : undefined;
  } catch {
    parts = undefined;
  }
  if (
    !Array.isArray(parts) ||
    parts.length !== 4 ||
    parts[0] !== CURSOR_VERSION ||
    !Number.isFinite(parts[2]) ||
    typeof parts[3] !== "string"
  ) {
    throw invalid("cursor", "is not one that a page of this store brought");
  }
  if (parts[1] !== made) throw invalid("cursor", "belongs to another query: page on with the same filters and order");
  return { score: parts[2] as number, id: parts[3] };
}

function moment(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw invalid(name, "must be a time in ISO 8601");
  return at;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list sessions: ${name} ${problem}`);
}
