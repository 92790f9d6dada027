import { hash } from "node:crypto";
import { AixgoError, type Json } from "@aixgo/core";

/**
 * What the Go release (v0.3 to v0.7, one format) keeps on disk:
 *
 *     <base>/<agent>/sessions.json           index: session id → GoIndexEntry, rewritten whole by each append
 *     <base>/<agent>/<session id>.jsonl      one GoEntry a line
 *     <base>/<agent>/checkpoints/<id>.json   one GoCheckpoint a file
 */
export interface GoIndexEntry {
  readonly id: string;
  readonly agentName: string;
  readonly userId?: string;
  /** RFC 3339 with up to nine decimals. */
  readonly createdAt?: string;
  readonly updatedAt?: string;
  readonly messageCount?: number;
  /** Id of the entry that the session stands at: the last one, or what a restore went back to. */
  readonly currentLeaf?: string;
}

export interface GoEntry {
  readonly id: string;
  /** Empty: the first of the session, or the first after a restore to nothing. */
  readonly parentId: string;
  readonly timestamp: string | undefined;
  readonly type: string;
  /** Empty for a nil message. */
  readonly data: { readonly [key: string]: Json };
}

export interface GoCheckpoint {
  readonly id: string;
  readonly sessionId: string;
  readonly timestamp: string | undefined;
  /** Empty: of a session without entries. */
  readonly entryId: string;
  /** Hexadecimal SHA-256 over the ids of all entries up to it. Written by the Go release, never compared there. */
  readonly checksum: string;
  readonly metadata?: { readonly [key: string]: Json };
}

/** The Go release reads with a scanner that holds 64 KiB, line end included: a longer line makes the whole session unreadable there. */
export const GO_LINE_BYTES = 65_536;
export const GO_INDEX = "sessions.json";
export const GO_CHECKPOINTS = "checkpoints";

/** Types of entries that only our exports hold. The Go release reads over them. */
export const KEPT = { message: "aixgo/message", state: "aixgo/state", checkpoint: "aixgo/checkpoint", head: "aixgo/head" } as const;

const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i;
const HEX_32 = /^[0-9a-f]{32}$/;
/** What can stand in a log and on a command line as it is. */
const PLAIN_ENTRY_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/;

/** A UUID without its dashes; anything else becomes the beginning of its digest. */
export function sessionIdOf(goId: string): string {
  if (typeof goId !== "string")
    throw new AixgoError("INVALID_INPUT", `sessionIdOf takes the id of a Go session, a text, not ${typeof goId}`);
  if (UUID.test(goId)) return goId.replaceAll("-", "").toLowerCase();
  if (HEX_32.test(goId)) return goId;
  return hash("sha256", `aixgo-go session ${goId}`, "hex").slice(0, 32);
}

/** The UUID with the digits of one of our session ids. */
export function goSessionIdOf(id: string): string {
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`;
}

/** Ids of entries and checkpoints stay as they are, so that those a program has kept still mean something. */
export function entryIdOf(goId: string): string {
  if (PLAIN_ENTRY_ID.test(goId)) return goId;
  return derivedId(goId);
}

/** Another id for an entry whose own cannot be kept: the same each time. */
export function derivedId(seed: string): string {
  return `g${hash("sha256", `aixgo-go entry ${seed}`, "base64url").slice(0, 15)}`;
}

/** What the Go release lets into a path; beyond that, what cannot be a file name. */
export function isGoPathComponent(name: string): boolean {
  return name !== "" && name !== "." && !/[\\/\0]/.test(name) && !name.includes("..") && Buffer.byteLength(name) <= 240;
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** An RFC 3339 time with milliseconds, in UTC; undefined for what is none and for Go's zero time. */
export function timeOf(text: unknown): string | undefined {
  if (typeof text !== "string" || !RFC_3339.test(text) || text.startsWith("0001-01-01T00:00:00")) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

/** Whether the Go time `a` is later than `b`, to the nanosecond; both must be times. */
export function isLater(a: string, b: string): boolean {
  const [msA, msB] = [Date.parse(a), Date.parse(b)];
  return msA === msB ? fraction(a) > fraction(b) : msA > msB;
}

function fraction(time: string): string {
  return (/\.(\d+)/.exec(time)?.[1] ?? "").padEnd(9, "0");
}

const ESCAPES: { readonly [character: string]: string } = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** JSON as Go's encoding/json writes it: members of maps sorted, HTML characters escaped. */
export function goJson(value: Json): string {
  return escapeHtml(JSON.stringify(sorted(value)));
}

/** The same text, indented as Go's MarshalIndent does it; members keep the order they have. */
export function goJsonIndented(value: unknown): string {
  return escapeHtml(JSON.stringify(value, undefined, 2));
}

export function escapeHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (character) => ESCAPES[character] as string);
}

function sorted(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item: Json) => sorted(item));
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}

/** A JSON object, not an array. */
export function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
