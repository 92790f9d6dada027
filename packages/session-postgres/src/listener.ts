import type { AixgoError } from "@aixgo/core";
import { failureOf, NoConnection } from "./postgres-errors.ts";

/** Pauses before the next try, in milliseconds: growing while the server cannot be had. */
const RETRY_MS = { first: 250, most: 30_000, growth: 2 };

export interface ListenOptions {
  /** Of a direct connection: behind a pooler in transaction mode nothing would be heard. */
  readonly connectionString: string;
  /** Told when the connection cannot be had or has broken; hints come by time until it is back. Must not throw. */
  readonly onLost?: (error: AixgoError) => void;
}

/** The one connection with a state: it listens, and does nothing else. */
export interface Listener {
  /** Connects, and connects again whenever the connection is lost. Idempotent. */
  start(): void;
  close(): Promise<void>;
}

export interface Heard {
  /** Whether the server tells of changes from now on. */
  state(isListening: boolean): void;
  name(name: string): void;
}

/** What is used of a `Client` of `pg`. */
interface ListeningClient {
  connect(): Promise<unknown>;
  query(text: string): Promise<unknown>;
  on(event: "notification", listener: (message: { readonly payload?: string | undefined }) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  unref(): void;
  end(): Promise<void>;
}

export function createListener(options: ListenOptions, channel: string, timeoutMs: number, heard: Heard): Listener {
  const doing = "listen for changes";
  let isStarted = false;
  let isClosed = false;
  let client: ListeningClient | undefined;
  let retry: NodeJS.Timeout | undefined;
  let connecting: Promise<void> | undefined;
  let pauseMs = RETRY_MS.first;

  function lost(error: unknown): void {
    if (client === undefined || isClosed) return;
    const broken = client;
    client = undefined;
    heard.state(false);
    void discard(broken);
    options.onLost?.(failureOf(error, doing, "read"));
    retry = setTimeout(connect, pauseMs * (0.5 + Math.random() / 2)).unref();
    pauseMs = Math.min(pauseMs * RETRY_MS.growth, RETRY_MS.most);
  }

  async function open(): Promise<void> {
    const { Client } = (await import("pg")).default;
    const next = new Client({
      connectionString: options.connectionString,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      // A connection that has silently died is noticed by the system, and replaced.
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: "aixgo listen",
    }) as unknown as ListeningClient;
    client = next;
    const ifCurrent = (error: unknown): void => {
      if (client === next) lost(error);
    };
    next.on("error", ifCurrent);
    next.on("end", () => ifCurrent(new Error("the connection ended")));
    next.on("notification", ({ payload }) => heard.name(payload ?? ""));
    try {
      await next.connect().catch((error: unknown) => {
        throw new NoConnection(error, options);
      });
      await next.query(`LISTEN "${channel}"`);
    } catch (error) {
      ifCurrent(error);
      return;
    }
    if (isClosed || client !== next) {
      await discard(next);
      return;
    }
    // Hints are no reason for the process to live on.
    next.unref();
    pauseMs = RETRY_MS.first;
    heard.state(true);
  }

  function connect(): void {
    connecting = open().catch((error: unknown) => {
      // The driver itself is missing.
      options.onLost?.(failureOf(error, doing, "read"));
    });
  }

  return {
    start() {
      if (isStarted || isClosed) return;
      isStarted = true;
      connect();
    },
    async close() {
      isClosed = true;
      clearTimeout(retry);
      if (client !== undefined) await discard(client);
      await connecting;
    },
  };
}

async function discard(client: ListeningClient): Promise<void> {
  try {
    await client.end();
  } catch {
    // It had ended already.
  }
}
