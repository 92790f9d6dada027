import { setTimeout as pause } from "node:timers/promises";
import { AixgoError } from "@aixgo/core";
import type { ResolvedOptions } from "./options.ts";
import type { PostgresClient, PostgresPool, Row } from "./pool.ts";
import { failureOf, isConnectionLost, isRetried, isUndone, NoAnswer, NoConnection, type Effect } from "./postgres-errors.ts";

/** A parameter of a statement. Texts as columns hold them; composite values and their arrays are literals. */
export type Parameter = string | number | null | Uint8Array | readonly (string | number | null)[];

interface OwnPool extends PostgresPool {
  end(): Promise<void>;
}

export interface Command {
  /** For messages: "append to session 4f…". */
  readonly doing: string;
  readonly text: string;
  readonly values?: readonly Parameter[];
  /** `write`: a lost answer is `OUTCOME_UNKNOWN`. */
  readonly effect: Effect;
  /** @default the option */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** An open transaction with a connection of its own. */
export interface Held {
  query(text: string, values: readonly Parameter[], effect: Effect): Promise<readonly Row[]>;
  /** Gives the connection back. Only a `COMMIT` that fails throws: `OUTCOME_UNKNOWN`, or that nothing was written. */
  end(how: "COMMIT" | "ROLLBACK"): Promise<void>;
}

/** The only way to the server: deadlines, retries and the border where its errors become ours. */
export interface Connections {
  /** One statement, which is one transaction. */
  run(command: Command): Promise<readonly Row[]>;
  /** Begins a transaction. Whoever holds it ends it, soon: it keeps a connection from others. */
  hold(doing: string, timeoutMs?: number): Promise<Held>;
  /** Ends what was opened here; a pool of the caller's stays. */
  end(): Promise<void>;
}

const ATTEMPTS = 4;

export function createConnections({ source, commandTimeoutMs }: Pick<ResolvedOptions, "source" | "commandTimeoutMs">): Connections {
  let opened: Promise<PostgresPool> | undefined;
  let own: OwnPool | undefined;

  async function open(): Promise<PostgresPool> {
    if ("pool" in source) return source.pool;
    const { Pool } = (await import("pg")).default;
    const pool = new Pool({
      connectionString: source.connectionString,
      max: source.maxConnections,
      connectionTimeoutMillis: commandTimeoutMs,
      application_name: "aixgo",
      keepAlive: true,
      allowExitOnIdle: true,
    });
    // An idle connection that breaks is replaced by the next command; without a listener it would end the process.
    pool.on("error", () => undefined);
    own = pool as unknown as OwnPool;
    return own;
  }

  /** A connection within the deadline. One that comes too late goes straight back. */
  async function connect(): Promise<PostgresClient> {
    const pool = await (opened ??= open());
    let late = false;
    const connecting = pool.connect().then((client) => {
      if (late) client.release();
      return client;
    });
    try {
      return await within(commandTimeoutMs, connecting);
    } catch (error) {
      late = true;
      throw new NoConnection(error, source);
    }
  }

  /** With a connection of its own for as long as `body` runs; one that failed in any way but by the server's own answer is not used again. */
  async function withClient<T>(body: (client: PostgresClient) => Promise<T>): Promise<T> {
    const client = await connect();
    // Between two statements a broken connection is an event, which would end the process if nobody listened.
    const ignore = (): void => undefined;
    client.on?.("error", ignore);
    let broken = true;
    try {
      const value = await body(client);
      broken = false;
      return value;
    } catch (error) {
      broken = isConnectionLost(error);
      throw error;
    } finally {
      client.removeListener?.("error", ignore);
      client.release(broken);
    }
  }

  return {
    async run({ doing, text, values = [], effect, timeoutMs = commandTimeoutMs, signal }) {
      const end = performance.now() + timeoutMs;
      for (let attempt = 1; ; attempt++) {
        refuseAborted(doing, signal);
        try {
          return await withClient(async (client) => {
            refuseAborted(doing, signal);
            return (await within(timeoutMs, client.query(text, [...values]))).rows;
          });
        } catch (error) {
          // Nothing was done, and others were: with many at once, as where transactions are serializable, that may happen often.
          const isUndoneByOthers = isUndone(error) && performance.now() < end;
          if (!isUndoneByOthers && (attempt >= ATTEMPTS || !isRetried(error, effect))) throw failureOf(error, doing, effect);
          if (isUndoneByOthers && attempt > 1) await pause(Math.random() * Math.min(attempt, 20) * 2);
        }
      }
    },

    async hold(doing, timeoutMs = commandTimeoutMs) {
      const client = await connect().catch((error: unknown) => {
        throw failureOf(error, doing, "read");
      });
      const ignore = (): void => undefined;
      client.on?.("error", ignore);
      let broken: unknown;
      async function query(text: string, values: readonly Parameter[], effect: Effect): Promise<readonly Row[]> {
        try {
          return (await within(timeoutMs, client.query(text, [...values]))).rows;
        } catch (error) {
          if (isConnectionLost(error)) broken = error;
          throw failureOf(error, doing, effect);
        }
      }
      async function end(how: "COMMIT" | "ROLLBACK"): Promise<void> {
        try {
          // With the connection the transaction is lost: there is nothing to take back.
          if (broken === undefined) await query(how, [], how === "COMMIT" ? "write" : "read");
        } catch (error) {
          broken = error;
          if (how === "COMMIT") throw error;
        } finally {
          client.removeListener?.("error", ignore);
          client.release(broken !== undefined);
        }
      }
      try {
        // What another transaction has committed while this one waited for a lock is seen.
        await query("BEGIN ISOLATION LEVEL READ COMMITTED", [], "read");
      } catch (error) {
        await end("ROLLBACK");
        throw error;
      }
      return { query, end };
    },

    async end() {
      // A pool that is being made is waited for: it would be left open.
      await opened?.catch(() => undefined);
      await own?.end();
    },
  };
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws `CANCELLED`. */
export function refuseAborted(doing: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${doing}: given up, as its signal asked`, { cause: signal.reason });
}
