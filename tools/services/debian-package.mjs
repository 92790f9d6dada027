import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const INSTALL_MS = 10 * 60_000;
/** Another installation may hold the lock of dpkg: it is waited for. */
const LOCK = ["-o", "DPkg::Lock::Timeout=300"];

/**
 * Where a program is, looked for in the PATH and in `folders`.
 * @param {string} program @param {readonly string[]} [folders] @returns {string | undefined}
 */
export function findProgram(program, folders = []) {
  return [...folders, ...(process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")]
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * Installs a Debian package if `find` does not find what it is for. Only root installs; everybody else is told the one
 * command. Services of the package are not started.
 * @template T
 * @param {string} name of the package @param {() => T | undefined} find
 * @returns {Promise<T>}
 */
export async function ensurePackage(name, find) {
  const found = find();
  if (found !== undefined) return found;
  const command = `sudo apt-get install -y --no-install-recommends ${name}`;
  const apt = findProgram("apt-get");
  if (apt === undefined)
    throw new Error(`${name} is needed and this system has no apt-get: install it by the system's own means (on Debian: ${command})`);
  if (process.getuid?.() !== 0) throw new Error(`${name} is needed. Install it with: ${command}`);
  const install = () => run(apt, [...LOCK, "install", "-y", "--no-install-recommends", name]);
  try {
    // Fails on a machine that has never read the lists, or whose lists are older than the archive.
    await install().catch(async () => {
      await run(apt, [...LOCK, "update"]);
      await install();
    });
  } catch (cause) {
    throw new Error(`${name} could not be installed. Try it with: ${command}`, { cause });
  }
  const installed = find();
  if (installed === undefined) throw new Error(`${name} has been installed, but its programs were not found`);
  return installed;
}

/** @param {string} program @param {readonly string[]} args */
function run(program, args) {
  // Runlevel 1 is how invoke-rc.d learns that nothing is to be started.
  return promisify(execFile)(program, args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    timeout: INSTALL_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
}
