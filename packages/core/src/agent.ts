import type { Json, Message, MessageInput, Role } from "./message.ts";
import type { Observe } from "./operation.ts";
import type { SuspendRequest } from "./suspension.ts";
import type { Logger } from "./telemetry.ts";

/** On whose behalf a call runs. Sessions of one principal cannot be seen by another. */
export interface Principal {
  readonly id: string;
  readonly tenantId?: string;
  readonly roles?: readonly string[];
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds, from the start of the agent's work. */
  readonly timeoutMs?: number;
  readonly principal?: Principal;
}

export interface TurnOptions extends CallOptions {
  /** Calls with the same key are one turn: it is answered once and stored once. @default the input's id, if it has one */
  readonly turnKey?: string;
  /** What a second caller does while a turn of this session runs. @default "queue" */
  readonly ifBusy?: "queue" | "reject" | "interrupt";
  /** Longest wait for the running turn, in milliseconds; apart from `timeoutMs`, which starts with the turn. */
  readonly queueTimeoutMs?: number;
  /**
   * What a call with a new message does while a turn of this session waits for an answer. `reject`: `TURN_SUSPENDED`, naming what is
   * asked. `decline`: the waiting turn ends as `cancelled`, its open calls as denied, and the new one begins. @default "reject"
   */
  readonly ifSuspended?: "reject" | "decline";
}

/** Of an answer to a suspended turn. `timeoutMs` is of the attempt that follows: waiting for a person has no time limit. */
export type ResumeOptions = Omit<TurnOptions, "turnKey" | "ifSuspended">;

export interface HistoryOptions {
  /** Only the last n messages; widened to the start of a step, so that no tool result loses its call. */
  readonly last?: number;
  /** Only messages after the one with this id (of an entry, message or checkpoint). */
  readonly after?: string;
  readonly roles?: readonly Role[];
  readonly signal?: AbortSignal;
}

export interface Usage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

export interface Reply {
  /** Of a suspended turn: the assistant's last message in it so far, else one without parts that is not stored. */
  readonly message: Message;
  /** The text parts of `message`, joined. */
  readonly text: string;
  readonly usage?: Usage;
  /** Only for calls with a session. */
  readonly turn?: {
    readonly id: string;
    readonly sessionId: string;
    /** Version of the session after the turn. */
    readonly version: number;
    /** True if the answer was already in the log and the agent did not run. */
    readonly replayed: boolean;
    /** `suspended`: it goes on when all `requests` are answered, see `runtime.resume`. */
    readonly status: "completed" | "suspended";
    /** What a suspended turn still waits for. */
    readonly requests?: readonly SuspendRequest[];
  };
}

export type AgentEvent =
  /** Shown, not stored. */
  | { readonly type: "text-delta" | "reasoning-delta"; readonly text: string }
  /** Stored: the `emit` or `yield` resumes when the message is durable. */
  | { readonly type: "message"; readonly message: MessageInput }
  /** Shown, not stored. */
  | { readonly type: `data-${string}`; readonly data: Json };

/** What an agent is given beside its input. A prompt is `history()`, the input, `steps()`. */
export interface AgentContext {
  readonly agentName: string;
  /** Aborts on the caller's cancel, on timeout, on a lost lease and when the runtime stops. */
  readonly signal: AbortSignal;
  readonly principal?: Principal;
  readonly logger: Logger;
  /** Puts what the agent does (requests to models, runs of tools) into the runtime's traces and metrics. Absent where there are none. */
  readonly observe?: Observe;
  /** Absent in a stateless call. */
  readonly session?: {
    readonly id: string;
    readonly userId?: string;
    readonly turnId: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
    /** The attempt before this one was suspended and everything it asked is answered: nothing of it was cut off. */
    readonly resumed?: true;
  };
  /** Messages of the other turns on the path, never this turn's; `[]` in a stateless call. */
  history(options?: HistoryOptions): Promise<readonly Message[]>;
  /** This turn's messages after its input, those of earlier attempts included. */
  steps(): Promise<readonly Message[]>;
  /** The newest state on the path: a restore brings back the state of then. */
  getState(): Promise<Json | undefined>;
  setState(value: Json): Promise<void>;
  /** Hands an event to the caller. Resolves when a message is durable; at once for the others. */
  emit(event: AgentEvent): Promise<void>;
  /**
   * Calls another agent under this call: it inherits deadline, cancel, principal and call slot. `history: true` lends it this
   * conversation, read-only; `show: true` passes what it shows (deltas and data, not its messages) on to this call's reader.
   */
  call(agent: string, input: MessageInput, options?: CallOptions & { readonly history?: boolean; readonly show?: boolean }): Promise<Reply>;
  /**
   * Asks somebody who may take days to answer. The first time it rejects with `TURN_SUSPENDED`: let that pass. The attempt ends as
   * `suspended`, with all that was asked in it; the session is free of its lease, and no process needs to live. When everything is
   * answered (`runtime.resume`) the agent runs again, on any node, and the same `requestId` resolves with the answer.
   *
   * Once something was asked, the attempt ends as suspended however the agent ends, unless it was cancelled or ran out of time: an
   * answer that it returns all the same is dropped. What was emitted before is stored. Throws `INVALID_OPTION` in a call without
   * a session (sub-calls too), `LIMIT_EXCEEDED` above 256 requests or the session's `maxMessageBytes`. An id that was answered in
   * another turn of the session, or declined or cancelled with it, fails the call with `INVALID_INPUT`.
   */
  suspend(request: SuspendRequest): Promise<Json>;
  /**
   * The answer that a request of this turn was given, without asking: what somebody has decided stands, also where the agent would not
   * ask any more. Undefined: it has none, or there is no session.
   */
  decisionOf(requestId: string): Promise<Json | undefined>;
}

/** An agent's work. The returned message is the answer; a generator yields events on the way and returns the answer. */
export type Execute = (
  input: Message,
  context: AgentContext,
) => AgentResult | Promise<AgentResult> | AsyncGenerator<AgentEvent, AgentResult, void>;
/** The answer, alone or with what it cost. */
export type AgentResult = MessageInput | { readonly message: MessageInput; readonly usage: Usage };

export interface Agent {
  readonly name: string;
  readonly role?: string;
  /** `disabled`: calls with a session are refused before anything is written. @default "enabled" */
  readonly sessions?: "enabled" | "disabled";
  readonly execute: Execute;
  start?(signal: AbortSignal): Promise<void>;
  stop?(): Promise<void>;
  /** Asked before each call; false refuses it. */
  ready?(): boolean | Promise<boolean>;
}

/** Identity, for its types: checks an agent where it is written. */
export function defineAgent(agent: Agent): Agent {
  return agent;
}
