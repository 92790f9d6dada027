import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "./session.ts";
import type { Turn } from "./turn.ts";

interface Context {
  readonly session: Session;
  /** The turn that runs here, and the ones it is part of. */
  readonly turns: readonly Turn[];
}

const storage: AsyncLocalStorage<Context> = new AsyncLocalStorage();

/** The session of the turn that this code runs in, or the one given to `runInSession`. */
export function currentSession(): Session | undefined {
  return storage.getStore()?.session;
}

/** Runs `body`, and all it awaits, with `session` as the current one. */
export function runInSession<T>(session: Session, body: () => T): T {
  return storage.run({ session, turns: runningTurns() }, body);
}

export function runInTurn<T>(session: Session, turn: Turn, body: () => T): T {
  return storage.run({ session, turns: [...runningTurns(), turn] }, body);
}

/** The turns that this code is part of, outermost first; ended ones are left out: work that outlives its turn is not part of it. */
export function runningTurns(): readonly Turn[] {
  return storage.getStore()?.turns.filter((turn) => !turn.hasEnded) ?? [];
}
