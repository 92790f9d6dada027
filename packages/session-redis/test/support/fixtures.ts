import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createRedisBackend } from "../../src/index.ts";
import type { Fixture } from "@aixgo/session-testkit";
import { Cluster, Redis } from "ioredis";
import { findBytes } from "./find-bytes.ts";

/** Where the servers are: children of the kit inherit it. */
export const SERVER = "AIXGO_TEST_REDIS";
export const NODES = "AIXGO_TEST_REDIS_NODES";

const module = import.meta.url;
// A child starts in whatever folder the tests do: the loader is found from here.
const execArgv = ["--conditions=@aixgo/source", "--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];

/** What `list` is tried with. */
const sessions = process.env["AIXGO_LONG"] === "1" ? 10_000 : 1_000;
const offers = ["watch", "blobs"] as const;
/** Several servers share a machine that may stop for a while: an answer that is late is not what these fixtures are for. */
const commandTimeoutMs = 20_000;

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: the servers have not been started`);
  return value;
}

export const single: Fixture = {
  name: "redis, one server",
  module,
  execArgv,
  sessions,
  offers,
  open: async (store) => createRedisBackend({ url: given(SERVER), keyPrefix: `${store}:`, indexedMetadata: ["topic"] }),
  openExpiring: async (store, ttlMs) =>
    createRedisBackend({ url: given(SERVER), keyPrefix: `${store}:`, indexedMetadata: ["topic"], ttlMs }),
  remains: (store, bytes) => findBytes(new Redis(given(SERVER)), `${store}:`, bytes),
};

export const quorum: Fixture = {
  name: "redis, quorum of replicas",
  module,
  execArgv,
  offers,
  open: async (store) =>
    createRedisBackend({ url: given(SERVER), keyPrefix: `${store}:`, durability: "quorum", indexedMetadata: ["topic"], commandTimeoutMs }),
  openExpiring: async (store, ttlMs) =>
    createRedisBackend({
      url: given(SERVER),
      keyPrefix: `${store}:`,
      durability: "quorum",
      indexedMetadata: ["topic"],
      commandTimeoutMs,
      ttlMs,
    }),
  remains: (store, bytes) => findBytes(new Redis(given(SERVER)), `${store}:`, bytes),
};

/** A client that the backend is given is closed by the one who made it: here with its backend. */
function onCluster(
  keyPrefix: string | undefined,
  options: { readonly durability?: "quorum" },
): Required<Pick<Fixture, "open" | "openExpiring">> {
  const open = async (store: string, more: { readonly ttlMs?: number }): ReturnType<Fixture["open"]> => {
    const client = new Cluster(JSON.parse(given(NODES)) as { host: string; port: number }[], {
      ...(keyPrefix === undefined ? undefined : { keyPrefix }),
    });
    // Its owner listens: what is closed while it still connects says so.
    client.on("error", () => {});
    const backend = createRedisBackend({
      client,
      keyPrefix: `${store}:`,
      indexedMetadata: ["topic"],
      commandTimeoutMs,
      ...options,
      ...more,
    });
    return {
      ...backend,
      async close() {
        await backend.close();
        client.disconnect();
      },
    };
  };
  return { open: (store) => open(store, {}), openExpiring: (store, ttlMs) => open(store, { ttlMs }) };
}

export const cluster: Fixture = { name: "redis, Cluster", module, execArgv, offers, ...onCluster("app:", {}) };
export const clusterQuorum: Fixture = {
  name: "redis, Cluster with quorum",
  module,
  execArgv,
  offers,
  ...onCluster(undefined, { durability: "quorum" }),
};
