import type { FilePart, HistoryOptions, Json, Message, MessageInput, Reply, ResumeOptions, TurnOptions, WaitingRequest } from "@aixgo/core";
import type { Checkpoint, RestoreOptions } from "./checkpoint.ts";
import type { Entry } from "./entry.ts";
import type { EntriesOptions, EntryCursor } from "./feed.ts";
import type { CreateOptions } from "./header.ts";
import type { SessionInfo } from "./info.ts";
import type { TurnBody } from "./run-turn.ts";
import type { Verification } from "./verify.ts";

export interface AppendOptions {
  /** Idempotency key: the same append made again, in any process, is stored once. The same op with other content is `OP_REUSED`. */
  readonly op?: string;
  /** Refuses with `VERSION_CONFLICT` if the session is not at this version. */
  readonly expectedVersion?: number;
  /**
   * Goes back to this checkpoint, entry or message first, in the same step: what is appended grows from there, as an edited message
   * or another answer does. Nothing is cut off. Throws `ENTRY_NOT_FOUND`. Not inside of a turn.
   */
  readonly at?: string;
  readonly signal?: AbortSignal;
}

export interface MessagesOptions extends HistoryOptions {
  /**
   * What stands for content that is kept beside the log. `address`: `attachment:sha256-…`, for `session.attachment`. `inline`: the
   * content itself, as a `data:` address. @default "address"
   */
  readonly attachments?: "address" | "inline";
  /**
   * `closed`: a history that models accept, with a result for each call. `stored`: what was stored and nothing else, for code that keeps
   * a conversation of its own format in the session; `last` is exact then. @default "closed"
   */
  readonly calls?: "closed" | "stored";
}

export interface AttachOptions {
  /** Such as `image/png`. */
  readonly mediaType: string;
  readonly filename?: string;
  readonly signal?: AbortSignal;
}

/** A light handle: opening reads only the head, closing is optional. Every read sees what any process or node has acknowledged. */
export interface Session extends AsyncDisposable {
  readonly id: string;
  readonly agentName: string;
  readonly userId?: string;
  info(): Promise<SessionInfo>;
  /**
   * Stores messages, all or nothing; resolves when they are as durable as the store declares. A string is a user's message.
   * `data:` addresses of more than 256 KiB become attachments, where the store has them.
   * Throws `SESSION_BUSY` while a turn runs (inside of the turn it is part of it), `TURN_SUSPENDED` while one waits for an answer, `VERSION_CONFLICT`, `OP_REUSED`,
   * `INVALID_INPUT`, `LIMIT_EXCEEDED`; nothing was written then.
   */
  append(
    input: MessageInput | readonly MessageInput[],
    options?: AppendOptions,
  ): Promise<{ readonly version: number; readonly messages: readonly Message[] }>;
  /** The history: messages from the root to the head, frozen. Calls without a result are closed with `interrupted`. */
  messages(options?: MessagesOptions): Promise<readonly Message[]>;
  /** The same as a stream, for histories that should not be held in memory. */
  readMessages(options?: MessagesOptions): AsyncIterable<Message>;
  /**
   * Stores content as a stream and returns the part that names it, to be put into a message within a day (see `collectAttachments`).
   * The same bytes are stored once. In a store without attachments the part holds the content itself. Throws `LIMIT_EXCEEDED`.
   */
  attach(content: Uint8Array | AsyncIterable<Uint8Array>, options: AttachOptions): Promise<FilePart>;
  /**
   * The bytes behind an `attachment:` address, as a stream. Throws `ENTRY_NOT_FOUND`, and `ENTRY_CORRUPT` behind the last chunk
   * if the bytes are not those that were stored.
   */
  attachment(url: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /**
   * Removes attachments that no entry names: of appends that failed or were killed half-way. Younger ones may belong to an append that
   * is just being made. Reads the whole log. `olderThanMs` defaults to a day.
   */
  collectAttachments(options?: { readonly olderThanMs?: number }): Promise<{ readonly removed: number }>;
  checkpoint(options?: { readonly label?: string }): Promise<Checkpoint>;
  /** Oldest first, those of other branches included. */
  checkpoints(): Promise<readonly Checkpoint[]>;
  /** Moves the head to a checkpoint, entry or message. Nothing is cut off. Throws `ENTRY_NOT_FOUND`, `SESSION_BUSY` while a turn runs. */
  restore(target: string, options?: RestoreOptions): Promise<{ readonly version: number; readonly messageCount: number }>;
  /**
   * A new session that starts with this history, or with that of `at` (checkpoint, entry or message). With `onKey: "take"` and no
   * `key` it takes over the key of this one: what `getOrCreate` finds from then on.
   */
  fork(options?: { readonly at?: string } & CreateOptions): Promise<Session>;
  /**
   * The log as it is: every branch, checkpoint, restore and turn, behind `after`. With `follow` it goes on with what any process or
   * node appends, each entry once and in order, until the loop is left or `signal` aborts (`CANCELLED`).
   *
   * Throws `SESSION_DELETED`; `INCARNATION_CHANGED` when the session was rewritten; `LOG_DIVERGED` if the log no longer holds the
   * entry at `after`; and what the store throws: then follow again from the cursor of the last entry.
   */
  entries(options?: EntriesOptions): AsyncIterable<Entry>;
  /** Where to go on behind this entry: for `after`, in this process or another one. */
  cursorOf(entry: Pick<Entry, "seq" | "hash">): EntryCursor;
  /**
   * One turn without our runtime: stored, exclusive, replayed and recovered as by `callWithSession`. What `body` returns is the answer,
   * alone or as `{ message, usage }`. Throws `INVALID_OPTION` for unknown options, before anything is written.
   */
  turn(input: MessageInput, body: TurnBody, options?: TurnOptions): Promise<Reply>;
  /**
   * What a suspended turn of this session waits for; empty: none waits. With `answered` also what it asked for in the same breath and
   * was answered since, each with its `decision`.
   */
  requests(options?: { readonly answered?: boolean }): Promise<readonly WaitingRequest[]>;
  /**
   * Answers a request of the suspended turn, and goes on with it where it was the last one, as `runtime.resume` does: `body` runs
   * again from its beginning, and its `turn.suspend` resolves with the answers.
   */
  resume(requestId: string, decision: Json, body: TurnBody, options?: ResumeOptions): Promise<Reply>;
  /** Replaces the metadata; allowed while a turn runs. */
  setMetadata(
    metadata: { readonly [key: string]: Json },
    options?: { readonly expectedVersion?: number },
  ): Promise<{ readonly version: number }>;
  /** Reads the whole log and checks its hash chain and everything that entries say of each other. */
  verify(): Promise<Verification>;
  /** Optional; the handle refuses calls afterwards, the session is not touched. */
  close(): Promise<void>;
}
