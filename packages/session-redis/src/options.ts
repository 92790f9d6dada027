import { isIP } from "node:net";
import { AixgoError } from "@aixgo/core";
import type { Cluster, Redis } from "ioredis";

interface OwnOptions {
  /** Begins every key; without braces. @default "aixgo:sessions:" */
  readonly keyPrefix?: string;
  /** A session expires so long after its last append. 1000 or more. @default never */
  readonly ttlMs?: number;
  /** `memory`: acknowledged by the master alone; `quorum`: by `replicas` replicas as well. @default "memory" */
  readonly durability?: "memory" | "quorum";
  /** Replicas that must have confirmed a write in `quorum`. @default all that are connected when the backend starts */
  readonly replicas?: number;
  /** How long one command may take. 1 to 600,000. @default 5000 */
  readonly commandTimeoutMs?: number;
  /** Metadata keys that `list` filters without `scan`. @default [] */
  readonly indexedMetadata?: readonly string[];
  /** Longest line, in bytes. 1 KiB to 64 MiB. @default 4 MiB */
  readonly maxLineBytes?: number;
  /** Longest attachment, in bytes. 1 MiB to 1 GiB. @default 64 MiB */
  readonly maxBlobBytes?: number;
}

interface ServerOptions {
  /** `localhost:6379`, `redis://…`, `rediss://…` (TLS) or the path of a unix socket. */
  readonly url: string;
  /** Over what the URL says. */
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
}

interface ClientOptions {
  /** Of ioredis: a single server, Sentinel or a Cluster. Closing the backend leaves it open. */
  readonly client: Redis | Cluster;
}

export type RedisBackendOptions = OwnOptions & (ServerOptions | ClientOptions);

/** How to reach a server that the backend connects to by itself. */
export interface Server {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly tls?: { readonly servername?: string };
  readonly username?: string;
  readonly password?: string;
  readonly db: number;
}

export interface ResolvedOptions {
  readonly client: Redis | Cluster | undefined;
  readonly server: Server | undefined;
  readonly keyPrefix: string;
  /** Zero: sessions do not expire. */
  readonly ttlMs: number;
  readonly durability: "memory" | "quorum";
  readonly replicas: number | undefined;
  readonly commandTimeoutMs: number;
  readonly indexedMetadata: readonly string[];
  readonly maxLineBytes: number;
  readonly maxBlobBytes: number;
}

export const DEFAULT_KEY_PREFIX = "aixgo:sessions:";
export const DEFAULT_COMMAND_TIMEOUT_MS = 5_000;
export const DEFAULT_MAX_LINE_BYTES: number = 4 * 1024 * 1024;
export const DEFAULT_MAX_BLOB_BYTES: number = 64 * 1024 * 1024;
const DEFAULT_PORT = 6379;
const MAX_TTL_MS = 100 * 365 * 24 * 60 * 60 * 1000;

const KNOWN: ReadonlySet<string> = new Set([
  "url",
  "username",
  "password",
  "db",
  "client",
  "keyPrefix",
  "ttlMs",
  "durability",
  "replicas",
  "commandTimeoutMs",
  "indexedMetadata",
  "maxLineBytes",
  "maxBlobBytes",
]);

export function resolveOptions(options: RedisBackendOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) throw invalid("options", "must be an object with a url or a client");
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key)) throw invalid(key, `is not an option of createRedisBackend; it takes ${[...KNOWN].join(", ")}`);
  }
  // Looked at as the callers of JavaScript give it: anything may be there.
  const given = options as OwnOptions & Partial<ServerOptions> & Partial<ClientOptions>;
  const keyPrefix = given.keyPrefix ?? DEFAULT_KEY_PREFIX;
  if (typeof keyPrefix !== "string" || /[{}]/.test(keyPrefix))
    throw invalid("keyPrefix", "must be a text without braces, which would put all sessions of a Cluster into one slot");
  const durability = given.durability ?? "memory";
  if (durability !== "memory" && durability !== "quorum") throw invalid("durability", 'must be "memory" or "quorum"');
  if (given.replicas !== undefined && durability !== "quorum") throw invalid("replicas", 'goes with durability "quorum" only');
  const indexedMetadata = given.indexedMetadata ?? [];
  if (!Array.isArray(indexedMetadata) || indexedMetadata.some((key) => typeof key !== "string" || key === ""))
    throw invalid("indexedMetadata", "must be a list of metadata keys");
  return {
    ...reach(given),
    keyPrefix,
    ttlMs: given.ttlMs === undefined ? 0 : whole("ttlMs", given.ttlMs, 1000, MAX_TTL_MS),
    durability,
    replicas: given.replicas === undefined ? undefined : whole("replicas", given.replicas, 1, 100),
    commandTimeoutMs: whole("commandTimeoutMs", given.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS, 1, 600_000),
    indexedMetadata: [...new Set<string>(indexedMetadata)],
    maxLineBytes: whole("maxLineBytes", given.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES, 1024, 64 * 1024 * 1024),
    maxBlobBytes: whole("maxBlobBytes", given.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES, 1024 * 1024, 1024 * 1024 * 1024),
  };
}

function reach(given: Partial<ServerOptions> & Partial<ClientOptions>): Pick<ResolvedOptions, "client" | "server"> {
  if (given.client === undefined) return { client: undefined, server: serverOf(given) };
  for (const name of ["url", "username", "password", "db"] as const) {
    if (given[name] !== undefined) throw invalid(name, "cannot be given beside client, which is connected to its server already");
  }
  const client: unknown = given.client;
  if (
    typeof client !== "object" ||
    client === null ||
    !["sendCommand", "duplicate", "pipeline"].every((name) => typeof (client as Record<string, unknown>)[name] === "function")
  ) {
    throw invalid("client", "must be a client of ioredis: new Redis(…) or new Cluster(…)");
  }
  return { client: given.client, server: undefined };
}

/** Nothing of the URL is ever shown: it may hold a password. */
function serverOf({ url, username, password, db }: Partial<ServerOptions>): Server {
  if (typeof url !== "string" || url.trim() === "")
    throw invalid("url", "must be given, such as localhost:6379; or give a client of ioredis as client");
  for (const [name, value] of Object.entries({ username, password })) {
    if (value !== undefined && typeof value !== "string") throw invalid(name, "must be a text");
  }
  const own = { ...(username === undefined ? undefined : { username }), ...(password === undefined ? undefined : { password }) };
  const number = db === undefined ? undefined : whole("db", db, 0, 1_000_000);
  const path = url.startsWith("/") ? url : url.startsWith("unix://") ? url.slice("unix://".length) : undefined;
  if (path !== undefined) {
    if (!path.startsWith("/")) throw invalid("url", "names a unix socket, whose path must be absolute");
    return { path, ...own, db: number ?? 0 };
  }
  let parsed: URL;
  try {
    parsed = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `redis://${url}`);
  } catch {
    throw invalid("url", "is not understood; it is host:port, redis://…, rediss://… or the path of a unix socket");
  }
  if (parsed.protocol !== "redis:" && parsed.protocol !== "rediss:")
    throw invalid("url", `has the scheme ${parsed.protocol} where redis: or rediss: is due`);
  if (parsed.search !== "" || parsed.hash !== "")
    throw invalid("url", "takes no parameters; for further settings make a client of ioredis and give it as client");
  const segment = parsed.pathname.replace(/^\//, "");
  if (!/^\d*$/.test(segment)) throw invalid("url", "has a path that is no number of a database");
  const host = decoded(parsed.hostname.replace(/^\[(.*)\]$/, "$1")) || "localhost";
  return {
    host,
    port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
    ...(parsed.protocol === "rediss:" ? { tls: isIP(host) === 0 ? { servername: host } : {} } : undefined),
    ...(parsed.username === "" ? undefined : { username: decoded(parsed.username) }),
    ...(parsed.password === "" ? undefined : { password: decoded(parsed.password) }),
    ...own,
    db: number ?? (segment === "" ? 0 : whole("url", Number(segment), 0, 1_000_000)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("url", "has a percent sign that begins no escape; write it as %25");
  }
}

function whole(name: string, value: unknown, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most)
    throw invalid(name, `must be a whole number from ${least} to ${most}`);
  return value as number;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `createRedisBackend: option ${name} ${problem}`);
}
