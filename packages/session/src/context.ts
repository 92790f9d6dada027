import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "./session.ts";
import type { EncodedMessage } from "./message-data.ts";
import type { Written } from "./writer.ts";

/** A turn as the code that runs in it sees it. */
export interface RunningTurn {
  readonly sessionId: string;
  readonly hasEnded: boolean;
  /** Stores messages as part of the turn. */
  appendAll(inputs: readonly EncodedMessage[]): Promise<Written>;
}

interface Context {
  readonly session: Session;
  /** The turn that runs here, and the ones it is part of. */
  readonly turns: readonly RunningTurn[];
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

export function runInTurn<T>(session: Session, turn: RunningTurn, body: () => T): T {
  return storage.run({ session, turns: [...runningTurns(), turn] }, body);
}

/** The turns that this code is part of, outermost first; ended ones are left out: work that outlives its turn is not part of it. */
export function runningTurns(): readonly RunningTurn[] {
  return storage.getStore()?.turns.filter((turn) => !turn.hasEnded) ?? [];
}
