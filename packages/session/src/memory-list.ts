import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { AixgoError, type Json } from "@aixgo/core";
import type { Page, SessionInfo, SessionQuery } from "./info.ts";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1000;

/** The place after which the next page begins: all that sorts behind this session. */
interface Place {
  readonly id: string;
  readonly updatedAt: string;
}

/**
 * One page of `infos`. Filters first, then order, then the page, so that a filter never makes a page short.
 * Throws `INVALID_OPTION` with the name of the member that cannot be used.
 */
export function listPage(infos: readonly SessionInfo[], query: SessionQuery, indexed: readonly string[]): Page<SessionInfo> {
  const { limit = DEFAULT_LIMIT, order = "updated", cursor } = query;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw invalid("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  if (order !== "updated" && order !== "id") throw invalid("order", 'must be "updated" or "id"');
  const flat = new Set(indexed);
  for (const key of Object.keys(query.metadata ?? {})) {
    if (!flat.has(key) && query.scan !== true)
      throw invalid("metadata", `has a key that this store has not indexed (${key}); index it, or set scan`);
  }
  const compare = order === "id" ? byId : byUpdate;
  const matches = filterOf(query);
  const digest = digestOf(query, order);
  const place = cursor === undefined ? undefined : placeOf(cursor, digest);
  const found = infos.filter((info) => matches(info) && (place === undefined || compare(place, info) < 0)).sort(compare);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (last === undefined || found.length <= limit) return { items };
  return { items, nextCursor: Buffer.from(JSON.stringify([digest, last.updatedAt, last.id])).toString("base64url") };
}

function filterOf(query: SessionQuery): (info: SessionInfo) => boolean {
  const after = timeOf("updatedAfter", query.updatedAfter);
  const before = timeOf("updatedBefore", query.updatedBefore);
  const metadata = Object.entries(query.metadata ?? {});
  return (info) =>
    (query.agentName === undefined || info.agentName === query.agentName) &&
    (query.tenantId === undefined || info.tenantId === query.tenantId) &&
    (query.userId === undefined || info.userId === query.userId) &&
    (after === undefined || Date.parse(info.updatedAt) > after) &&
    (before === undefined || Date.parse(info.updatedAt) < before) &&
    metadata.every(([key, value]) => Object.hasOwn(info.metadata, key) && isDeepStrictEqual(info.metadata[key], value));
}

function byId(a: Place, b: Place): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function byUpdate(a: Place, b: Place): number {
  return a.updatedAt > b.updatedAt ? -1 : a.updatedAt < b.updatedAt ? 1 : byId(a, b);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw invalid(name, "must be a time in ISO 8601");
  return time;
}

/** Of what a cursor belongs to; `limit` may change from page to page. */
function digestOf(query: SessionQuery, order: string): string {
  const { agentName = null, tenantId = null, userId = null, metadata = {}, updatedAfter = null, updatedBefore = null } = query;
  const text = canonical([order, agentName, tenantId, userId, metadata, updatedAfter, updatedBefore]);
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}

function canonical(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const object = value as { readonly [key: string]: Json };
  return `{${Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key] as Json)}`)
    .join()}}`;
}

function placeOf(cursor: string, digest: string): Place {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    parts = undefined;
  }
  if (!Array.isArray(parts) || parts.length !== 3 || parts.some((part) => typeof part !== "string"))
    throw invalid("cursor", "is none that list has given");
  const [made, updatedAt, id] = parts as [string, string, string];
  if (made !== digest) throw invalid("cursor", "was made by another query");
  return { updatedAt, id };
}

function invalid(name: string, rule: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `list: ${name} ${rule}`);
}
