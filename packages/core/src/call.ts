import type { CallOptions, Principal } from "./agent.ts";
import type { NestedOptions } from "./call-options.ts";
import type { Cancellation } from "./cancellation.ts";
import type { Frame } from "./frame.ts";
import type { LiveTurn } from "./live-turn.ts";
import type { Invocation, NestedCaller, ShownEvent } from "./invocation.ts";
import type { Limiter } from "./limiter.ts";
import type { MessageDraft, MessageInput, ToolCallPart } from "./message.ts";
import type { CallKind, Observer } from "./observer.ts";
import type { Registration } from "./registration.ts";
import type { OpenTurnRequest, SessionHost } from "./session-host.ts";
import { createSlot, type Slot } from "./slot.ts";
import type { Stake } from "./stake.ts";
import type { Tally } from "./tally.ts";

/** Calls inside calls inside calls, turns inside turns: beyond this an agent calls itself without end. */
export const MAX_DEPTH = 64;

/** What the runtime lends to its calls. */
export interface CallSite {
  readonly runtime: object;
  readonly observer: Observer;
  readonly sessions: SessionHost | undefined;
  /** Turns that run here, by session. */
  readonly live: Map<string, LiveTurn>;
  readonly limiter: Limiter | undefined;
  readonly timeoutMs: number | undefined;
  /** Calls not yet answered, for `stop`. */
  readonly active: Set<Cancellation>;
  /** Calls, and agents that still work. */
  readonly inFlight: Tally;
  /** The agent, if calls are admitted now; throws NOT_STARTED or AGENT_NOT_FOUND. */
  admit(agent: string, nested: boolean): Registration;
  callNested: NestedCaller;
  /** Whether an agent has this name: unknown names do not become labels. */
  knows(agent: string): boolean;
}

export interface CallRequest {
  readonly kind: CallKind;
  readonly agent: string;
  readonly input: MessageInput;
  readonly options: NestedOptions | undefined;
  readonly cancellation: Cancellation;
  readonly sessionId?: string;
  /** An answer to a suspended turn, instead of an input. */
  readonly resume?: NonNullable<OpenTurnRequest["resume"]>;
  readonly show?: (event: ShownEvent, cursor?: string) => void;
  /** Told once, before the agent runs, what calls an earlier attempt of the turn has left open. */
  readonly left?: (calls: readonly ToolCallPart[]) => void;
  readonly parent?: Invocation;
}

/** What a call has found out before its agent runs. */
export interface Prepared {
  readonly request: CallRequest;
  readonly registration: Registration;
  readonly options: CallOptions;
  readonly principal: Principal | undefined;
  /** Absent for the answer to a suspended turn. */
  readonly draft: MessageDraft | undefined;
  readonly stake: Stake;
  /** The frame this call was made in. */
  readonly outer: Frame | undefined;
}

/** A slot of the call this one is part of, else one of its own: in turn, behind those who came before. `undefined`: nothing to wait for. */
export function takeSlot(site: CallSite, prepared: Prepared): Promise<void> | undefined {
  const { limiter } = site;
  const { stake } = prepared;
  if (limiter === undefined || stake.slot !== undefined) return undefined;
  stake.slot = sharedSlot(prepared.outer, limiter);
  if (stake.slot !== undefined) return undefined;
  const taken = (): void => void (stake.slot = createSlot(limiter));
  const wait = limiter.acquire(prepared.request.cancellation);
  if (wait !== undefined) return wait.then(taken);
  taken();
  return undefined;
}

export function sharedSlot(frame: Frame | undefined, limiter: Limiter | undefined): Slot | undefined {
  for (let at = frame; at !== undefined; at = at.parent) {
    if (at.slot !== undefined && at.slot.limiter === limiter && at.slot.share()) return at.slot;
  }
  return undefined;
}

export function startTimer(site: CallSite, prepared: Prepared): void {
  const timeoutMs = timeoutOf(site, prepared.request, prepared.options);
  if (timeoutMs !== undefined)
    prepared.request.cancellation.expireAfter(timeoutMs, `agent "${prepared.registration.name}" did not answer within ${timeoutMs} ms`);
}

/** A sub-call is bounded by the call it is part of, whose timer runs already. */
export function timeoutOf(site: CallSite, request: CallRequest, options: CallOptions): number | undefined {
  if (request.parent !== undefined || site.timeoutMs === undefined) return options.timeoutMs;
  return options.timeoutMs === undefined ? site.timeoutMs : Math.min(options.timeoutMs, site.timeoutMs);
}
