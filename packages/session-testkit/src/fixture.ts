import type { SessionBackend } from "@aixgo/session/backend";

export const MANY_SESSIONS = 1000;

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
  /** How many sessions `list/many` makes: at least 100. Longer ones take their time. @default 1000 */
  readonly sessions?: number;
  /** Opens the store of that name. Each case uses a name of its own; a name opened twice is a second node on one store. The kit closes what it opened. */
  open(store: string): Promise<SessionBackend>;
  /** Removes the store after its case, when all that was opened is closed. */
  destroy?(store: string): Promise<void>;
  /** Opens the store so that each session expires by itself so long after its last append. Due where `capabilities.ttl`. */
  openExpiring?(store: string, ttlMs: number): Promise<SessionBackend>;
  /** Whether these bytes can still be found anywhere in the store, however it writes them down. With it, the kit looks whether deleted content is gone. */
  remains?(store: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Kills the server beneath the backends that are open, as a crash does, and brings it, or its successor, back. Left out: the store has
   * none, or it may lose what it acknowledged then. No other case runs meanwhile.
   */
  failover?(store: string): Promise<void>;
}
