import { AsyncLocalStorage } from "node:async_hooks";
import type { Slot } from "./slot.ts";

/**
 * What a call hands down to the calls made inside it, also to those made through `runtime.call` rather than `context.call`.
 * Entered only where there is something to hand down, a slot or a session: the tracking makes every promise dearer.
 */
export interface Frame {
  readonly parent: Frame | undefined;
  readonly slot?: Slot;
  /** Session whose turn this frame is. */
  readonly sessionId?: string;
  /** Identity of the runtime, for calls admitted while it stops. */
  readonly runtime: object;
  /** Set when the call is over: work that it left behind is part of nothing. */
  over: boolean;
}

const current = new AsyncLocalStorage<Frame>();

export function currentFrame(): Frame | undefined {
  return current.getStore();
}

export function runInFrame<T>(frame: Frame, body: () => T): T {
  return current.run(frame, body);
}

/** For what outlives the call in which it happens to begin: it is part of no call. */
export function runWithoutFrame<T>(body: () => T): T {
  return current.getStore() === undefined ? body() : current.exit(body);
}

/** Sessions whose turns a call made in `frame` is part of, outermost first. */
export function sessionsOf(frame: Frame | undefined): readonly string[] {
  const ids: string[] = [];
  for (let at = frame; at !== undefined; at = at.parent) {
    if (at.sessionId !== undefined && !at.over) ids.unshift(at.sessionId);
  }
  return ids;
}

/** Whether a call made in `frame` is part of a running call of that runtime. */
export function isWithin(frame: Frame | undefined, runtime: object): boolean {
  for (let at = frame; at !== undefined; at = at.parent) if (at.runtime === runtime && !at.over) return true;
  return false;
}
