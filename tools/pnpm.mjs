import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./child.mjs";
import { ROOT } from "./workspace.mjs";

/** @type {Promise<readonly string[]> | undefined} */
let found;

/** The command that runs the pnpm which this repository pins: one that is installed, else through npx. @returns {Promise<readonly string[]>} */
function pnpmCommand() {
  return (found ??= find());
}

async function find() {
  const version = pinnedVersion();
  // Outside of the workspace, where pnpm would switch to the pinned version by downloading it.
  const installed = await run("pnpm", ["--version"], { cwd: "/", timeoutMs: 10_000 });
  if (installed.code === 0 && installed.stdout.trim() === version) return ["pnpm"];
  // Where npx put it, so that it is looked up once and not with each command.
  const fetched = await run("npx", ["-y", "-p", `pnpm@${version}`, "-c", "command -v pnpm"]);
  const path = fetched.code === 0 ? fetched.stdout.trim() : "";
  return path.startsWith("/") ? [path] : ["npx", "-y", `pnpm@${version}`];
}

function pinnedVersion() {
  const { packageManager } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return String(packageManager)
    .replace(/^pnpm@/, "")
    .replace(/\+.*$/, "");
}

/** Runs pnpm. @param {readonly string[]} args @param {Parameters<typeof run>[2]} [options] */
export async function pnpm(args, options) {
  const [command, ...before] = await pnpmCommand();
  return run(/** @type {string} */ (command), [...before, ...args], options);
}
