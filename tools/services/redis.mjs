import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificates } from "./certificates.mjs";
import { ensurePackage, findProgram } from "./debian-package.mjs";
import { freePort } from "./ports.mjs";
import { startService, temporaryFolder, waitFor } from "./process.mjs";
import { ask, HOST } from "./redis-protocol.mjs";

const ATTEMPTS = 5;
/** A Cluster's nodes talk to each other on a second port, that far above. */
const BUS = 10_000;

/**
 * @typedef {object} RedisServer
 * @property {string} host
 * @property {number} port
 * @property {string} url
 * @property {string} folder
 * @property {import("./process.mjs").Service} service of the process that runs now
 * @property {(...command: string[]) => Promise<string>} cli one command, its answer as text
 * @property {() => Promise<void>} stop also removes its folder
 * @property {() => Promise<void>} kill SIGKILL; its folder stays
 * @property {() => Promise<void>} restart starts it again on the same port and folder
 */

/** Where redis-server is. Installs the Debian package if it may; otherwise throws with the command that does. @returns {Promise<string>} */
export function ensureRedis() {
  return ensurePackage("redis-server", () => findProgram("redis-server", ["/usr/bin", "/usr/local/bin"]));
}

/**
 * A server with nothing but the defaults, in a folder of its own.
 * @param {{ appendonly?: "no" | "everysec" | "always", args?: readonly string[], port?: number, name?: string, side?: import("./network.mjs").Side }} [options] `args` as on the command line, `side` where it runs
 * @returns {Promise<RedisServer>}
 */
export async function startServer({ appendonly = "no", args = [], port: wanted, name = "redis", side } = {}) {
  const { host, enter } = side ?? { host: HOST, enter: [] };
  const program = await ensureRedis();
  const { path: folder, remove } = temporaryFolder(name);
  const durable = appendonly === "no" ? ["--appendonly", "no"] : ["--appendonly", "yes", "--appendfsync", appendonly];

  /** @param {number} port */
  const launch = async (port) => {
    const [first, ...rest] = [...enter, program];
    const service = startService(
      first,
      [
        ...rest,
        "--port",
        String(port),
        "--bind",
        host,
        "--protected-mode",
        side === undefined ? "yes" : "no",
        "--dir",
        folder,
        "--daemonize",
        "no",
        "--save",
        "",
        "--logfile",
        "",
        ...durable,
        ...args,
      ],
      { folder },
    );
    await waitFor(`redis-server on port ${port}`, () => /Ready to accept connections/.test(service.output()), { service });
    return service;
  };

  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freePort((one) => one + BUS < 65_536));
    try {
      let service = await launch(port);
      return {
        host,
        port,
        folder,
        url: `redis://${host}:${port}`,
        get service() {
          return service;
        },
        cli: (...command) => ask(port, command, host),
        async stop() {
          await service.kill();
          remove();
        },
        kill: () => service.kill(),
        async restart() {
          await service.kill();
          service = await launch(port);
        },
      };
    } catch (error) {
      if (attempt >= ATTEMPTS || wanted !== undefined) {
        remove();
        throw error;
      }
    }
  }
}

/**
 * A master and its replicas, which are online when it resolves.
 * @param {{ replicas?: number, appendonly?: "no" | "everysec" | "always", args?: readonly string[] }} [options]
 */
export async function startRedis({ replicas = 0, appendonly = "no", args = [] } = {}) {
  const master = await startServer({ appendonly, args: ["--repl-diskless-sync-delay", "0", ...args] });
  /** @type {RedisServer[]} */
  const copies = [];
  const stop = () => stopAll([master, ...copies]);
  try {
    for (let i = 0; i < replicas; i++)
      copies.push(
        await startServer({ appendonly, args: ["--replicaof", HOST, String(master.port), "--repl-diskless-sync-delay", "0", ...args] }),
      );
    // Without one nobody need be asked: the server may want a password.
    if (replicas > 0)
      await waitFor(
        "replicas are online",
        async () => ((await master.cli("INFO", "replication")).match(/state=online/g) ?? []).length === replicas,
      );
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...pick(master), server: master, replicas: copies, stop };
}

/**
 * Three masters with a replica each. In a network of two sides the first master is on the one, all else on the other: cut
 * in two, it has nobody to copy to, and its replica takes its place.
 * @param {{ appendonly?: "no" | "everysec" | "always", args?: readonly string[], sides?: readonly [import("./network.mjs").Side, import("./network.mjs").Side] }} [options]
 */
export async function startRedisCluster({ appendonly = "no", args = [], sides } = {}) {
  const [minority, majority] = sides ?? [undefined, undefined];
  const places = [minority, majority, majority, majority, majority, majority];
  const settings = [
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    "nodes.conf",
    "--cluster-node-timeout",
    "2000",
    "--repl-diskless-sync-delay",
    "0",
    ...args,
  ];
  /** @type {RedisServer[]} */
  const nodes = [];
  const stop = () => stopAll(nodes);
  try {
    nodes.push(
      ...(await Promise.all(
        places.map((side) => startServer({ appendonly, args: settings, name: "redis-cluster", ...(side === undefined ? {} : { side }) })),
      )),
    );
    const [first] = nodes;
    if (first === undefined) throw new Error("no node of the Cluster has started");
    const masters = nodes.slice(0, 3);
    for (const [i, node] of nodes.entries()) await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    const bounds = [0, 5461, 10_923, 16_384];
    for (const [i, node] of masters.entries())
      await node.cli("CLUSTER", "ADDSLOTSRANGE", String(bounds[i]), String(Number(bounds[i + 1]) - 1));
    for (const node of nodes.slice(1)) await node.cli("CLUSTER", "MEET", first.host, String(first.port));
    await waitFor("all nodes know each other", async () => {
      for (const node of nodes)
        if (
          (await node.cli("CLUSTER", "NODES"))
            .trim()
            .split("\n")
            .filter((line) => !line.includes("handshake")).length !== 6
        )
          return false;
      return true;
    });
    const ids = await Promise.all(masters.map((node) => node.cli("CLUSTER", "MYID")));
    for (const [i, node] of nodes.slice(3).entries()) await node.cli("CLUSTER", "REPLICATE", String(ids[i]));
    await waitFor("the Cluster is complete", async () => {
      for (const node of nodes) if (!(await node.cli("CLUSTER", "INFO")).includes("cluster_state:ok")) return false;
      for (const node of nodes.slice(3)) if (!(await node.cli("INFO", "replication")).includes("master_link_status:up")) return false;
      for (const node of nodes) if (((await node.cli("CLUSTER", "NODES")).match(/ slave |,slave /g) ?? []).length !== 3) return false;
      for (const node of masters) if (!(await node.cli("INFO", "replication")).includes("state=online")) return false;
      return true;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes,
    masters: nodes.slice(0, 3),
    replicas: nodes.slice(3),
    startupNodes: nodes.map(({ host, port }) => ({ host, port })),
    stop,
  };
}

/**
 * A master with replicas, watched by Sentinels that fail over after half a second.
 * @param {{ sentinels?: number, replicas?: number, name?: string, appendonly?: "no" | "everysec" | "always" }} [options]
 */
export async function startRedisSentinel({ sentinels = 3, replicas = 1, name = "aixgo", appendonly = "no" } = {}) {
  const group = await startRedis({ replicas, appendonly });
  /** @type {RedisServer[]} */
  const watchers = [];
  const stop = async () => {
    await stopAll(watchers);
    await group.stop();
  };
  try {
    const quorum = Math.floor(sentinels / 2) + 1;
    for (let i = 0; i < sentinels; i++) {
      watchers.push(await startSentinel(name, group.port, quorum));
    }
    await waitFor("the Sentinels know each other and the replicas", async () => {
      for (const watcher of watchers) {
        const fields = (await watcher.cli("SENTINEL", "MASTER", name)).split("\n");
        const value = (/** @type {string} */ field) => Number(fields[fields.indexOf(field) + 1]);
        if (value("num-slaves") !== replicas || value("num-other-sentinels") !== sentinels - 1) return false;
      }
      return true;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, master: group.server, replicas: group.replicas, sentinels: watchers.map(({ port }) => ({ host: HOST, port })), stop };
}

/** @param {string} name @param {number} masterPort @param {number} quorum @returns {Promise<RedisServer>} */
async function startSentinel(name, masterPort, quorum) {
  const program = await ensureRedis();
  const { path: folder, remove } = temporaryFolder("redis-sentinel");
  const port = await freePort();
  const settings = join(folder, "sentinel.conf");
  writeFileSync(
    settings,
    [
      `port ${port}`,
      `bind ${HOST}`,
      `dir ${folder}`,
      `sentinel monitor ${name} ${HOST} ${masterPort} ${quorum}`,
      `sentinel down-after-milliseconds ${name} 500`,
      `sentinel failover-timeout ${name} 3000`,
      "",
    ].join("\n"),
  );
  const service = startService(program, [settings, "--sentinel"], { folder });
  await waitFor(`a Sentinel on port ${port}`, async () => (await ask(port, ["PING"])) === "PONG", { service });
  return {
    host: HOST,
    port,
    folder,
    service,
    url: `redis://${HOST}:${port}`,
    cli: (...command) => ask(port, command),
    async stop() {
      await service.kill();
      remove();
    },
    kill: () => service.kill(),
    restart: () => Promise.reject(new Error("a Sentinel is not started again")),
  };
}

/**
 * A server that takes TLS only, with certificates made for it: its own for the name `localhost`, signed by `ca`.
 * @param {{ name?: string }} [options] the name in the server's certificate
 */
export async function startRedisTls({ name = "localhost" } = {}) {
  const { path: folder, remove } = temporaryFolder("redis-tls");
  try {
    const files = await makeCertificates(folder, name);
    const port = await freePort();
    const server = await startServer({
      args: [
        "--port",
        "0",
        "--tls-port",
        String(port),
        "--tls-cert-file",
        files.cert,
        "--tls-key-file",
        files.key,
        "--tls-ca-cert-file",
        files.ca,
        "--tls-auth-clients",
        "no",
      ],
      name: "redis-tls-data",
    });
    return {
      port,
      ca: files.ca,
      url: `rediss://localhost:${port}`,
      server,
      async stop() {
        await server.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** @param {readonly RedisServer[]} servers */
async function stopAll(servers) {
  await Promise.all(servers.map((server) => server.stop()));
}

/** @param {RedisServer} server */
function pick({ port, url, folder, cli }) {
  return { port, url, folder, cli };
}
