import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT, toolScript } from "../../workspace.mjs";
import { namesOf } from "./names.mjs";
import { withArrow, withReference } from "./registration.mjs";

const FILES = fileURLToPath(new URL("files", import.meta.url));
const TEMPLATE = ".template";

/**
 * @typedef {object} Tree what is used of nx's: a view of the workspace that is written once all went well
 * @property {(path: string) => boolean} exists
 * @property {(path: string, encoding: "utf8") => string | null} read
 * @property {(path: string, content: string) => void} write
 */

/**
 * `nx g ./tools/generators:backend my-store`. Throws one line before anything is written.
 * @param {Tree} tree @param {{ name?: unknown, directory?: unknown }} options @returns {() => void} run by nx when all is written
 */
export default function backend(tree, options) {
  const names = namesOf(options);
  const { directory } = names;
  if (tree.exists(directory)) throw new Error(`${directory} exists already: take another name, or give --directory`);
  for (const path of readdirSync(FILES, { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(TEMPLATE)) continue;
    const target = filled(path.replaceAll("\\", "/").slice(0, -TEMPLATE.length), names);
    tree.write(posix.join(directory, target), filled(readFileSync(join(FILES, path), "utf8"), names));
  }
  const byHand = [
    ...edited(tree, "tsconfig.json", (text) => withReference(text, directory), `"references" needs { "path": "${directory}" }`),
    ...edited(tree, "tools/arrow-table.mjs", (text) => withArrow(text, directory), `ARROWS needs "${directory}": STORE`),
  ];
  return () => {
    // Long names break lines in other places than the templates do.
    spawnSync(process.execPath, [toolScript("oxfmt"), directory], { cwd: ROOT, stdio: "ignore" });
    for (const line of byHand) process.stdout.write(`To be added by hand: ${line}\n`);
    process.stdout.write(`
${names.package} is there, and nothing in it works yet. Next:
  npx -y pnpm@10.34.8 install
  npx tsc -b ${directory}
  npx vitest run --root ${directory}    each failing case names the sentence of the contract that is to be written
The contract, sentence by sentence: docs/backends.md
`);
  };
}

/** @param {Tree} tree @param {string} path @param {(text: string) => string | undefined} edit @param {string} otherwise @returns {string[]} what is left to do */
function edited(tree, path, edit, otherwise) {
  const text = tree.exists(path) ? tree.read(path, "utf8") : null;
  const next = text === null ? undefined : edit(text);
  if (next === undefined) return [`${path}: ${otherwise}`];
  if (next !== text) tree.write(path, next);
  return [];
}

/** @param {string} text @param {import("./names.mjs").Names} names */
function filled(text, names) {
  return text.replaceAll(/__(name|Name|NAME|directory|project|package)__/g, (_, key) => names[/** @type {keyof typeof names} */ (key)]);
}
