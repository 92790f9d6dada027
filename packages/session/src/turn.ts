import {
  AixgoError,
  type HistoryOptions,
  isAixgoError,
  type Json,
  type Message,
  type MessageInput,
  type OpenTurn,
  type Reply,
  type SuspendRequest,
  textOf,
  toSuspendRequest,
  type Usage,
} from "@aixgo/core";
import { newEntryId, redactError } from "@aixgo/security";
import { runInTurn } from "./context.ts";
import { lifeOf } from "./place.ts";
import type { Lease } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { LeaseKeeper } from "./lease.ts";
import type { Draft } from "./line.ts";
import { encodeJson, type EncodedMessage, encodeMessage, messageOf } from "./message-data.ts";
import { readMessages, readSteps } from "./messages.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import type { PathMessage } from "./tree.ts";
import { lastWords, opOf } from "./suspension.ts";
import type { TurnData, TurnKey, TurnStatus } from "./turn-data.ts";
import { requestOp, turnWithOp } from "./turn-log.ts";
import { type Batch, now, type Written } from "./writer.ts";

/** Reasons that travel through a lease's `cancelRequested`. */
export const INTERRUPT = "interrupt";
const CANCEL = "cancel:";

export function cancelReason(reason: string | undefined): string {
  return `${CANCEL}${reason ?? ""}`;
}

export interface TurnStart {
  readonly open: OpenSession;
  readonly session: Session;
  readonly userId: string | undefined;
  readonly id: string;
  /** Seq of the turn's first start; its input is the entry behind it. */
  readonly turnSeq: number;
  readonly attempt: number;
  readonly resumed: boolean;
  readonly key: TurnKey | undefined;
  readonly op: string | undefined;
  readonly input: Message;
  readonly headSeq: number;
  /** Answers that the turn was given, by request. */
  readonly decisions: ReadonlyMap<string, Json>;
  readonly lease: Pick<Lease, "fence" | "token">;
  readonly leaseMs: number;
  readonly maxMessageBytes: number;
  /** Called once, when the turn is over however it ended. */
  onEnd(): void;
}

/** Requests that may wait at once. */
const MAX_REQUESTS = 256;

/** A turn that this process runs. Every line it writes is fenced by its lease and grows from its own last line. */
export class Turn implements OpenTurn {
  readonly id: string;
  readonly attempt: number;
  readonly resumed: boolean;
  readonly input: Message;
  readonly userId?: string;
  readonly place: OpenTurn["place"];
  readonly #start: TurnStart;
  readonly #requests = new Map<string, SuspendRequest>();
  readonly #keeper: LeaseKeeper;
  readonly #abort = new AbortController();
  /** Messages that this attempt stored, by what the agent handed over. */
  readonly #stored = new WeakMap<object, { readonly message: Message; readonly seq: number }>();
  #headSeq: number;
  #ended: "no" | "ending" | "yes" = "no";
  #cancelled: "cancelled" | "interrupted" | undefined;

  constructor(start: TurnStart) {
    this.#start = start;
    this.id = start.id;
    this.attempt = start.attempt;
    this.resumed = start.resumed;
    this.input = start.input;
    if (start.userId !== undefined) this.userId = start.userId;
    this.#headSeq = start.headSeq;
    const { log } = start.open;
    this.place = { life: lifeOf(log.ref), version: start.headSeq };
    this.#keeper = new LeaseKeeper({
      backend: log.backend,
      ref: log.ref,
      lease: start.lease,
      leaseMs: start.leaseMs,
      onLost: (error) => this.#lost(error),
      onCancel: (reason) => this.#cancelRequested(reason),
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get sessionId(): string {
    return this.#start.open.ref.id;
  }

  get hasEnded(): boolean {
    return this.#ended === "yes";
  }

  async history(options: HistoryOptions = {}): Promise<readonly Message[]> {
    const { log } = this.#start.open;
    const others = await readMessages(log, await log.refresh(), options, (each) => each.turn !== this.#start.turnSeq);
    return this.#start.open.attachments.forAgent(others.map(({ message }) => message));
  }

  async steps(): Promise<readonly Message[]> {
    return this.#start.open.attachments.forAgent((await this.#steps()).map(({ message }) => message));
  }

  async getState(): Promise<Json | undefined> {
    const { log } = this.#start.open;
    const head = await log.refresh();
    let state: Entry | undefined;
    await log.walk(head, head.headSeq, () => (entry) => {
      if (entry.type !== "state") return true;
      state = entry;
      return false;
    });
    return state?.data;
  }

  async setState(value: Json): Promise<void> {
    this.#assertOpen("set its state");
    const data = encodeJson(value, "state", this.#start.maxMessageBytes);
    await this.#write({ drafts: [this.#draft("state", data)] });
  }

  async append(input: MessageInput): Promise<{ readonly message: Message; readonly version: number }> {
    this.#assertOpen("append");
    const { json, data, outgoing } = this.#encode(input);
    const storing = this.#store(outgoing);
    if (storing !== undefined) await storing;
    const draft = this.#draft("message", json);
    const written = await this.#write({ drafts: [draft] });
    const message = messageOf(data, draft.id, written.timestamp);
    if (typeof input === "object") this.#stored.set(input, { message, seq: written.first });
    this.#stored.set(message, { message, seq: written.first });
    return { message, version: written.tip.seq };
  }

  /** Messages from outside of the agent's own results, such as `session.append` inside of a turn. */
  async appendAll(inputs: readonly EncodedMessage[]): Promise<Written> {
    this.#assertOpen("append");
    const storing = this.#store(inputs.flatMap(({ outgoing }) => outgoing));
    if (storing !== undefined) await storing;
    return this.#write({ drafts: inputs.map(({ json }) => this.#draft("message", json)) });
  }

  get requests(): readonly SuspendRequest[] {
    return [...this.#requests.values()];
  }

  async suspend(request: SuspendRequest): Promise<Json> {
    this.#assertOpen("suspend");
    const asked = toSuspendRequest(request);
    const decided = this.#start.decisions.get(asked.requestId);
    if (decided !== undefined) return decided;
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
    const { id } = this.#start.open.ref;
    if (this.#requests.size >= MAX_REQUESTS && !this.#requests.has(asked.requestId))
      throw new AixgoError(
        "LIMIT_EXCEEDED",
        `turn ${this.id} of session ${id} waits for ${MAX_REQUESTS} requests already, the most that may`,
      );
    encodeJson([...this.#requests.values(), asked], "requests of a suspended turn", this.#start.maxMessageBytes);
    this.#requests.set(asked.requestId, asked);
    throw new AixgoError(
      "TURN_SUSPENDED",
      `turn ${this.id} of session ${id} waits for the answer to request ${JSON.stringify(asked.requestId)}: let this error pass, and the turn is suspended`,
    );
  }

  async decisionOf(requestId: string): Promise<Json | undefined> {
    return this.#start.decisions.get(requestId);
  }

  async endSuspended(): Promise<Reply> {
    this.#assertOpen("be suspended");
    const { requests } = this;
    const { open, key } = this.#start;
    if (requests.length === 0)
      throw new AixgoError("INVALID_INPUT", `turn ${this.id} of session ${open.ref.id} has asked for nothing to wait for`);
    this.#ended = "ending";
    try {
      await this.#assertNewQuestions(requests);
      const words = lastWords(
        (await this.#steps()).map(({ message }) => message),
        this.id,
        now(),
      );
      const suspend = this.#draft("turn", this.#turnData("suspend", { requests }), opOf(key?.key, this.id));
      const waitsFor = requests.map(({ requestId }) => requestId);
      const written = await this.#write({ drafts: [{ ...suspend, waitsFor }], release: true });
      this.#finish();
      return {
        ...words,
        turn: { id: this.id, sessionId: open.ref.id, version: written.tip.seq, replayed: false, status: "suspended", requests },
      };
    } catch (error) {
      this.#ended = "no";
      await this.fail(error);
      throw error;
    }
  }

  /**
   * A request id is one question for ever: an answer to an earlier one that arrives again, or only now, must not answer this one. The
   * turn itself may ask anew, where a restore left it behind or it was cancelled.
   */
  async #assertNewQuestions(requests: readonly SuspendRequest[]): Promise<void> {
    const { open, key, turnSeq } = this.#start;
    const { log } = open;
    await Promise.all(
      requests.map(async ({ requestId }) => {
        const earlier = await turnWithOp(log, requestOp(requestId));
        if (earlier === undefined || earlier.turnSeq === turnSeq || (key !== undefined && earlier.data.key === key.key)) return;
        const fate = earlier.data.phase === "withdraw" ? "was withdrawn with another turn" : "was answered in another turn";
        throw new AixgoError(
          "INVALID_INPUT",
          `turn ${this.id} of session ${log.ref.id} asks under the request id ${JSON.stringify(requestId)}, which ${fate}. Make the id of the turn's own, such as context.session.turnId and a name`,
        );
      }),
    );
  }

  run<T>(body: () => T): T {
    return runInTurn(this.#start.session, this, body);
  }

  async complete(input: MessageInput, usage?: Usage): Promise<Reply> {
    this.#assertOpen("complete");
    this.#ended = "ending";
    const { open } = this.#start;
    try {
      const known = await this.#alreadyStored(input);
      const answer = known === undefined ? this.#encode(input) : undefined;
      await open.attachments.store(answer?.outgoing ?? []);
      const drafts: Draft[] = answer === undefined ? [] : [this.#draft("message", answer.json)];
      const end = (replySeq: number): string =>
        this.#turnData("end", { status: "completed", replySeq, ...(usage === undefined ? undefined : { usage }) });
      drafts.push(this.#draft("turn", (tip) => end(known?.seq ?? tip.seq), this.#start.op));
      const written = await this.#write({ drafts, release: true });
      const message = known?.message ?? messageOf((answer as EncodedMessage).data, (drafts[0] as Draft).id, written.timestamp);
      this.#finish();
      return {
        message,
        text: textOf(message),
        ...(usage === undefined ? undefined : { usage }),
        turn: { id: this.id, sessionId: open.ref.id, version: written.tip.seq, replayed: false, status: "completed" },
      };
    } catch (error) {
      // The answer could not be stored: the attempt is over, and the log should say so.
      this.#ended = "no";
      await this.fail(error);
      throw error;
    }
  }

  async fail(error: unknown): Promise<void> {
    if (this.#ended !== "no") return;
    this.#ended = "ending";
    try {
      const status: TurnStatus = this.#cancelled ?? (isAixgoError(error, "CANCELLED") ? "cancelled" : "failed");
      const end = this.#draft("turn", this.#turnData("end", { status, error: redactError(error) }), this.#start.op);
      await this.#write({ drafts: [end], release: true });
    } catch {
      // The lease is lost or the store does not answer: the next opener finds the turn open and dead, and writes its end.
    } finally {
      this.#finish();
    }
  }

  /** Asks the turn to stop. */
  cancel(kind: "cancelled" | "interrupted", reason: string): void {
    if (this.#ended === "yes" || this.#abort.signal.aborted) return;
    this.#cancelled = kind;
    this.#abort.abort(
      new AixgoError("CANCELLED", `turn ${this.id} of session ${this.#start.open.ref.id} was ${kind}${reason === "" ? "" : `: ${reason}`}`),
    );
  }

  #encode(input: MessageInput): EncodedMessage {
    const { open, maxMessageBytes } = this.#start;
    return encodeMessage(input, "assistant", { maxBytes: maxMessageBytes, maxBlobBytes: open.attachments.maxBytes });
  }

  /** Undefined: nothing is to be waited for, and what is called next is written next. */
  #store(outgoing: EncodedMessage["outgoing"]): Promise<void> | undefined {
    // The turn may have come to its end when it is done.
    return this.#start.open.attachments.store(outgoing)?.then(() => this.#assertOpen("append"));
  }

  async #steps(): Promise<readonly PathMessage[]> {
    const { log } = this.#start.open;
    return readSteps(log, await log.refresh(), this.#start.turnSeq);
  }

  #draft(type: "message" | "state" | "turn", data: Draft["data"], op?: string): Draft {
    return {
      id: newEntryId(),
      type,
      data,
      turn: this.#start.turnSeq,
      fence: this.#start.lease.fence,
      ...(op === undefined ? undefined : { op }),
    };
  }

  #turnData(phase: TurnData["phase"], rest: Partial<TurnData>): string {
    return JSON.stringify({ phase, ...this.#start.key, attempt: this.attempt, ...rest } satisfies TurnData);
  }

  async #write(batch: Pick<Batch, "drafts" | "release">): Promise<Written> {
    try {
      const written = await this.#start.open.writer.submit({
        ...batch,
        lease: this.#start.lease,
        check: (head) => {
          // Side entries of others may stand in between; anything on the path, or a restore, takes the turn's ground away.
          if (head.headSeq !== this.#headSeq) {
            throw new AixgoError(
              "FENCED",
              `session ${head.id} was continued by somebody else while turn ${this.id} ran; nothing more of it is written`,
            );
          }
        },
        landed: ({ tip }) => {
          this.#headSeq = tip.headSeq;
        },
      });
      const request = written.head.lease?.cancelRequested;
      if (request !== undefined) this.#cancelRequested(request);
      return written;
    } catch (error) {
      if (isAixgoError(error) && ["FENCED", "SESSION_DELETED", "INCARNATION_CHANGED"].includes(error.code)) this.#lost(error);
      throw error;
    }
  }

  /** The answer may have been stored on the way: by this attempt, or by an earlier one that died before the turn's end. */
  async #alreadyStored(input: MessageInput): Promise<{ readonly message: Message; readonly seq: number } | undefined> {
    if (typeof input === "string") return undefined;
    const known = this.#stored.get(input);
    if (known !== undefined || input.id === undefined) return known;
    const found = (await this.#steps()).findLast(
      ({ message, entryId }) => message.role === "assistant" && (message.id === input.id || entryId === input.id),
    );
    return found === undefined ? undefined : { message: found.message, seq: found.seq };
  }

  #cancelRequested(reason: string): void {
    if (reason === INTERRUPT) this.cancel("interrupted", "");
    else this.cancel("cancelled", reason.startsWith(CANCEL) ? reason.slice(CANCEL.length) : reason);
  }

  #lost(error: unknown): void {
    this.#keeper.stop();
    this.#abort.abort(error);
  }

  #assertOpen(what: string): void {
    if (this.#ended !== "no")
      throw new AixgoError("TURN_ENDED", `turn ${this.id} of session ${this.#start.open.ref.id} has ended; it cannot ${what}`);
  }

  #finish(): void {
    this.#ended = "yes";
    this.#keeper.stop();
    this.#start.onEnd();
  }
}
