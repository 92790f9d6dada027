import {
  AixgoError,
  checkResumeOptions,
  checkTurnOptions,
  type FilePart,
  type Json,
  type Message,
  type MessageInput,
  type OpenTurn,
  type OpenTurnRequest,
  type Reply,
  type ResumeOptions,
  type WaitingRequest,
  type TurnOptions,
} from "@aixgo/core";
import { newEntryId } from "@aixgo/security";
import { type Checkpoint, readCheckpoints, type RestoreOptions, writeCheckpoint, writeRestore } from "./checkpoint.ts";
import { runningTurns } from "./context.ts";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { type EntriesOptions, type EntryCursor, readEntries } from "./feed.ts";
import { type ForkLines, forkLines } from "./fork.ts";
import { type CreateOptions, encodeMetadata } from "./header.ts";
import type { SessionInfo } from "./info.ts";
import { decodeMessage, type EncodedMessage, encodeMessage } from "./message-data.ts";
import { readMessages, streamMessages } from "./messages.ts";
import type { OpenSession } from "./open-session.ts";
import { inlineContent } from "./inline-content.ts";
import type { AppendOptions, AttachOptions, MessagesOptions, Session } from "./session.ts";
import { appendOnce } from "./once.ts";
import { checkBody, runTurn, type TurnBody } from "./run-turn.ts";
import { askedAt, suspensionAt } from "./suspension.ts";
import { resolveTarget, type Target } from "./target.ts";
import { type Verification, verifyLog } from "./verify.ts";
import { assertVersion } from "./version.ts";
import { isLive } from "./writer.ts";

/** What a handle needs of its manager. */
export interface SessionHome {
  readonly maxMessageBytes: number;
  /** The shared state of the session in this process. Throws `BACKEND_CLOSED`. */
  open(): OpenSession;
  openTurn(request: Pick<OpenTurnRequest, "input" | "options" | "resume">): Promise<OpenTurn>;
  createFork(options: CreateOptions, from: Head, at: Target, linesBehind: ForkLines): Promise<Session>;
  /** Calls back when the manager is closed. Returns how to stop it. */
  onClose(listener: () => void): () => void;
}

const MAX_MESSAGES_PER_APPEND = 4096;
const DAY_MS = 86_400_000;

export class StoredSession implements Session {
  readonly id: string;
  readonly agentName: string;
  readonly userId?: string;
  readonly #home: SessionHome;
  readonly #incarnation: string;
  /** Loops that follow the log, to be woken by `close`. */
  readonly #following = new Set<() => void>();
  #isClosed = false;

  constructor(home: SessionHome, { info, incarnation }: Head) {
    this.#home = home;
    this.#incarnation = incarnation;
    this.id = info.id;
    this.agentName = info.agentName;
    if (info.userId !== undefined) this.userId = info.userId;
  }

  async info(): Promise<SessionInfo> {
    return (await this.#open().log.refresh()).info;
  }

  async append(
    input: MessageInput | readonly MessageInput[],
    options: AppendOptions = {},
  ): Promise<{ readonly version: number; readonly messages: readonly Message[] }> {
    const open = this.#open();
    const inputs = this.#encodeAll(open, Array.isArray(input) ? (input as readonly MessageInput[]) : [input as MessageInput]);
    const { op, expectedVersion, at, signal } = options;
    const turn = runningTurns().find((each) => each.sessionId === this.id);
    if (turn !== undefined) {
      if (op !== undefined || expectedVersion !== undefined || at !== undefined)
        throw new AixgoError("INVALID_OPTION", "op, expectedVersion and at are for appends outside of a turn");
      const written = await turn.appendAll(inputs);
      return { version: written.tip.seq, messages: written.entries().map(decodeMessage) };
    }
    const storing = open.attachments.store(outgoingOf(inputs));
    if (storing !== undefined) await storing;
    return appendOnce(open, inputs, { op, expectedVersion, at, signal });
  }

  async messages(options: MessagesOptions = {}): Promise<readonly Message[]> {
    const { log, attachments } = this.#open();
    const isInline = wantsInline(options);
    const messages = (await readMessages(log, await log.refresh(), options)).map(({ message }) => message);
    if (!isInline) return messages;
    const whole: Message[] = [];
    for (const message of messages) whole.push(await attachments.inline(message));
    return whole;
  }

  async *readMessages(options: MessagesOptions = {}): AsyncGenerator<Message> {
    const { log, attachments } = this.#open();
    const isInline = wantsInline(options);
    for await (const { message } of streamMessages(log, await log.refresh(), options))
      yield isInline ? await attachments.inline(message) : message;
  }

  async attach(content: Uint8Array | AsyncIterable<Uint8Array>, options: AttachOptions): Promise<FilePart> {
    const { attachments } = this.#open();
    const { mediaType, filename, signal } = options;
    if (typeof mediaType !== "string" || mediaType === "")
      throw new AixgoError("INVALID_OPTION", 'mediaType must say what the content is, such as "image/png"');
    if (filename !== undefined && typeof filename !== "string") throw new AixgoError("INVALID_OPTION", "filename must be a text");
    const url =
      (await attachments.put(content, signal)) ?? (await inlineContent(this.id, content, mediaType, this.#home.maxMessageBytes, signal));
    return { type: "file", mediaType, url, ...(filename === undefined ? undefined : { filename }) };
  }

  async *attachment(url: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.#open().attachments.read(url, options.signal);
  }

  async collectAttachments(options: { readonly olderThanMs?: number } = {}): Promise<{ readonly removed: number }> {
    const { olderThanMs = DAY_MS } = options;
    if (!Number.isFinite(olderThanMs) || olderThanMs < 0)
      throw new AixgoError("INVALID_OPTION", `olderThanMs must be a time of 0 or more, not ${String(olderThanMs)}`);
    return { removed: await this.#open().attachments.collect(olderThanMs) };
  }

  async checkpoint(options: { readonly label?: string } = {}): Promise<Checkpoint> {
    return writeCheckpoint(this.#open().writer, options.label);
  }

  async checkpoints(): Promise<readonly Checkpoint[]> {
    const { log } = this.#open();
    return readCheckpoints(log, await log.refresh());
  }

  async restore(target: string, options: RestoreOptions = {}): Promise<{ readonly version: number; readonly messageCount: number }> {
    const { log, writer } = this.#open();
    return writeRestore(log, writer, target, options);
  }

  async fork(options: { readonly at?: string } & CreateOptions = {}): Promise<Session> {
    const { at, ...create } = options;
    const { log } = this.#open();
    // What lies before the damage of a log can be saved, by someone who says up to where.
    const head = at === undefined ? await log.refresh() : await log.peek();
    const target = at === undefined ? await log.tipOf(head) : await resolveTarget(log, head, at);
    return this.#home.createFork(create, head, target, forkLines(log, head, target.headSeq));
  }

  async *entries(options: EntriesOptions = {}): AsyncGenerator<Entry, void, undefined> {
    const { log } = this.#open();
    yield* readEntries(log, options, {
      assertOpen: () => void this.#open(),
      onClose: (wake) => {
        const unlisten = this.#home.onClose(wake);
        this.#following.add(wake);
        return () => {
          unlisten();
          this.#following.delete(wake);
        };
      },
    });
  }

  cursorOf({ seq, hash }: Pick<Entry, "seq" | "hash">): EntryCursor {
    return { incarnation: this.#incarnation, seq, hash };
  }

  async turn(input: MessageInput, body: TurnBody, given?: TurnOptions): Promise<Reply> {
    this.#open();
    const options = checkTurnOptions(given, "session.turn");
    checkBody("session.turn", body);
    return runTurn(await this.#home.openTurn({ input, options }), body, options);
  }

  async requests({ answered = false }: { readonly answered?: boolean } = {}): Promise<readonly WaitingRequest[]> {
    const { log } = this.#open();
    if (typeof answered !== "boolean") throw new AixgoError("INVALID_OPTION", "option answered must be true or false");
    const head = await log.refresh();
    const suspension = isLive(head) ? undefined : await suspensionAt(log, head);
    if (suspension === undefined) return [];
    return answered ? askedAt(log, head, suspension) : suspension.requests;
  }

  async resume(requestId: string, decision: Json, body: TurnBody, given?: ResumeOptions): Promise<Reply> {
    this.#open();
    const options = checkResumeOptions(given, "session.resume");
    checkBody("session.resume", body);
    return runTurn(await this.#home.openTurn({ resume: { requestId, decision }, options }), body, options);
  }

  async setMetadata(
    metadata: { readonly [key: string]: Json },
    options: { readonly expectedVersion?: number } = {},
  ): Promise<{ readonly version: number }> {
    const data = encodeMetadata(metadata);
    const { writer } = this.#open();
    const written = await writer.submit({
      drafts: [{ id: newEntryId(), type: "metadata", side: {}, data }],
      check: (_, tip) => assertVersion(this.id, options.expectedVersion, tip),
    });
    return { version: written.tip.seq };
  }

  async verify(): Promise<Verification> {
    const { log, attachments } = this.#open();
    return verifyLog(log, attachments);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const wake of this.#following) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): OpenSession {
    if (this.#isClosed)
      throw new AixgoError("BACKEND_CLOSED", `this handle of session ${this.id} was closed. Get it again from the manager`);
    return this.#home.open();
  }

  #encodeAll(open: OpenSession, inputs: readonly MessageInput[]): readonly EncodedMessage[] {
    if (inputs.length === 0 || inputs.length > MAX_MESSAGES_PER_APPEND) {
      throw new AixgoError(
        inputs.length === 0 ? "INVALID_INPUT" : "LIMIT_EXCEEDED",
        `an append takes 1 to ${MAX_MESSAGES_PER_APPEND} messages, not ${inputs.length}`,
      );
    }
    const { maxMessageBytes } = this.#home;
    const limits = { maxBytes: maxMessageBytes, maxBlobBytes: open.attachments.maxBytes };
    const encoded = inputs.map((input) => encodeMessage(input, "user", limits));
    const total = encoded.reduce((sum, { json }) => sum + json.length, 0);
    if (encoded.length > 1 && total > maxMessageBytes) {
      throw new AixgoError(
        "LIMIT_EXCEEDED",
        `the messages of one append have ${total} characters together, the limit is ${maxMessageBytes}. Append them in parts`,
      );
    }
    return encoded;
  }
}

function wantsInline({ attachments = "address" }: MessagesOptions): boolean {
  if (attachments !== "address" && attachments !== "inline")
    throw new AixgoError("INVALID_OPTION", `attachments must be "address" or "inline", not ${JSON.stringify(attachments)}`);
  return attachments === "inline";
}

function outgoingOf(inputs: readonly EncodedMessage[]): EncodedMessage["outgoing"] {
  const [first] = inputs;
  return inputs.length === 1 && first !== undefined ? first.outgoing : inputs.flatMap(({ outgoing }) => outgoing);
}
