import type { Connection } from "./connection.ts";
import { patiently } from "./patience.ts";
import { isConnectionLost, isStatementError, sqliteCode } from "./sqlite-errors.ts";

/** Calls that share one transaction, and one sync of the disk. */
const MAX_GROUP = 64;

/** What is to be written. It may run again if its transaction could not be committed, so it changes nothing but the database. */
type Job<T> = (connection: Connection) => T;

interface Waiting {
  readonly job: Job<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/**
 * All writes of this process go through one queue. Those that wait together leave as one transaction: with `durability: "disk"`
 * the sync is nearly all that a write costs, and so many sessions share it. Each is all or nothing on its own.
 */
export interface WriteQueue {
  /** Resolves when it is committed. */
  push<T>(job: Job<T>): Promise<T>;
  /** When all that was pushed is done, one way or the other. */
  drained(): Promise<void>;
}

/** `connect` gives an open connection or throws; `broken` is told that it can no longer be used. */
export function createWriteQueue(busyTimeoutMs: number, connect: () => Connection, broken: () => void): WriteQueue {
  const waiting: Waiting[] = [];
  let draining: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      // All that is called in this turn of the event loop comes along.
      await new Promise(setImmediate);
      const group = waiting.splice(0, MAX_GROUP);
      try {
        const outcomes = await patiently(busyTimeoutMs, () => {
          const connection = connect();
          return connection.writing(() => group.map(({ job }) => saved(connection, job)));
        });
        for (const [i, outcome] of outcomes.entries()) settle(group[i] as Waiting, outcome);
      } catch (error) {
        if (isConnectionLost(error)) broken();
        for (const each of group) each.reject(error);
      }
    }
    draining = undefined;
  }

  return {
    push<T>(job: Job<T>) {
      return new Promise<T>((resolve, reject) => {
        waiting.push({ job, resolve: resolve as (value: unknown) => void, reject });
        draining ??= drain();
      });
    },
    async drained() {
      await draining;
    },
  };
}

/** What one job of a group does is undone alone if it throws. Failures of the database itself, such as a full disk, end the whole group. */
function saved(connection: Connection, job: Job<unknown>): Outcome {
  connection.run("SAVEPOINT job");
  try {
    const value = job(connection);
    connection.run("RELEASE job");
    return { value };
  } catch (error) {
    if (sqliteCode(error) !== undefined && !isStatementError(error)) throw error;
    connection.run("ROLLBACK TO job; RELEASE job");
    return { error };
  }
}

function settle({ resolve, reject }: Waiting, outcome: Outcome): void {
  if ("error" in outcome) reject(outcome.error);
  else resolve(outcome.value);
}
