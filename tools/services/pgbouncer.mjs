import { chownSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { ensurePackage, findProgram } from "./debian-package.mjs";
import { freePort } from "./ports.mjs";
import { startService, temporaryFolder, waitFor } from "./process.mjs";

/**
 * @typedef {object} PgBouncer
 * @property {(database: string, user: string, password: string) => string} urlOf
 * @property {() => Promise<void>} stop
 */

/**
 * A throwaway pooler in transaction mode: each transaction may meet another connection of the server.
 * @param {{ port: number, users: Readonly<Record<string, string>>, poolSize?: number }} server `users`: passwords by name
 * @returns {Promise<PgBouncer>}
 */
export async function startPgBouncer({ port: serverPort, users, poolSize = 3 }) {
  const program = await ensurePackage("pgbouncer", () => findProgram("pgbouncer", ["/usr/sbin"]));
  const { path, remove } = temporaryFolder("pgbouncer");
  const port = await freePort();
  const list = join(path, "users");
  const config = join(path, "pgbouncer.ini");
  writeFileSync(
    list,
    Object.entries(users)
      .map(([name, password]) => `"${name}" "${password}"\n`)
      .join(""),
    { mode: 0o600 },
  );
  writeFileSync(
    config,
    [
      "[databases]",
      `* = host=127.0.0.1 port=${serverPort}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${list}`,
      "pool_mode = transaction",
      `default_pool_size = ${poolSize}`,
      "max_client_conn = 500",
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  const owner = ownerOf();
  for (const one of [path, list, config]) if (owner !== undefined) chownSync(one, owner.uid, owner.gid);
  const service = startService(program, [config], { ...owner, cwd: path, folder: path });
  try {
    await waitFor("PgBouncer starts", () => accepts(port), { service });
  } catch (error) {
    await service.kill();
    remove();
    throw error;
  }
  return {
    urlOf: (database, user, password) =>
      `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    stop: async () => {
      await service.kill();
      remove();
    },
  };
}

/** @param {number} port @returns {Promise<boolean>} */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (/** @type {boolean} */ value) => {
      socket.destroy();
      resolve(value);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

/** It refuses to run as root, like the server. */
function ownerOf() {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith("postgres:"));
  if (line === undefined)
    throw new Error(
      "PgBouncer refuses to run as root, and there is no user named postgres. Make one with: adduser --system --group postgres",
    );
  const [, , uid, gid] = line.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}
