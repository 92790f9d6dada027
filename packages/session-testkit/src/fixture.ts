import type { SessionBackend } from "@aixgo/session/backend";

/** How the kit reaches a backend. */
export interface Fixture {
  /** Title of the suite, and how a child process finds this fixture among the exports of `module`. */
  readonly name: string;
  /**
   * URL of a module that exports this fixture. Stores that several processes may share need it: the kit starts children that import it.
   */
  readonly module?: string;
  /** Arguments of Node for those children, such as a loader for TypeScript. @default [] */
  readonly execArgv?: readonly string[];
  /** Optional members of the contract that the backend has: their cases run then. A case fails if this is not what the backend says. @default [] */
  readonly offers?: readonly ("watch" | "blobs")[];
  /** Opens the store of that name. Each case uses a name of its own; a name opened twice is a second node on one store. The kit closes what it opened. */
  open(store: string): Promise<SessionBackend>;
  /** Removes the store after its case, when all that was opened is closed. */
  destroy?(store: string): Promise<void>;
}
