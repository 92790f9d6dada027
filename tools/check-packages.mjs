import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { run, runNode } from "./child.mjs";
import { pnpm } from "./pnpm.mjs";
import { projects, ROOT, toolScript } from "./workspace.mjs";

const CONSUMER = join(ROOT, "tools", "consumer");
const STEP_MS = 5 * 60_000;

/** Packs every public package as it would be published, and uses the packed ones as strangers would. @returns {Promise<string[]>} problems, one text each */
export async function packageProblems() {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-packages-"));
  try {
    const packages = projects().filter(({ manifest }) => manifest.private !== true);
    /** @type {string[]} */
    const problems = [];
    /** @type {string[]} */
    const tarballs = [];
    for (const { folder: from, name } of packages) {
      const into = join(folder, "packed", from.replace("/", "-"));
      mkdirSync(into, { recursive: true });
      const packed = await pnpm(["pack", "--pack-destination", into], { cwd: join(ROOT, from), timeoutMs: STEP_MS });
      const file = readdirSync(into).find((each) => each.endsWith(".tgz"));
      if (packed.code !== 0 || file === undefined) {
        problems.push(`${name}: could not be packed\n${packed.output}`);
        continue;
      }
      tarballs.push(join(into, file));
      problems.push(...(await tarballProblems(name, join(into, file))));
    }
    if (tarballs.length === packages.length) problems.push(...(await useProblems(join(folder, "consumer"), tarballs)));
    return problems;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} name @param {string} tarball @returns {Promise<string[]>} */
async function tarballProblems(name, tarball) {
  const unpacked = `${tarball}.d`;
  mkdirSync(unpacked);
  const tar = await run("tar", ["-xzf", tarball, "-C", unpacked]);
  if (tar.code !== 0) return [`${name}: the tarball could not be read\n${tar.output}`];
  const content = join(unpacked, "package");
  const text = readFileSync(join(content, "package.json"), "utf8");
  /** @type {string[]} */
  const problems = [];
  if (text.includes("@aixgo/source")) problems.push(`${name}: the packed package.json still names the @aixgo/source condition`);
  if (text.includes("workspace:")) problems.push(`${name}: the packed package.json still names workspace: versions`);
  for (const kind of ["install", "preinstall", "postinstall"])
    if (JSON.parse(text).scripts?.[kind] !== undefined) problems.push(`${name}: has an ${kind} script`);
  for (const file of ["README.md", "LICENSE", "dist"])
    if (!existsSync(join(content, file))) problems.push(`${name}: the packed package has no ${file}`);
  const strays = readdirSync(content, { recursive: true })
    .map(String)
    .filter((file) => /\.tsbuildinfo$|\.test\.|(^|[\\/])test[\\/]|\.env/.test(file));
  if (strays.length > 0) problems.push(`${name}: should not be packed: ${strays.join(", ")}`);
  const [publint, attw] = await Promise.all([
    runNode(toolScript("publint"), ["run", tarball, "--strict"], { timeoutMs: STEP_MS }),
    runNode(toolScript("@arethetypeswrong/cli", "attw"), [tarball, "--profile", "esm-only", "--no-emoji"], { timeoutMs: STEP_MS }),
  ]);
  if (publint.code !== 0) problems.push(`${name}: publint\n${publint.output}`);
  if (attw.code !== 0) problems.push(`${name}: attw\n${attw.output}`);
  return problems;
}

/** Installs the tarballs into an empty folder and runs the programs of `consumer`. @param {string} folder @param {readonly string[]} tarballs @returns {Promise<string[]>} */
async function useProblems(folder, tarballs) {
  cpSync(CONSUMER, folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "name": "consumer", "private": true }\n');
  const { version } = JSON.parse(readFileSync(join(ROOT, "node_modules", "@types", "node", "package.json"), "utf8"));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const installed = await run(
    "npm",
    ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", `@types/node@${version}`, ...tarballs],
    { cwd: folder, env, timeoutMs: STEP_MS },
  );
  if (installed.code !== 0) return [`the packed packages could not be installed\n${installed.output}`];
  /** @type {string[]} */
  const problems = [];
  for (const program of ["use.mjs", "use.cjs"]) {
    const used = await run(process.execPath, [program], {
      cwd: folder,
      env: { ...env, HOME: folder, USERPROFILE: folder },
      timeoutMs: STEP_MS,
    });
    if (used.code !== 0) problems.push(`${program} of an installed project failed\n${used.output}`);
  }
  const typed = await runNode(toolScript("typescript", "tsc"), ["-p", folder], { cwd: folder, timeoutMs: STEP_MS });
  if (typed.code !== 0) problems.push(`the types of the installed packages\n${typed.output}`);
  else {
    const used = await run(process.execPath, ["use-types.mjs"], {
      cwd: folder,
      env: { ...env, HOME: folder, USERPROFILE: folder },
      timeoutMs: STEP_MS,
    });
    if (used.code !== 0) problems.push(`use-types.mts of an installed project failed\n${used.output}`);
  }
  return problems;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = await packageProblems();
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
