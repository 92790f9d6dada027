import type { Agent, AgentEvent, CallOptions, Execute, Reply, TurnOptions } from "./agent.ts";
import type { MessageInput } from "./message.ts";

/**
 * The events of one call, as they happen, each with a cursor. Iterating is optional.
 * Leaving the loop never stops a session turn (it stops a stateless call); `cancel` does.
 */
export interface ReplyStream extends AsyncIterable<AgentEvent & { readonly cursor: string }> {
  /** Never raises an unhandled rejection. */
  readonly reply: Promise<Reply>;
  cancel(reason?: string): Promise<void>;
}

export interface Runtime extends AsyncDisposable {
  /** The registered name is the agent's name; twice is `AGENT_EXISTS`. */
  register(agent: Agent): this;
  register(name: string, agent: Agent | Execute): this;
  unregister(name: string): Promise<boolean>;
  get(name: string): Agent | undefined;
  list(): readonly string[];
  /** Starts every registered agent. Calls before it are `NOT_STARTED`. */
  start(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Refuses new calls, lets running ones end within `graceMs`, then aborts them. Idempotent. */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
  call(agent: string, input: MessageInput, options?: CallOptions): Promise<Reply>;
  stream(agent: string, input: MessageInput, options?: CallOptions): ReplyStream;
  callWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): Promise<Reply>;
  streamWithSession(agent: string, input: MessageInput, sessionId: string, options?: TurnOptions): ReplyStream;
  cancelTurn(sessionId: string, options?: { readonly turnId?: string; readonly reason?: string }): Promise<boolean>;
}
