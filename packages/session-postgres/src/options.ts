import { AixgoError } from "@aixgo/core";
import type { Capabilities } from "@aixgo/session/backend";
import type { ListenOptions } from "./listener.ts";
import type { PostgresPool } from "./pool.ts";

interface CommonOptions {
  /** Schema that holds the tables: letters, digits and `_`, at most 48. @default "aixgo" */
  readonly schema?: string;
  /** Makes and updates the tables at the first call. `false`: checks only, for roles without DDL rights. @default true */
  readonly migrate?: boolean;
  /** How long one command may take, and how long it may wait for a connection. 50 to 600,000. @default 5000 */
  readonly commandTimeoutMs?: number;
  /** Metadata keys that `list` filters without `scan`. @default [] */
  readonly indexedMetadata?: readonly string[];
  /** Longest line, in bytes. 256 KiB to 64 MiB. @default 16 MiB */
  readonly maxLineBytes?: number;
  /** Longest attachment, in bytes. 1 MiB to 1 GiB. @default 64 MiB */
  readonly maxBlobBytes?: number;
  /**
   * Hints at once instead of by time, for followers of sessions: this node listens on a direct connection of its own, opened when
   * something is first followed, and tells the other nodes what it has changed. To be given to all nodes.
   * @default undefined: sessions that are followed are looked at by time
   */
  readonly listen?: ListenOptions;
  /** What an acknowledged append survives on this server: `disk` refuses a server that runs with `fsync = off`. @default "disk" */
  readonly durability?: "memory" | "os" | "disk";
}

/** Connections that the backend makes and closes itself. */
export interface OwnConnections extends CommonOptions {
  /** `postgresql://user:password@host:port/database`, as `pg` understands it. */
  readonly connectionString: string;
  /** 1 to 1000. @default 10 */
  readonly maxConnections?: number;
}

/** Connections of the caller, who closes them. */
export interface GivenPool extends CommonOptions {
  /** A `Pool` of `pg`, or what behaves like one. */
  readonly pool: PostgresPool;
  /** Who else may open this store: `process` for a database inside the process, such as PGlite. @default "cluster" */
  readonly sharedBy?: Capabilities["sharedBy"];
}

export type PostgresBackendOptions = OwnConnections | GivenPool;

export interface ResolvedOptions {
  readonly source: { readonly connectionString: string; readonly maxConnections: number } | { readonly pool: PostgresPool };
  readonly schema: string;
  readonly migrate: boolean;
  readonly commandTimeoutMs: number;
  readonly listen: ListenOptions | undefined;
  readonly capabilities: Capabilities & { readonly maxBlobBytes: number };
}

export const DEFAULT_SCHEMA = "aixgo";
export const DEFAULT_COMMAND_TIMEOUT_MS = 5_000;
export const DEFAULT_MAX_CONNECTIONS = 10;
export const DEFAULT_MAX_LINE_BYTES: number = 16 * 1024 * 1024;
export const DEFAULT_MAX_BLOB_BYTES: number = 64 * 1024 * 1024;

const COMMON = ["schema", "migrate", "commandTimeoutMs", "indexedMetadata", "maxLineBytes", "maxBlobBytes", "durability", "listen"];
const OWN = [...COMMON, "connectionString", "maxConnections"];
const GIVEN = [...COMMON, "pool", "sharedBy"];

export function resolveOptions(options: PostgresBackendOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) throw invalid("options", "must be an object");
  const isOwn = "connectionString" in options && options.connectionString !== undefined;
  if (isOwn === ("pool" in options && options.pool !== undefined)) {
    throw invalid(isOwn ? "pool" : "connectionString", "or the other one must be given: a connectionString, or a pool, and not both");
  }
  const known = isOwn ? OWN : GIVEN;
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key) && value !== undefined)
      throw invalid(
        key,
        `is not an option of createPostgresBackend; with ${isOwn ? "a connectionString" : "a pool"} it takes ${known.join(", ")}`,
      );
  }
  const { migrate = true, indexedMetadata = [], durability = "disk" } = options;
  if (typeof migrate !== "boolean") throw invalid("migrate", "must be true or false");
  if (!Array.isArray(indexedMetadata) || indexedMetadata.some((key) => typeof key !== "string" || key === ""))
    throw invalid("indexedMetadata", "must be a list of metadata keys");
  if (durability !== "disk" && durability !== "os" && durability !== "memory")
    throw invalid("durability", 'must be "disk", "os" or "memory"');
  return {
    source: "connectionString" in options ? ownConnections(options) : { pool: poolOf(options.pool) },
    schema: checkSchema(options.schema ?? DEFAULT_SCHEMA),
    migrate,
    commandTimeoutMs: whole("commandTimeoutMs", options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS, 50, 600_000),
    listen: options.listen === undefined ? undefined : listenOptions(options.listen),
    capabilities: {
      sharedBy: "pool" in options ? sharedBy(options.sharedBy ?? "cluster") : "cluster",
      durability,
      maxLineBytes: whole("maxLineBytes", options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES, 256 * 1024, 64 * 1024 * 1024),
      maxBlobBytes: whole("maxBlobBytes", options.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES, 1024 * 1024, 1024 * 1024 * 1024),
      indexedMetadata: [...new Set<string>(indexedMetadata)],
      ttl: false,
    },
  };
}

/** A name that needs no escape anywhere, and leaves room for the names derived from it. */
export function checkSchema(schema: string): string {
  if (typeof schema !== "string" || !/^[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(schema) || /^pg_/i.test(schema)) {
    throw invalid("schema", 'must be 1 to 48 letters, digits or "_", not begin with a digit, and not with "pg_"');
  }
  return schema;
}

function ownConnections({
  connectionString,
  maxConnections,
}: OwnConnections): Extract<ResolvedOptions["source"], { connectionString: string }> {
  checkAddress("connectionString", connectionString);
  return { connectionString, maxConnections: whole("maxConnections", maxConnections ?? DEFAULT_MAX_CONNECTIONS, 1, 1000) };
}

function listenOptions(listen: ListenOptions): ListenOptions {
  if (typeof listen !== "object" || listen === null) throw invalid("listen", "must be an object with a connectionString");
  const { connectionString, onLost, ...unknown } = listen;
  const [foreign] = Object.keys(unknown);
  if (foreign !== undefined) throw invalid(`listen.${foreign}`, "is not known; listen takes connectionString and onLost");
  if (onLost !== undefined && typeof onLost !== "function") throw invalid("listen.onLost", "must be a function");
  checkAddress("listen.connectionString", connectionString);
  return onLost === undefined ? { connectionString } : { connectionString, onLost };
}

/** What the text holds is never shown: it may be a password. */
function checkAddress(name: string, connectionString: string): void {
  if (typeof connectionString !== "string" || !/^(postgres|postgresql):\/\//.test(connectionString))
    throw invalid(name, 'must begin with "postgresql://"');
}

function poolOf(pool: PostgresPool): PostgresPool {
  if (typeof pool !== "object" || pool === null || typeof pool.connect !== "function")
    throw invalid("pool", "must have a connect method, as a Pool of pg has");
  return pool;
}

function sharedBy(value: Capabilities["sharedBy"]): Capabilities["sharedBy"] {
  if (value !== "cluster" && value !== "host" && value !== "process") throw invalid("sharedBy", 'must be "process", "host" or "cluster"');
  return value;
}

function whole(name: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw invalid(name, `must be a whole number from ${least} to ${most}`);
  return value;
}

function invalid(name: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `option ${name} ${problem}`);
}
