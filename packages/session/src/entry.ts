import type { Json } from "@aixgo/core";

/** Types of entries that this version writes and understands. */
export type EntryType = "session" | "message" | "turn" | "state" | "checkpoint" | "restore" | "metadata";

/**
 * One line of a session's log. Scalars come first, then `data`, `hash` last, so that a line is sliced without being parsed.
 * Members that a reader does not know are kept and hashed.
 */
export interface Entry {
  /** Version of the format. */
  readonly v: 1;
  /** 0, 1, 2 … without gaps. The version of a session is the seq of its last entry. */
  readonly seq: number;
  readonly id: string;
  /** With `parentSeq`: the entry before this one on its path, given only where that is not the previous line. */
  readonly parentId?: string;
  readonly parentSeq?: number;
  /** ISO 8601, by the writer's clock; never used for order. */
  readonly timestamp: string;
  readonly type: EntryType | (string & {});
  /** Idempotency key; absent: the entry's id. */
  readonly op?: string;
  /** Place in its batch, which is all or nothing; absent: [0, 1]. */
  readonly batch?: readonly [index: number, of: number];
  /** On the first line of a group in a `disk` store: the highest seq that was known to be durable before it. */
  readonly sync?: number;
  /** Seq of the head after this entry; absent: this entry. */
  readonly head?: number;
  /** Messages on the path to that head. */
  readonly n: number;
  /** Seq of the first start of the turn that this entry belongs to. */
  readonly turn?: number;
  /** Fencing token of the attempt that wrote this entry; on entries of a turn. */
  readonly fence?: number;
  /** Readers that do not know the type may skip the entry. */
  readonly opt?: true;
  /** `data` is sealed. */
  readonly enc?: 1;
  readonly data: Json;
  /** SHA-256 over the previous hash and this line, base64url; see `chain.ts`. */
  readonly hash: string;
}

/** All of an entry but its data. */
export type Envelope = Omit<Entry, "data">;

/** Data of the header, seq 0. */
export interface HeaderData {
  readonly id: string;
  readonly incarnation: string;
  readonly agentName: string;
  readonly userId?: string;
  readonly tenantId?: string;
  readonly key?: string;
  readonly metadata?: { readonly [key: string]: Json };
  /** Of a fork or a rewrite: where the first lines were copied from. */
  readonly origin?: { readonly id: string; readonly incarnation: string; readonly seq: number; readonly hash: string };
}

const KNOWN: ReadonlySet<string> = new Set<EntryType>(["session", "message", "turn", "state", "checkpoint", "restore", "metadata"]);

/** Whether this version knows the entry's type or may skip it. */
export function isUnderstood(entry: Pick<Envelope, "type" | "opt">): boolean {
  return entry.opt === true || KNOWN.has(entry.type);
}

const SIDE: ReadonlySet<string> = new Set(["checkpoint", "restore", "metadata"]);

/** Side entries lie beside the path: they never become part of the history. A type that is not known is a side entry if it keeps the head where it was. */
export function isSide(entry: Pick<Envelope, "seq" | "type" | "head">): boolean {
  return SIDE.has(entry.type) || (entry.head !== undefined && entry.head !== entry.seq);
}
