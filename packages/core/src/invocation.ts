import type { Agent, AgentEvent, HistoryOptions, Principal, Reply } from "./agent.ts";
import type { NestedOptions } from "./call-options.ts";
import type { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Message, MessageInput } from "./message.ts";
import type { Observe } from "./operation.ts";
import type { OpenTurn } from "./session-host.ts";
import type { Logger } from "./telemetry.ts";

/** An event as readers see it: its message has an id and a time. */
export type ShownEvent = Exclude<AgentEvent, { readonly type: "message" }> | { readonly type: "message"; readonly message: Message };

/** Calls another agent under a running one. */
export type NestedCaller = (parent: Invocation, agent: string, input: MessageInput, options: NestedOptions | undefined) => Promise<Reply>;

/** One execution of one agent: what it works with, and what came of it so far. */
export interface Invocation {
  readonly agentName: string;
  readonly agent: Agent;
  readonly input: Message;
  readonly cancellation: Cancellation;
  readonly principal: Principal | undefined;
  readonly logger: Logger;
  /** Absent without metrics and tracing. */
  readonly observe: Observe | undefined;
  /** Absent in a stateless call. */
  readonly turn: OpenTurn | undefined;
  readonly sessionId: string | undefined;
  readonly frame: Frame | undefined;
  /** Calls inside calls above this one. */
  readonly depth: number;
  readonly history: ((options: HistoryOptions | undefined) => Promise<readonly Message[]>) | undefined;
  /** Shows an event to whoever reads; of a stored message with the version it was stored at. */
  readonly show: ((event: ShownEvent, version?: number) => void) | undefined;
  readonly callNested: NestedCaller;
  /** Messages that this execution handed over; of a turn the host has them. */
  steps: Message[] | undefined;
  /** Stored messages by the object that the agent handed over: it may return the same object as its answer. */
  stored: WeakMap<object, Message> | undefined;
  /** What waits for the store: it comes before the answer. */
  pending: Set<Promise<unknown>> | undefined;
  /** Set when the caller is answered: what the agent does after that goes nowhere. */
  over: boolean;
}

/** Lets the answer wait for `storing`. */
export function track(call: Invocation, storing: Promise<unknown>): void {
  const pending = (call.pending ??= new Set());
  pending.add(storing);
  const done = (): void => void pending.delete(storing);
  storing.then(done, done);
}

/** What ended calls say to an agent that goes on. */
export function overError(call: Invocation): AixgoError {
  return call.cancellation.reason ?? new AixgoError("TURN_ENDED", `the call of agent "${call.agentName}" is over`);
}
