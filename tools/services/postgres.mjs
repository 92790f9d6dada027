import { execFile } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ensurePackage, findProgram } from "./debian-package.mjs";
import { freePort } from "./ports.mjs";
import { startService, temporaryFolder, waitFor } from "./process.mjs";

const BINARIES = "/usr/lib/postgresql";
const CLUSTER_CONFIG = "/etc/postgresql-common/createcluster.conf";
const INITDB_MS = 120_000;
const ATTEMPTS = 5;

/**
 * @typedef {object} Postgres
 * @property {number} port of 127.0.0.1
 * @property {string} url of the database `postgres`, as the superuser
 * @property {(database: string, user?: string, password?: string) => string} urlOf
 * @property {string} password of the superuser `postgres`
 * @property {string} folder its data and its log
 * @property {() => number} pid of the postmaster
 * @property {() => readonly number[]} pids of all its processes, the postmaster first
 * @property {() => Promise<void>} kill SIGKILL to all its processes at once; waits until none is left
 * @property {(signal?: NodeJS.Signals) => Promise<void>} halt SIGINT (a fast shutdown), or that signal, and waits for the end
 * @property {() => Promise<void>} start again, after `kill` or `halt`
 * @property {() => Promise<void>} stop for good: the folder is removed
 */

/**
 * The folder of PostgreSQL's programs; the newest version counts. Installs Debian's package if there is none.
 * @returns {Promise<string>}
 */
export function ensurePostgres() {
  const find = () => {
    const versions = existsSync(BINARIES) ? readdirSync(BINARIES).sort((a, b) => Number(b) - Number(a)) : [];
    const folders = versions.map((version) => join(BINARIES, version, "bin"));
    const initdb = findProgram("initdb", folders);
    return initdb !== undefined && existsSync(join(dirname(initdb), "postgres")) ? dirname(initdb) : undefined;
  };
  if (find() === undefined && process.getuid?.() === 0 && !existsSync(CLUSTER_CONFIG)) {
    // The package would make a cluster of its own on port 5432 and start it.
    mkdirSync(dirname(CLUSTER_CONFIG), { recursive: true });
    writeFileSync(CLUSTER_CONFIG, "create_main_cluster = false\n");
  }
  return ensurePackage("postgresql", find);
}

/**
 * A throwaway server in a temporary folder, on a free port of the loopback address. Passwords are checked (scram-sha-256).
 * @param {{ args?: readonly string[], password?: string }} [options] `args`: settings for the server, such as "-c", "max_connections=20"
 * @returns {Promise<Postgres>}
 */
export async function startPostgres({ args = [], password = "aixgo-test" } = {}) {
  const programs = await ensurePostgres();
  const { path, remove } = temporaryFolder("postgres");
  const data = join(path, "data");
  const owner = ownerOf();
  try {
    const secret = join(path, "password");
    writeFileSync(secret, password, { mode: 0o600 });
    for (const one of [path, secret]) if (owner !== undefined) chownSync(one, owner.uid, owner.gid);
    const settings = [
      "--pgdata",
      data,
      "--username",
      "postgres",
      "--pwfile",
      secret,
      "--auth",
      "scram-sha-256",
      "--encoding",
      "UTF8",
      "--locale",
      "C",
      "--no-sync",
    ];
    await promisify(execFile)(join(programs, "initdb"), settings, { ...owner, cwd: path, env: environment(), timeout: INITDB_MS });
  } catch (error) {
    remove();
    throw error;
  }

  let port = 0;
  /** @type {import("./process.mjs").Service | undefined} */
  let service;

  function launch() {
    const all = ["-D", data, "-p", String(port), "-k", path, "-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off", ...args];
    service = startService(join(programs, "postgres"), all, { ...owner, cwd: path, env: environment(), folder: path });
    return service;
  }

  async function start() {
    if (service?.running() === true) return;
    for (let attempt = 1; ; attempt++) {
      // The port is chosen once: who knows this server finds it again after a restart.
      if (port === 0) port = await freePort();
      const started = launch();
      try {
        const ready = () =>
          promisify(execFile)(join(programs, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port), "-t", "2"]).then(() => true);
        await waitFor("PostgreSQL starts", ready, { patienceMs: 60_000, service: started });
        return;
      } catch (error) {
        await started.kill();
        if (attempt === ATTEMPTS || !/could not bind|Address already in use/.test(started.output())) throw error;
        port = 0;
      }
    }
  }

  function pids() {
    return service?.running() === true ? [service.pid, ...childrenOf(service.pid)] : [];
  }

  async function kill() {
    const all = pids();
    for (const pid of all) signalOne(pid, "SIGKILL");
    await service?.kill();
    // A new postmaster refuses to start while processes of the old one use its shared memory.
    await waitFor("all processes of PostgreSQL are gone", () => all.every((pid) => !isPostgres(pid)));
  }

  const urlOf = (/** @type {string} */ database, user = "postgres", secret = password) =>
    `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

  await start().catch((error) => {
    remove();
    throw error;
  });
  return {
    get port() {
      return port;
    },
    get url() {
      return urlOf("postgres");
    },
    urlOf,
    password,
    folder: path,
    pid: () => service?.pid ?? 0,
    pids,
    kill,
    halt: async (signal = "SIGINT") => service?.stop(signal),
    start,
    stop: async () => {
      await service?.stop("SIGINT");
      remove();
    },
  };
}

/** PostgreSQL refuses to run as root: it runs as the user of Debian's package then. */
function ownerOf() {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith("postgres:"));
  if (line === undefined)
    throw new Error(
      "PostgreSQL refuses to run as root, and there is no user named postgres. Make one with: adduser --system --group postgres",
    );
  const [, , uid, gid] = line.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

/** Nothing of the caller's: PGPORT, PGDATA and their like would be obeyed. */
function environment() {
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}

/** @param {number} pid @returns {number[]} */
function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .split(" ")
      .filter((one) => one !== "")
      .map(Number);
  } catch {
    return [];
  }
}

/** @param {number} pid */
function isPostgres(pid) {
  try {
    // A process that has ended and that nobody has asked for keeps its number, but nothing else.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.includes("(postgres)") && !/\) Z /.test(stat);
  } catch {
    return false;
  }
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function signalOne(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH") throw error;
  }
}
