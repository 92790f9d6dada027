import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);
const COMMAND_MS = 10_000;
const NAMED = "/var/run/netns";
const PREFIX = "aixgo-";
/** Networks for tests: 10.213.<n>.0/24. */
const NETWORKS = 250;
let started = 0;

/**
 * @typedef {object} Side
 * @property {string} host its address, which this process reaches whatever happens
 * @property {readonly string[]} enter the command that runs another one there
 */

/** Why a network cannot be cut on this machine; undefined: it can. @returns {string | undefined} */
export function whyNoNetwork() {
  if (process.platform !== "linux") return `network namespaces need Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "network namespaces need root";
  if (!["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"].some((path) => existsSync(path))) return "ip is not installed (iproute2)";
  const name = `${PREFIX}${process.pid}-try`;
  try {
    // A container may have neither the right nor the module.
    execFileSync("ip", ["netns", "add", name], { timeout: COMMAND_MS, stdio: "pipe" });
    execFileSync("ip", ["-n", name, "link", "add", "br0", "type", "bridge"], { timeout: COMMAND_MS, stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `network namespaces cannot be made here: ${String(/** @type {{ stderr?: unknown }} */ (error).stderr ?? error).trim()}`;
  } finally {
    try {
      execFileSync("ip", ["netns", "del", name], { timeout: COMMAND_MS, stdio: "pipe" });
    } catch {
      // There is none.
    }
  }
}

/**
 * Two namespaces on one bridge. `cut` keeps packets of each from the other, in both directions; this process reaches both all the time.
 * Names hold the id of this process, and what a process that was killed has left is removed by the next one.
 */
export async function startNetwork() {
  const reason = whyNoNetwork();
  if (reason !== undefined) throw new Error(reason);
  await sweep();
  const names = namesOf(`${process.pid}n${(started += 1)}`);
  const { bridge, sides } = names;
  const remove = () => removeAll(names);

  const isolate = async (/** @type {"on" | "off"} */ state) => {
    for (const { port } of sides) await ip("link", "set", "dev", port, "type", "bridge_slave", "isolated", state);
  };

  try {
    await ip("link", "add", bridge, "type", "bridge");
    const net = await address(bridge);
    await ip("link", "set", bridge, "up");
    for (const [i, { namespace, port }] of sides.entries()) {
      await ip("netns", "add", namespace);
      await ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      await ip("link", "set", port, "master", bridge);
      await ip("link", "set", port, "up");
      await ip("-n", namespace, "addr", "add", `${net}.${i + 2}/24`, "dev", "eth0");
      await ip("-n", namespace, "link", "set", "eth0", "up");
      await ip("-n", namespace, "link", "set", "lo", "up");
    }
    const [a, b] = sides.map(({ namespace }, i) => ({ host: `${net}.${i + 2}`, enter: ["ip", "netns", "exec", namespace] }));
    return {
      sides: /** @type {readonly [Side, Side]} */ ([a, b]),
      cut: () => isolate("on"),
      heal: () => isolate("off"),
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Gives the bridge an address of a network that nobody here has. @param {string} bridge @returns {Promise<string>} */
async function address(bridge) {
  const { stdout } = await run("ip", ["-4", "route"], { timeout: COMMAND_MS });
  for (let i = 0; i < NETWORKS; i++) {
    const net = `10.213.${(process.pid + i) % NETWORKS}`;
    if (stdout.includes(`${net}.`)) continue;
    await ip("addr", "add", `${net}.1/24`, "dev", bridge);
    return net;
  }
  throw new Error("there is no free network under 10.213.0.0/16");
}

/** @param {string} id process and number; the name of a device has 15 characters at most */
function namesOf(id) {
  return {
    bridge: `ab${id}`,
    sides: ["a", "b"].map((name) => ({ namespace: `${PREFIX}${id}-${name}`, port: `a${name}v${id}`.slice(0, 15) })),
  };
}

/** @param {ReturnType<typeof namesOf>} names */
async function removeAll({ bridge, sides }) {
  for (const { namespace, port } of sides) {
    // A namespace lives on while it has connections that wait for their end.
    await ip("link", "del", port).catch(() => {});
    await ip("netns", "del", namespace).catch(() => {});
  }
  await ip("link", "del", bridge).catch(() => {});
}

async function sweep() {
  for (const name of existsSync(NAMED) ? readdirSync(NAMED) : []) {
    const [, id = "", pid] = /^aixgo-((\d+)n\d+)-a$/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeAll(namesOf(id));
  }
}

/** @param {readonly string[]} args */
async function ip(...args) {
  await run("ip", [...args], { timeout: COMMAND_MS });
}
