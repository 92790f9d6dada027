import type { HistoryOptions, Reply, TurnOptions, Usage } from "./agent.ts";
import type { Json, Message, MessageInput } from "./message.ts";

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
  /** Asks whoever runs the session's turn, in any process, to stop it. False: none runs. */
  cancelTurn(sessionId: string, options?: { readonly turnId?: string; readonly reason?: string }): Promise<boolean>;
}

export interface OpenTurnRequest {
  readonly agent: string;
  readonly input: MessageInput;
  readonly options: TurnOptions;
  readonly within?: readonly string[];
}

/** One attempt of a turn. The session layer gives ids and times. Exactly one of `complete` and `fail` ends it. */
export interface OpenTurn {
  readonly id: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Aborts when the turn is cancelled from anywhere, interrupted, or its lease is lost. */
  readonly signal: AbortSignal;
  /** The stored input, on later attempts too. */
  readonly input: Message;
  /** Present if the log already holds the answer: nothing is to be run. */
  readonly finished?: Reply;
  readonly userId?: string;
  history(options?: HistoryOptions): Promise<readonly Message[]>;
  steps(): Promise<readonly Message[]>;
  getState(): Promise<Json | undefined>;
  setState(value: Json): Promise<void>;
  /** Resolves when the message is as durable as the store declares. */
  append(message: MessageInput): Promise<{ readonly message: Message; readonly version: number }>;
  /** Runs `body` with this session as the current one. */
  run<T>(body: () => T): T;
  /** Ends the attempt as `completed`. A message that this attempt stored already is not stored again. */
  complete(message: MessageInput, usage?: Usage): Promise<Reply>;
  /** Ends the attempt: as `cancelled` if `error` has that code or the turn's signal was aborted by a cancel, `interrupted` if by an interrupt, else `failed`. Never throws. */
  fail(error: unknown): Promise<void>;
}
