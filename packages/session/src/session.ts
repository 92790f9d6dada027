import type { HistoryOptions, Json, Message, MessageInput, OpenTurn, Reply, TurnOptions } from "@aixgo/core";
import type { Checkpoint } from "./checkpoint.ts";
import type { Entry } from "./entry.ts";
import type { CreateOptions } from "./header.ts";
import type { SessionInfo } from "./info.ts";
import type { Verification } from "./verify.ts";

export interface AppendOptions {
  /** Idempotency key: the same append made again, in any process, is stored once. The same op with other content is `OP_REUSED`. */
  readonly op?: string;
  /** Refuses with `VERSION_CONFLICT` if the session is not at this version. */
  readonly expectedVersion?: number;
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
   * Throws `SESSION_BUSY` while a turn runs (inside of the turn it is part of it), `VERSION_CONFLICT`, `OP_REUSED`,
   * `INVALID_INPUT`, `LIMIT_EXCEEDED`; nothing was written then.
   */
  append(
    input: MessageInput | readonly MessageInput[],
    options?: AppendOptions,
  ): Promise<{ readonly version: number; readonly messages: readonly Message[] }>;
  /** The history: messages from the root to the head, frozen. Calls without a result are closed with `interrupted`. */
  messages(options?: HistoryOptions): Promise<readonly Message[]>;
  /** The same as a stream, for histories that should not be held in memory. */
  readMessages(options?: HistoryOptions): AsyncIterable<Message>;
  checkpoint(options?: { readonly label?: string }): Promise<Checkpoint>;
  /** Oldest first, those of other branches included. */
  checkpoints(): Promise<readonly Checkpoint[]>;
  /** Moves the head to a checkpoint, entry or message. Nothing is cut off. Throws `ENTRY_NOT_FOUND`, `SESSION_BUSY` while a turn runs. */
  restore(target: string, options?: { readonly reason?: string }): Promise<{ readonly version: number; readonly messageCount: number }>;
  /** A new session that starts with this history, or with that of `at` (checkpoint, entry or message). */
  fork(options?: { readonly at?: string } & CreateOptions): Promise<Session>;
  /** The log as it is: every branch, checkpoint, restore and turn, behind version `after`. */
  entries(options?: { readonly after?: number; readonly signal?: AbortSignal }): AsyncIterable<Entry>;
  /** One turn without our runtime: stored, exclusive, replayed and recovered as by `callWithSession`. */
  turn(input: MessageInput, body: (turn: OpenTurn) => Promise<MessageInput>, options?: TurnOptions): Promise<Reply>;
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
