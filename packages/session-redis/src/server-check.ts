import { randomBytes } from "node:crypto";
import { AixgoError } from "@aixgo/core";
import type { Call, Connection } from "./connection.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Voice } from "./lua/parts.ts";
import { scripts } from "./scripts.ts";

/** From here on a Cluster has channels that lie on one of its nodes. */
const SHARDED_VERSION = 7;
const LEAST_VERSION: readonly [number, number] = [6, 2];

export interface ServerCheck {
  /** Looks at the server before its first use, and again after each reconnect. Throws `BACKEND_UNAVAILABLE`, `PERMISSION_DENIED`, `UNAUTHENTICATED`. */
  ready(operation: string): Promise<void>;
  /** Nothing of both need be waited for. */
  readonly isDone: boolean;
  /** Tries, before the first write, every command that scripts use. */
  writable(operation: string): Promise<void>;
  /** Replicas that must confirm a write. Known once `ready` has resolved. */
  readonly replicas: number;
  /** How changes are told. Known once `writable` has resolved. */
  readonly voice: Voice;
  /** Each channel lies on one node of the Cluster. Known once `ready` has resolved. */
  readonly shards: boolean;
  /** Says once that followers learn of changes later than they could: the user may not use this command. */
  warn(command: "PUBLISH" | "SUBSCRIBE"): void;
}

interface Once {
  promise?: Promise<void>;
  settled?: boolean;
}

export function createServerCheck(
  connection: Connection,
  options: Pick<ResolvedOptions, "durability" | "replicas" | "ttlMs" | "keyPrefix">,
): ServerCheck {
  const quorum = options.durability === "quorum";
  let replicas = options.replicas ?? 0;
  let replicasKnown = !quorum || options.replicas !== undefined;
  let shards = false;
  let voice: Voice = "silent";
  let hasWarned = false;
  const looked: Once = {};
  const probed: Once = {};

  connection.onReady(() => {
    // One that is under way waits for this very connection.
    for (const one of [looked, probed]) if (one.settled === true) delete one.promise;
  });

  async function check(operation: string): Promise<void> {
    const servers = (await connection.info({ operation, writes: false })).map(parse);
    for (const server of servers) refuse(operation, server);
    shards = connection.isCluster && servers.every((server) => Number.parseInt(server.get("redis_version") ?? "", 10) >= SHARDED_VERSION);
    if (replicasKnown) return;
    // A shard with fewer replicas than another sets the number for all: a write must not ask for what its shard cannot give.
    const connected = Math.min(...servers.map((server) => onlineReplicas(server)));
    if (connected < 1) {
      throw new AixgoError(
        "BACKEND_UNAVAILABLE",
        `${operation}: durability "quorum" needs a replica, and the Redis server at ${connection.endpoint} has none that is connected. Start one, or use durability "memory"`,
      );
    }
    replicas = connected;
    replicasKnown = true;
  }

  function refuse(operation: string, server: ReadonlyMap<string, string>): void {
    const unfit = (text: string): AixgoError =>
      new AixgoError("BACKEND_UNAVAILABLE", `${operation}: the Redis server at ${connection.endpoint} ${text}`, { retryable: false });
    const version = server.get("redis_version") ?? "";
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (version !== "" && (major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1]))) {
      throw unfit(`has version ${version}; ${LEAST_VERSION.join(".")} is the least`);
    }
    if (server.get("cluster_enabled") === "1" && !connection.isCluster)
      throw unfit("belongs to a Cluster: give a Cluster of ioredis as client");
    const policy = server.get("maxmemory_policy") ?? "noeviction";
    if (policy.startsWith("allkeys-")) {
      throw unfit(`has maxmemory-policy ${policy}, which removes parts of sessions when memory is short. Set it to noeviction`);
    }
    if (policy !== "noeviction" && options.ttlMs > 0) {
      throw unfit(
        `has maxmemory-policy ${policy}, which removes parts of sessions that have a ttlMs when memory is short. Set it to noeviction`,
      );
    }
    if (quorum && server.get("aof_enabled") === "0") {
      throw unfit(
        'has no append-only file: after a restart it would come back empty, and its replicas with it. Set appendonly yes, or use durability "memory"',
      );
    }
  }

  async function probe(operation: string): Promise<void> {
    const tag = `${options.keyPrefix}{probe-${randomBytes(8).toString("hex")}}:`;
    const wanted = shards ? "SPUBLISH" : "PUBLISH";
    const call: Call = {
      operation,
      writes: false,
      script: scripts.probe,
      keys: ["text", "list", "hash", "sorted", "from", "to"].map((name) => tag + name),
      args: [wanted],
    };
    const [status, isTold, ...refused] = (await connection.run(call)).reply as readonly [number, number, ...Buffer[]];
    voice = isTold === 1 ? wanted : "silent";
    if (isTold !== 1) warn("PUBLISH");
    if (status === 1) return;
    const messages = refused.map(String);
    const denied = messages.filter((message) => /NOPERM|can't run this command|no permissions|can't access|ACL/i.test(message));
    if (denied.length > 0) {
      const names = denied.map((message) => message.slice(0, message.indexOf(":")).toLowerCase());
      throw new AixgoError(
        "PERMISSION_DENIED",
        `${operation}: the Redis user may not use ${names.join(", ")} on the keys ${options.keyPrefix}*. Grant it (ACL SETUSER); the README lists the least rights`,
      );
    }
    // Memory is short, a replica: the write itself says so, and says it of itself.
  }

  function warn(command: "PUBLISH" | "SUBSCRIBE"): void {
    if (hasWarned) return;
    hasWarned = true;
    const effect =
      command === "PUBLISH" ? "followers learn of its changes within seconds" : "its followers look for changes, up to once a second";
    process.emitWarning(
      `the Redis user may not ${command} on channels &${options.keyPrefix}*: ${effect}. Grant it (ACL SETUSER); the README lists the least rights`,
      { code: "AIXGO_REDIS_PUBSUB" },
    );
  }

  function once(one: Once, work: () => Promise<void>): Promise<void> {
    if (one.promise !== undefined) return one.promise;
    one.settled = false;
    one.promise = work().then(
      () => {
        one.settled = true;
      },
      (error: unknown) => {
        // What failed is tried again by the next call.
        delete one.promise;
        throw error;
      },
    );
    return one.promise;
  }

  return {
    ready: (operation) => once(looked, () => check(operation)),
    writable: (operation) => once(probed, () => probe(operation)),
    get isDone() {
      return looked.settled === true && looked.promise !== undefined && probed.settled === true && probed.promise !== undefined;
    },
    get voice() {
      return voice;
    },
    get shards() {
      return shards;
    },
    warn,
    get replicas() {
      return replicas;
    },
  };
}

function parse(info: string): ReadonlyMap<string, string> {
  return new Map(
    info.split("\r\n").flatMap((line) => {
      const at = line.indexOf(":");
      return at > 0 && !line.startsWith("#") ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
    }),
  );
}

function onlineReplicas(server: ReadonlyMap<string, string>): number {
  let online = 0;
  for (const [name, value] of server) if (/^slave\d+$/.test(name) && value.includes("state=online")) online += 1;
  return online;
}
