import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createRedisBackend } from "../../src/index.ts";
import type { Fixture } from "@aixgo/session-testkit";
import { Cluster } from "ioredis";

/** Where the servers are: children of the kit inherit it. */
export const SERVER = "AIXGO_TEST_REDIS";
export const NODES = "AIXGO_TEST_REDIS_NODES";

const module = import.meta.url;
// A child starts in whatever folder the tests do: the loader is found from here.
const execArgv = ["--conditions=@aixgo/source", "--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: the servers have not been started`);
  return value;
}

export const single: Fixture = {
  name: "redis, one server",
  module,
  execArgv,
  open: async (store) => createRedisBackend({ url: given(SERVER), keyPrefix: `${store}:`, indexedMetadata: ["topic"] }),
};

export const quorum: Fixture = {
  name: "redis, quorum of replicas",
  module,
  execArgv,
  open: async (store) =>
    createRedisBackend({ url: given(SERVER), keyPrefix: `${store}:`, durability: "quorum", indexedMetadata: ["topic"] }),
};

/** A client that the backend is given is closed by the one who made it: here with its backend. */
function onCluster(keyPrefix: string | undefined, options: { readonly durability?: "quorum" }): Fixture["open"] {
  return async (store) => {
    const client = new Cluster(JSON.parse(given(NODES)) as { host: string; port: number }[], {
      ...(keyPrefix === undefined ? undefined : { keyPrefix }),
    });
    // Its owner listens: what is closed while it still connects says so.
    client.on("error", () => {});
    const backend = createRedisBackend({ client, keyPrefix: `${store}:`, indexedMetadata: ["topic"], ...options });
    return {
      ...backend,
      async close() {
        await backend.close();
        client.disconnect();
      },
    };
  };
}

export const cluster: Fixture = { name: "redis, Cluster", module, execArgv, open: onCluster("app:", {}) };
export const clusterQuorum: Fixture = {
  name: "redis, Cluster with quorum",
  module,
  execArgv,
  open: onCluster(undefined, { durability: "quorum" }),
};
