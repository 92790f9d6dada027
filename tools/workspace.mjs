import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The root folder of this repository. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @typedef {object} Project
 * @property {string} folder relative to the root, with forward slashes
 * @property {string} name
 * @property {Record<string, any>} manifest package.json, as it is
 */

/** Every folder of the workspace that has a package.json, but for the root. @returns {Project[]} */
export function projects(root = ROOT) {
  const folders = ["packages", "apps"].flatMap((parent) => {
    if (!existsSync(join(root, parent))) return [];
    return readdirSync(join(root, parent), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${parent}/${entry.name}`);
  });
  return [...folders.sort(), "bench", "tools", "tools/faults", "tools/simulator"].flatMap((folder) => {
    const file = join(root, folder, "package.json");
    if (!existsSync(file)) return [];
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    return [{ folder, name: String(manifest.name), manifest }];
  });
}

/**
 * Files below a folder whose names end so, sorted, relative to `root`; dependencies and build results are left out.
 * @param {string} folder @param {readonly string[]} endings @returns {string[]}
 */
export function filesBelow(folder, endings, root = ROOT) {
  /** @type {string[]} */
  const found = [];
  const open = [join(root, folder)];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (!existsSync(at)) continue;
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.name === "node_modules" || entry.name === "dist" || entry.name === "coverage" || entry.name.startsWith(".")) continue;
      if (entry.isDirectory()) open.push(join(at, entry.name));
      else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(relative(root, join(at, entry.name)).split(sep).join("/"));
    }
  }
  return found.sort();
}

/** Environment of everything that is run here: caches inside the workspace, so that no other clone's results are replayed; nothing calls home. */
export function taskEnvironment() {
  return {
    ...process.env,
    NX_CACHE_DIRECTORY: join(ROOT, ".nx", "cache"),
    NX_WORKSPACE_DATA_DIRECTORY: join(ROOT, ".nx", "workspace-data"),
    NX_DAEMON: "false",
    NX_NO_CLOUD: "true",
    NX_TUI: "false",
    DO_NOT_TRACK: "1",
  };
}

/** The script of a tool that a dependency brings, to be run by this Node. @param {string} name of the package @param {string} [command] */
export function toolScript(name, command = name) {
  const folder = join(ROOT, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[command]);
}
