import type { Page, SessionInfo, SessionQuery } from "./info.ts";

/** What differs between stores. The conformance kit reads this, never a backend's name. */
export interface Capabilities {
  /** Who may open the same store at once: one process, processes of one host, or nodes of a cluster. */
  readonly sharedBy: "process" | "host" | "cluster";
  /** What an acknowledged append survives. */
  readonly durability: "memory" | "os" | "disk" | "quorum";
  readonly maxLineBytes: number;
  /** Metadata keys that `list` filters without a scan. */
  readonly indexedMetadata: readonly string[];
  readonly ttl: boolean;
  /** `read` checks the hash chain over every byte that it hands out, so that its callers need not. @default false */
  readonly verifiesReads?: boolean;
  /** Longest blob, in bytes: given by stores that have `blobs`. */
  readonly maxBlobBytes?: number;
}

/** One life of a session: the incarnation is random, lies in the header, and is named by every write. */
export interface Ref {
  readonly id: string;
  readonly incarnation: string;
}

export interface Position {
  readonly seq: number;
  readonly hash: string;
}

/**
 * The right to write a turn. Lies in the same row, key or lock as the head and outlives its expiry.
 * Taken only by an append, released only by an append or by time, measured by the store's clock.
 */
export interface Lease {
  readonly fence: number;
  /** Secret of the holder. */
  readonly token: string;
  readonly holder: string;
  /** Zero or less: expired. */
  readonly expiresInMs: number;
  /** Set by `cancel`: why the holder should stop. */
  readonly cancelRequested?: string;
}

/** The state of a session after its last line: a fold over the lines, but for `lease` and `keys`. */
export interface Head extends Ref, Position {
  /** Seq of the head: the entry that the next path entry grows from. */
  readonly headSeq: number;
  /** Highest fence of any lease of this incarnation. */
  readonly fence: number;
  /** Bytes of all lines, line ends included. */
  readonly bytes: number;
  readonly info: SessionInfo;
  /** Type of the first entry that this version neither knows nor may skip: the session can be read and refuses writes. */
  readonly unsupported?: string;
  /** The lease record, expired or not; absent if there was none or it was released. */
  readonly lease?: Omit<Lease, "token">;
  /** Wrapped data keys: opaque, outside the log. */
  readonly keys?: Uint8Array;
  /** Only of a head that was asked for `evenDamaged`: the log is whole up to this head, and damaged at the entry behind it. */
  readonly damage?: { readonly seq: number; readonly message: string };
}

export interface HeadOptions {
  /** Of a damaged log: the head of what is whole before the damage, rather than `ENTRY_CORRUPT`. For readers and `delete`; nothing is written on it. */
  readonly evenDamaged?: boolean;
}

export interface Append {
  readonly expect: Position;
  /** Complete entries (UTF-8 JSON, no line end) built by the session layer; stored and returned unchanged. May hold several batches. */
  readonly lines: readonly Uint8Array[];
  /** Takes the lease with this append. A live lease, or a fence other than the record's + 1, is a conflict. */
  readonly acquire?: { readonly fence: number; readonly token: string; readonly holder: string; readonly ttlMs: number };
  /** The lease this append is made under: if another fence or token holds the record, or none does, it is `FENCED`. */
  readonly lease?: Pick<Lease, "fence" | "token">;
  /** With `lease`: gives it up with this append. */
  readonly release?: boolean;
  readonly keys?: Uint8Array;
  readonly signal?: AbortSignal;
}

/**
 * A conflict is an answer, not an exception: the new head and, within bounds, the lines since `expect`, each ended by a newline.
 * `since` is whole or absent: also where the log does not hold `expect`.
 */
export type Appended = { readonly head: Head } | { readonly conflict: Head; readonly since?: Uint8Array };

export interface CreateRequest {
  readonly ref: Ref;
  /** Agent, user, tenant, key and metadata of the new session; version and times follow from the lines. */
  readonly info: SessionInfo;
  /** What to do if `info.key` is taken. Absent: `KEY_EXISTS`. `get`: answer with the session that has it. `take`: the key moves to the new one. */
  readonly onKey?: "get" | "take";
  /** The header first, then a fork's history. Called with `ref.id`, or with the id that an unfinished create of this key had chosen. */
  readonly lines: (id: string) => AsyncIterable<Uint8Array>;
  /**
   * Of a fork, asked once the lines are drawn: the blobs that they name, which another session of this store has. The new
   * session gets them before it is there. Those that the other session does not have either are passed over; if it was
   * deleted or rewritten meanwhile, nothing is created.
   */
  readonly blobs?: () => { readonly from: Ref; readonly digests: ReadonlySet<string> };
}

export interface RewriteRequest {
  readonly expect: Position;
  readonly next: Ref;
  readonly lines: AsyncIterable<Uint8Array>;
  /** Asked once the lines are drawn: the digests that they name. The session's other blobs go with the old life. Absent: all stay. */
  readonly blobs?: () => ReadonlySet<string>;
}

export interface ReadRange {
  /** First seq. @default 0 */
  readonly from?: number;
  /** Last seq, inclusive. @default the last of the log */
  readonly to?: number;
  /** Falling order, from `to` down to `from`. */
  readonly reverse?: boolean;
  /** Lines at most. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/**
 * Attachments, kept beside the log under the digest of their bytes: `sha256-` and 64 hexadecimal digits. They belong to one
 * session: no other can read them, the same bytes are kept once, they survive a rewrite and go with a delete.
 *
 * Each method throws `SESSION_NOT_FOUND`, `SESSION_DELETED` and `INCARNATION_CHANGED` like those of the log, and
 * `INVALID_INPUT` for what cannot be a digest.
 */
export interface BlobStore {
  /**
   * Stores bytes and answers with their digest; when it resolves they are as durable as `capabilities.durability` says.
   * `digest` undefined: it is not known before the last byte. Bytes that are there already are not stored again, and need not
   * be read if their digest was given; their age begins anew.
   *
   * Throws `INVALID_INPUT` if the bytes have another digest, `LIMIT_EXCEEDED` above `maxBlobBytes`, and what `body` throws:
   * nothing is stored then.
   */
  put(ref: Ref, digest: string | undefined, body: AsyncIterable<Uint8Array>, options?: { readonly signal?: AbortSignal }): Promise<string>;
  /** The bytes in chunks of at most 1 MiB, which the reader may keep and change. Not compared with the digest: the reader does that. Throws `ENTRY_NOT_FOUND`. */
  get(ref: Ref, digest: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Begins the age of a blob anew: an entry is about to name it. False: the session has none with this digest. */
  touch(ref: Ref, digest: string): Promise<boolean>;
  /** Removes the blobs that are not in `keep` and were neither put nor touched for `olderThanMs`; one that is touched at the same time stays. Answers how many went. */
  collect(ref: Ref, keep: ReadonlySet<string>, olderThanMs: number): Promise<number>;
}

/**
 * What a store must do. Nothing in it knows of messages or turns.
 *
 * `append` is atomic (whole batches), version-checked (`expect` names seq and hash; a mismatch writes nothing and answers
 * with the new head and the lines since) and fenced. It checks in this order: incarnation, expect, lease. When it resolves,
 * the lines are as durable as `capabilities.durability` says; when the outcome cannot be known it throws `OUTCOME_UNKNOWN`.
 *
 * Every method throws `CANCELLED` for a signal that is aborted, `INVALID_INPUT` for what cannot be an id or a line, and
 * `BACKEND_UNAVAILABLE` when the store does not answer. Wrapped keys survive a rewrite.
 */
export interface SessionBackend {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** All or nothing. With a key, concurrent creators get one session; an unfinished create is completed by the next caller. `ref.id` that exists already: `KEY_EXISTS`; that was deleted: `SESSION_DELETED`. */
  create(request: CreateRequest): Promise<{ readonly head: Head; readonly created: boolean }>;
  /** `SESSION_NOT_FOUND`, `SESSION_DELETED`, `ENTRY_CORRUPT`; a store that cannot tell what is whole may ignore the options. */
  head(id: string, options?: HeadOptions): Promise<Head>;
  /** Throws `INCARNATION_CHANGED`, `FENCED`, `SESSION_NOT_FOUND`, `SESSION_DELETED`, `LIMIT_EXCEEDED`, `OUTCOME_UNKNOWN`, `ENTRY_CORRUPT`. */
  append(ref: Ref, request: Append): Promise<Appended>;
  /** Pages of whole lines, each line ended by a newline, at most 64 KiB a page unless one line is longer. Throws `INCARNATION_CHANGED`, `ENTRY_CORRUPT`. */
  read(ref: Ref, range?: ReadRange): AsyncIterable<Uint8Array>;
  /** Seq of the last entry with this op or this id. */
  find(ref: Ref, what: { readonly op: string } | { readonly entryId: string }): Promise<number | undefined>;
  /** Keyset pages: a session untouched meanwhile appears exactly once. Throws `INVALID_OPTION` for a query or cursor that cannot be answered. */
  list(query: SessionQuery): Promise<Page<SessionInfo>>;
  /** Prolongs a lease and brings `cancelRequested`. `FENCED` if another, or none, holds the record. An expired lease that nobody took is prolonged. */
  renew(ref: Ref, lease: Pick<Lease, "fence" | "token">, ttlMs: number): Promise<Lease>;
  /** Tells the holder of the live lease to stop. False: there is none. */
  cancel(ref: Ref, reason: string): Promise<boolean>;
  /** Replaces the log, all or nothing, by a new incarnation of the same id. A live lease is a conflict. */
  rewrite(ref: Ref, request: RewriteRequest): Promise<Appended>;
  /** Leaves a tombstone; blobs go with the log. Idempotent for the same incarnation. `erase`: also keys and damaged remains. */
  delete(ref: Ref, options?: { readonly erase?: boolean }): Promise<void>;
  /** Idempotent. Every other method throws `BACKEND_CLOSED` afterwards. */
  close(): Promise<void>;
  /**
   * Optional: hints that there is more behind `after`, by whichever process or node it was appended, or that the session was
   * rewritten or deleted. Data is always read by seq, so a hint may come without a reason, and several may become one; but
   * from the first `next()` on none is missed, and what was appended before it is hinted at once. Ends when `signal` aborts or the backend is closed.
   */
  watch?(ref: Ref, after: Position, signal: AbortSignal): AsyncIterable<void>;
  /** Optional: attachments, durable before an entry names them. */
  readonly blobs?: BlobStore;
}
