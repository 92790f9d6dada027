import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runNode } from "./child.mjs";
import { pnpm } from "./pnpm.mjs";
import { withLock } from "./setup-lock.mjs";
import { filesBelow, projects, ROOT, toolScript } from "./workspace.mjs";

/** What was installed and built last, as digests of what it was made from. */
const STAMP = join(ROOT, "node_modules", ".aixgo-setup.json");
/** Not in node_modules: a fresh install empties that. */
const LOCK = join(ROOT, ".artifacts", "setup.lock");

/** A failure of the setup that is told in one line. */
export class SetupError extends Error {}

/**
 * Installs and builds what changed since the last time; says nothing if that is nothing. All its output goes to stderr.
 * Several at once wait for each other.
 * @param {{ build?: boolean }} [options] @returns {Promise<void>}
 */
export async function setUp({ build = true } = {}) {
  if (isCurrent(build)) return;
  for (const folder of [ROOT, join(ROOT, "node_modules"), join(ROOT, ".artifacts")]) {
    if (existsSync(folder)) assertWritable(folder);
  }
  const onWait = () => say("another setup is running in this folder; waiting for it");
  await withLock(
    LOCK,
    async () => {
      if (readStamp().install !== installDigest()) await install();
      if (build && !isBuilt()) await compile();
    },
    { onWait },
  );
}

/** @param {string} folder */
function assertWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new SetupError("cannot write into this folder: copy it to one of yours, or mend its permissions, and try again");
  }
}

/** @param {boolean} build */
function isCurrent(build) {
  return readStamp().install === installDigest() && (!build || isBuilt());
}

async function install() {
  say("installing dependencies (once)");
  const { code, output } = await pnpm(["install", "--prefer-offline", "--reporter=append-only", "--config.confirmModulesPurge=false"]);
  if (code !== 0) throw new SetupError(explainInstall(output));
  writeStamp({ install: installDigest() });
}

/** @param {string} output */
function explainInstall(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ERR_PNPM_META_FETCH_FAIL|network/i.test(output))
    return "dependencies could not be fetched: connect to the network (or to your registry) once and try again";
  if (/EACCES|EPERM|EROFS/.test(output))
    return "dependencies could not be written: mend the permissions of this folder and of your package cache, and try again";
  if (/ENOSPC/.test(output)) return "dependencies could not be written: the disk is full";
  if (/FROZEN_LOCKFILE|OUTDATED_LOCKFILE/.test(output))
    return "pnpm-lock.yaml does not fit the manifests: run pnpm install outside of CI and commit the result";
  if (/ENOENT/.test(output) && /npx/.test(output)) return "npx was not found: install npm, which comes with Node.js, and try again";
  return `dependencies could not be installed\n${output.trimEnd()}`;
}

async function compile() {
  const last = readStamp();
  const options = buildOptionsDigest();
  say("building");
  // The compiler does not notice every option that changes what it emits.
  const force = last.buildOptions !== undefined && last.buildOptions !== options ? ["--force"] : [];
  const digest = sourceDigest();
  const { code, output } = await runNode(toolScript("typescript", "tsc"), ["-b", ...force]);
  if (code !== 0) throw new SetupError(`the build failed\n${output.trimEnd()}`);
  writeStamp({ build: digest, buildOptions: options });
}

function isBuilt() {
  if (readStamp().build !== sourceDigest()) return false;
  const { references } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8"));
  return /** @type {{ path: string }[]} */ (references).every(({ path }) => existsSync(join(ROOT, path, "dist", ".tsbuildinfo")));
}

function installDigest() {
  const files = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ...projects().map(({ folder }) => `${folder}/package.json`)];
  return digestOf(files, `${process.platform} ${process.arch} ${process.versions.modules}`);
}

function sourceDigest() {
  const parents = projects()
    .filter(({ folder }) => folder !== "tools")
    .map(({ folder }) => folder);
  const files = parents.flatMap((folder) => [
    `${folder}/tsconfig.json`,
    `${folder}/package.json`,
    ...filesBelow(`${folder}/src`, [".ts", ".json"]),
  ]);
  return digestOf([...files, "tsconfig.json", "tsconfig.base.json"], buildOptionsDigest());
}

function buildOptionsDigest() {
  return digestOf(["tsconfig.base.json", "node_modules/typescript/package.json"], "");
}

/** @param {readonly string[]} files @param {string} salt */
function digestOf(files, salt) {
  const digest = createHash("sha256").update(salt);
  for (const file of files) {
    const path = join(ROOT, file);
    digest.update(`\0${file}\0`);
    if (existsSync(path)) digest.update(readFileSync(path));
  }
  return digest.digest("hex");
}

/** @returns {{ install?: string, build?: string, buildOptions?: string }} */
function readStamp() {
  try {
    return JSON.parse(readFileSync(STAMP, "utf8"));
  } catch {
    return {};
  }
}

/** @param {{ install?: string, build?: string, buildOptions?: string }} part */
function writeStamp(part) {
  writeFileSync(STAMP, `${JSON.stringify({ ...readStamp(), ...part })}\n`);
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`aixgo: ${text}\n`);
}
