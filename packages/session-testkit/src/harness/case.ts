import type { SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";

/** One behaviour that every backend has. */
export interface Case {
  /** `area/behaviour`, stable. */
  readonly id: string;
  /** The sentence of the contract that it tests. */
  readonly sentence: string;
  /** Why it cannot be run with this fixture; absent or undefined: it can. Looks at what the fixture gives, never at its name. */
  needs?(fixture: Fixture): string | undefined;
  run(context: CaseContext): Promise<void>;
}

/** What a case is given: a fresh store, opened once. */
export interface CaseContext {
  readonly fixture: Fixture;
  readonly store: string;
  readonly backend: SessionBackend;
  /** Opens the same store again: a second node. Closed when the case ends. `how`: in another way than the fixture's `open`. */
  open(how?: (store: string) => Promise<SessionBackend>): Promise<SessionBackend>;
}
