import { AixgoError } from "@aixgo/core";
import type { Cluster, Redis } from "ioredis";
import { connect, endpointOf, listenerOf, whenReady } from "./clients.ts";
import { CountedCommand, createBatch } from "./counted-command.ts";
import { createDeadlines } from "./deadlines.ts";
import { createLane, type Lane, type LaneItem } from "./lane.ts";
import type { ResolvedOptions, Server } from "./options.ts";
import { isMissingScript, type Progress, type Purpose, quiet, tooLate, translate, unknownOutcome } from "./redis-errors.ts";
import type { Script } from "./scripts.ts";

type Client = Redis | Cluster;
export type Argument = string | Buffer;

/** A script that is to be run. Its keys share one slot. */
export interface Call extends Purpose {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args?: readonly Argument[];
}

export interface Answer {
  /** Of the script: texts as Buffers, numbers, null, lists of these. */
  readonly reply: unknown;
  /** It was sent more than once: what it finds may be its own work. */
  readonly resent: boolean;
}

export interface Connection {
  readonly isCluster: boolean;
  /** Where commands go, as it may be shown. */
  readonly endpoint: string;
  run(call: Call): Promise<Answer>;
  /** The same, and confirmed by so many replicas: fewer in time are `OUTCOME_UNKNOWN`. */
  confirm(call: Call, replicas: number): Promise<Answer>;
  /** INFO of every master. */
  info(purpose: Purpose): Promise<readonly string[]>;
  /** The name that a key has in the server: behind the client's own prefix. */
  named(key: string): string;
  /** A client of its own to hear channels with, of a Cluster one to that node or to any. It does not hear again by itself what it heard before it broke. */
  listen(address?: string): Redis;
  /** Closes what `listen` gave. */
  release(client: Redis): void;
  /** Called when a connection has come up again: what was known of the server may have changed. */
  onReady(listener: () => void): void;
  /** Closes what this connection has made, and leaves the user's client as it was. */
  close(): Promise<void>;
}

/** Makes no connection before the first command. */
export function createConnection(options: Pick<ResolvedOptions, "client" | "server" | "commandTimeoutMs">): Connection {
  const { commandTimeoutMs } = options;
  const client: Client = options.client ?? connect(options.server as Server, commandTimeoutMs);
  const isCluster = client.isCluster;
  const { keyPrefix = "" } = client.options;
  const endpoint = endpointOf(client, options.server);
  const deadlines = createDeadlines(commandTimeoutMs);
  /** What this connection has made and therefore closes. */
  const own = new Set<Client>(options.client === undefined ? [client] : []);
  const detachments: (() => void)[] = [];
  const readyListeners: (() => void)[] = [];
  let connectionError: Error | undefined;
  const batch = createBatch(client);
  let confirming: Client | undefined;
  let lane: Lane | undefined;
  let readying: Promise<void> | undefined;

  function watch(one: Client): void {
    const failed = (error: Error): void => {
      connectionError = quiet(error);
    };
    const ready = (): void => {
      connectionError = undefined;
      for (const listener of readyListeners) listener();
    };
    one.on("error", failed);
    one.on("ready", ready);
    detachments.push(() => {
      one.off("error", failed);
      one.off("ready", ready);
    });
  }
  watch(client);

  function commandOf(name: "evalsha" | "eval", { script, keys, args = [] }: Call): CountedCommand {
    // The client's own prefix is put before keys, as with its own methods.
    const prefixed = keyPrefix === "" ? keys : keys.map((key) => keyPrefix + key);
    return new CountedCommand(name, [name === "evalsha" ? script.sha : script.text, String(keys.length), ...prefixed, ...args]);
  }

  function progress(sends: number): Progress {
    return { sends, endpoint, connectionError };
  }

  /** However many calls wait for it, one listener does. */
  function comesReady(): Promise<void> {
    readying ??= whenReady(client as Cluster).finally(() => (readying = undefined));
    return readying;
  }

  /** The connections of confirmed writes: WAIT makes everything behind it on its connection wait, too. */
  function confirmingClient(): Client {
    if (confirming === undefined) {
      confirming = isCluster ? (client as Cluster).duplicate() : (client as Redis).duplicate();
      own.add(confirming);
      watch(confirming);
    }
    return confirming;
  }

  function bounded<T>(purpose: Purpose, sends: () => number, work: Promise<T>): Promise<T> {
    return deadlines.within(
      work,
      () => tooLate(purpose, progress(sends()), commandTimeoutMs),
      (error) => translate(error, purpose, progress(sends())),
    );
  }

  /** A client whose choice of database was refused says so in an event, and goes on with the first one. */
  async function hasDatabase(purpose: Purpose, one: Redis): Promise<void> {
    const { select = one.options.db ?? 0 } = { select: undefined, ...(one as unknown as { condition?: { select?: number } }).condition };
    if (select === 0) return;
    try {
      await bounded(purpose, () => 0, one.select(select));
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes("DB index")) throw error;
      const text = `${purpose.operation}: the Redis server at ${endpoint} has no database ${select}. Give another db, or let the server have more (databases)`;
      throw new AixgoError("BACKEND_UNAVAILABLE", text, { cause: error.cause, retryable: false });
    }
  }

  return {
    isCluster,
    endpoint,

    run(call) {
      const command = commandOf("evalsha", call);
      let whole: CountedCommand | undefined;
      const resent = (): boolean => command.sends > 1 || (whole?.sends ?? 0) > 1;
      const work = batch.send(command).then(
        (reply): Answer => ({ reply, resent: resent() }),
        async (error: unknown): Promise<Answer> => {
          if (!isMissingScript(error)) throw error;
          // The server has lost its scripts, or never had them: with its text this one is known again.
          whole = commandOf("eval", call);
          return { reply: await batch.send(whole), resent: resent() };
        },
      );
      return bounded(call, () => (whole ?? command).sends, work);
    },

    async confirm(call, replicas) {
      const through = confirmingClient();
      lane ??= createLane(through, commandTimeoutMs);
      const item: LaneItem = { make: (name) => commandOf(name, call), sends: 0 };
      const { reply, confirmed } = await bounded(call, () => item.sends, lane.send(item, replicas));
      if (confirmed < replicas) {
        throw unknownOutcome(call.operation, `the master has it, but ${confirmed} of ${replicas} replicas have confirmed it`);
      }
      return { reply, resent: item.sends > 1 };
    },

    async info(purpose) {
      // A Cluster that has not been used yet knows no nodes.
      if (isCluster && client.status !== "ready") await bounded(purpose, () => 0, comesReady());
      if (!isCluster) await hasDatabase(purpose, client as Redis);
      const nodes = isCluster ? (client as Cluster).nodes("master") : [client as Redis];
      return Promise.all(nodes.map((node) => bounded(purpose, () => 0, node.info())));
    },

    named: (key) => keyPrefix + key,

    listen(address) {
      const listener = listenerOf(client, address, commandTimeoutMs);
      own.add(listener);
      return listener;
    },

    release(listener) {
      own.delete(listener);
      discard(listener);
    },

    onReady(listener) {
      readyListeners.push(listener);
    },

    async close() {
      for (const detach of detachments) detach();
      for (const one of own) discard(one);
      own.clear();
    },
  };
}

/** Errors of a client that is being thrown away interest nobody, but without a listener they are printed. */
function discard(one: Client): void {
  one.on("error", () => {});
  one.disconnect();
}

export function closedError(operation: string): AixgoError {
  return new AixgoError("BACKEND_CLOSED", `${operation}: this Redis backend has been closed`);
}
