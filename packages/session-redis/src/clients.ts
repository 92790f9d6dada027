import { type Cluster, Redis, type RedisOptions } from "ioredis";
import type { Server } from "./options.ts";

/** So often a broken connection is tried again before the commands that wait for it fail: 0.6 s the first time, twice that at most later. */
const RECONNECTS_PER_COMMAND = 4;
const LONGEST_PAUSE_MS = 250;

/** One that has been closed stays closed: it is its owner's to open again. */
export async function whenReady(cluster: Cluster): Promise<void> {
  if (cluster.status === "end") throw new Error("Connection is closed.");
  if (cluster.status === "wait") await cluster.connect();
  else if (cluster.status !== "ready") await new Promise<void>((resolve) => cluster.once("ready", () => resolve()));
}

/** A client of our own. It connects with its first command. */
export function connect({ db, ...server }: Server, commandTimeoutMs: number): Redis {
  return new Redis({
    ...server,
    db,
    lazyConnect: true,
    connectTimeout: commandTimeoutMs,
    maxRetriesPerRequest: RECONNECTS_PER_COMMAND,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt - 1, 10), LONGEST_PAUSE_MS),
    // After a failover this connection leads to a replica: a new one may lead to the master. The command itself fails, for nothing of it was done.
    reconnectOnError: (error) => error.message.includes("READONLY"),
  });
}

/** A client to hear channels with: like the given one, of a Cluster like one of its nodes. Throws if the Cluster knows none yet. */
export function listenerOf(client: Redis | Cluster, address: string | undefined, commandTimeoutMs: number): Redis {
  const own: RedisOptions = {
    keyPrefix: "",
    lazyConnect: true,
    enableOfflineQueue: true,
    autoResubscribe: false,
    connectTimeout: commandTimeoutMs,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 1,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt - 1, 10), 2_000),
  };
  if (!client.isCluster) return (client as Redis).duplicate(own);
  const [node] = (client as Cluster).nodes("master");
  if (node === undefined) throw new Error("the Cluster knows no node yet");
  return node.duplicate({ ...own, ...(address === undefined ? undefined : placeOf(client as Cluster, address)) });
}

/** Host and port of an address of the Cluster, as its client has been told to reach it. A node that does not know its own host means the one that was asked. */
function placeOf({ options: { natMap } }: Cluster, address: string): { readonly host?: string; readonly port: number } {
  const mapped = typeof natMap === "function" ? natMap(address) : natMap?.[address];
  if (mapped !== undefined && mapped !== null) return mapped;
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  return { ...(host === "" ? undefined : { host }), port: Number(address.slice(at + 1)) };
}

/** Where commands go, as it may be shown: no password, no path. */
export function endpointOf(client: Redis | Cluster, server: Server | undefined): string {
  if (client.isCluster) return "its Cluster";
  const { host, port, path, sentinels, name } = {
    host: undefined,
    port: undefined,
    path: undefined,
    sentinels: undefined,
    name: undefined,
    ...(client as Redis).options,
  };
  if (Array.isArray(sentinels)) return `the master ${String(name)}`;
  if (server?.path !== undefined || typeof path === "string") return "its unix socket";
  const shown = host ?? "localhost";
  return `${shown.includes(":") ? `[${shown}]` : shown}:${String(port ?? "")}`;
}
