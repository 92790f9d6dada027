import type { HistoryOptions, Principal, Reply, TurnOptions, Usage } from "./agent.ts";
import type { Json, Message, MessageInput } from "./message.ts";
import type { SuspendRequest } from "./suspension.ts";

/** All that this package knows of sessions; `@aixgo/session` implements it. */
export interface SessionHost {
  /** Who may share the store: decides whether a node may serve session calls. */
  readonly sharedBy: "process" | "host" | "cluster";
  /**
   * Opens or continues a turn; waits while another runs. Nothing is written when it is refused.
   *
   * `within` names the sessions whose turns this call is part of: opening one of those is `TURN_REENTRANT`.
   */
  openTurn(sessionId: string, request: OpenTurnRequest): Promise<OpenTurn>;
  /** The agent that the session belongs to. Throws `SESSION_NOT_FOUND`, also for another's session. */
  agentOf(sessionId: string, options?: { readonly principal?: Principal }): Promise<string>;
  /** Asks whoever runs the session's turn, in any process, to stop it; ends a suspended one. False: there is none. */
  cancelTurn(sessionId: string, options?: { readonly turnId?: string; readonly reason?: string }): Promise<boolean>;
  /** The turn that runs, in whatever process. Undefined: none does. Throws like `follow`. */
  attach(sessionId: string, options?: { readonly after?: string; readonly principal?: Principal }): Promise<AttachedTurn | undefined>;
  /**
   * The messages of the path behind a cursor, and then those that any process appends, until the loop is left: each once, in order.
   * Throws `INVALID_OPTION` for what is no cursor, `INCARNATION_CHANGED` for one of another life of the session, `LOG_DIVERGED` for
   * one of an end that the log has lost.
   */
  follow(
    sessionId: string,
    options?: { readonly after?: string; readonly signal?: AbortSignal; readonly principal?: Principal },
  ): AsyncIterable<FollowedMessage>;
}

export interface FollowedMessage {
  readonly message: Message;
  /** Of the turn that stored it. */
  readonly turnId?: string;
  readonly version: number;
}

/** A running turn, read from the log. Nothing is read before it is asked for, and nothing is kept for a reader that lags. */
export interface AttachedTurn {
  readonly id: string;
  /** Where the reading begins. */
  readonly place: { readonly life: string; readonly version: number; readonly shown: number };
  /**
   * What is stored behind that place, until the attempt ends; then it ends, or throws what became of a turn that was not answered.
   * An item without a message says that everything up to its version was shown.
   */
  messages(signal?: AbortSignal): AsyncIterable<{ readonly version: number; readonly message?: Message }>;
  /** The last step at or before that place, its results included: those of its calls that come later are behind it. `[]`: there is none. */
  stepBefore(): Promise<readonly Message[]>;
  /** When the attempt has ended: its reply, from the log, or a rejection as of `messages`. */
  reply(signal?: AbortSignal): Promise<Reply>;
  /** Something new may be there: whoever waits looks at once. */
  wake(): void;
}

/** With `input` a new turn or another attempt of the one with its key; with `resume` a suspended one goes on. */
export interface OpenTurnRequest {
  readonly agent: string;
  /** Absent exactly if `resume` is given. */
  readonly input?: MessageInput;
  readonly options: TurnOptions;
  readonly within?: readonly string[];
  /**
   * An answer to a suspended turn. The first one to a request counts; for a later one, and as long as other requests wait, the
   * turn comes back `finished`. Throws `ENTRY_NOT_FOUND` if there is no such request, `TURN_ENDED` if its turn was cancelled.
   */
  readonly resume?: { readonly requestId: string; readonly decision: Json };
}

/** One attempt of a turn. The session layer gives ids and times. Exactly one of `complete`, `endSuspended` and `fail` ends it. */
export interface OpenTurn {
  readonly id: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** True for the attempt that follows a suspension: the one before it ended in order, and nothing of it was cut off. */
  readonly resumed: boolean;
  /** Aborts when the turn is cancelled from anywhere, interrupted, or its lease is lost. */
  readonly signal: AbortSignal;
  /** The stored input, on later attempts too. */
  readonly input: Message;
  /** Present if the log already holds the answer, or the turn waits for one: nothing is to be run. */
  readonly finished?: Reply;
  readonly userId?: string;
  /** Where the attempt began: what its events are counted from. */
  readonly place: { readonly life: string; readonly version: number };
  /** What was asked in this attempt and has no answer. If there is any, the attempt is to be ended with `endSuspended`. */
  readonly requests: readonly SuspendRequest[];
  history(options?: HistoryOptions): Promise<readonly Message[]>;
  steps(): Promise<readonly Message[]>;
  getState(): Promise<Json | undefined>;
  setState(value: Json): Promise<void>;
  /** Resolves when the message is as durable as the store declares. */
  append(message: MessageInput): Promise<{ readonly message: Message; readonly version: number }>;
  /** Runs `body` with this session as the current one. */
  run<T>(body: () => T): T;
  /** The answer to a request of this turn; without one it joins `requests` and rejects with `TURN_SUSPENDED`. */
  suspend(request: SuspendRequest): Promise<Json>;
  /** The answer to a request of this turn, if it was given one. Asks nobody. */
  decisionOf(requestId: string): Promise<Json | undefined>;
  /** Ends the attempt as `suspended`: `requests` and the release of the lease are one append. */
  endSuspended(): Promise<Reply>;
  /** Ends the attempt as `completed`. A message that this attempt stored already is not stored again. */
  complete(message: MessageInput, usage?: Usage): Promise<Reply>;
  /** Ends the attempt: as `cancelled` if `error` has that code or the turn's signal was aborted by a cancel, `interrupted` if by an interrupt, else `failed`. Never throws. */
  fail(error: unknown): Promise<void>;
}
