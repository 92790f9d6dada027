// npm run test:mutation [module …]: breaks modules of packages/session in small ways; their tests must notice each.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ROOT } from "../workspace.mjs";
import { PLAN } from "./plan.mjs";

const RESULTS = join(ROOT, ".artifacts", "mutation");
const STRYKER = join(dirname(createRequire(import.meta.url).resolve("@stryker-mutator/core/package.json")), "bin", "stryker.js");

/** @param {string} name a module of the plan. Throws if the run itself fails. */
async function mutate(name) {
  const tests = (PLAN[name] ?? []).map((test) => `packages/session/test/${test}.test.ts`);
  const args = ["run", "tools/mutation/stryker.config.mjs", "--mutate", `packages/session/src/${name}.ts`, "--testFiles", tests.join(",")];
  const child = spawn(process.execPath, [STRYKER, ...args], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  const stop = () => child.kill("SIGTERM");
  process.once("SIGTERM", stop);
  const [code] = await once(child, "exit");
  process.off("SIGTERM", stop);
  if (code !== 0) throw new Error(`the run on ${name} failed`);
  copyFileSync(join(RESULTS, "report.json"), join(RESULTS, `${name}.json`));
  return score(name);
}

/** @param {string} name */
function score(name) {
  /** @type {{ files: Record<string, { mutants: { status: string }[] }> }} */
  const { files } = JSON.parse(readFileSync(join(RESULTS, `${name}.json`), "utf8"));
  const all = Object.values(files).flatMap(({ mutants }) => mutants);
  const count = (/** @type {string[]} */ ...statuses) => all.filter(({ status }) => statuses.includes(status)).length;
  const noticed = count("Killed", "Timeout");
  const missed = count("Survived", "NoCoverage");
  return `${name}.ts: ${noticed} of ${noticed + missed} noticed (${((100 * noticed) / Math.max(1, noticed + missed)).toFixed(1)} %)`;
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(PLAN, name));
if (unknown.length > 0) {
  process.stderr.write(`aixgo: there is no module ${unknown.join(", ")} to break; there are ${Object.keys(PLAN).join(", ")}\n`);
  process.exitCode = 2;
} else {
  const scores = [];
  for (const name of names.length > 0 ? names : Object.keys(PLAN)) scores.push(await mutate(name));
  process.stdout.write(`\n${scores.join("\n")}\nSurvivors are above, and in .artifacts/mutation/<module>.json\n`);
}
