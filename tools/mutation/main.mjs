// npm run test:mutation [-- module[:first line-last line] …]: breaks modules in small ways; their tests must notice each, or a
// reason in tools/mutation/reasons says why nobody needs to. With --page: only writes docs/mutation.md from what is known.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ROOT } from "../workspace.mjs";
import { pathsOf, PLAN } from "./plan.mjs";
import { countOf, keep, readReport, show, shown } from "./results.mjs";
import { compare, readReasons, survivorsOf } from "./survivors.mjs";

const STRYKER = join(dirname(createRequire(import.meta.url).resolve("@stryker-mutator/core/package.json")), "bin", "stryker.js");

/** @param {string} name a module of the plan, or lines of one. Throws if the run itself fails. @returns what is to be told of it */
async function mutate(name) {
  const [module = "", lines] = name.split(":");
  const { folder, source, tests } = pathsOf(module);
  const broken = lines === undefined ? source : `${source}:${lines}`;
  const args = ["run", "tools/mutation/stryker.config.mjs", "--mutate", broken, "--testFiles", tests.join(",")];
  const kept = join(ROOT, ".artifacts", "mutation", `${name.replace("/", ".").replace(":", ".")}.json`);
  const env = { ...process.env, AIXGO_MUTATED: folder, AIXGO_MUTATION_REPORT: kept };
  const child = spawn(process.execPath, [STRYKER, ...args], { cwd: ROOT, env, stdio: ["ignore", "inherit", "inherit"] });
  const stop = () => child.kill("SIGTERM");
  process.once("SIGTERM", stop);
  const [code] = await once(child, "exit");
  process.off("SIGTERM", stop);
  if (code !== 0) throw new Error(`the run on ${name} failed`);
  const report = readReport(kept);
  const count = countOf(report);
  const { unexplained, stale } = compare(survivorsOf(report), readReasons(module));
  // Of some lines alone nothing is remembered, and the reasons of the others are not needed.
  if (lines === undefined) keep(name, count);
  const told = [
    ...unexplained.map(({ place, mutant }) => `${place}, without a reason: ${mutant}`),
    ...(lines === undefined ? stale.map((each) => `a reason that nothing needs: ${each}`) : []),
  ];
  if (told.length > 0) process.exitCode = 1;
  process.stdout.write(`\n${[...told, shown(name, count)].join("\n")}\n`);
  return [...told, shown(name, count)];
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !/^[^:]+(:\d+-\d+)?$/.test(name) || !Object.hasOwn(PLAN, name.replace(/:.*/, "")));
if (names.join() === "--page") {
  show();
} else if (unknown.length > 0) {
  process.stderr.write(`aixgo: there is no module ${unknown.join(", ")} to break; there are ${Object.keys(PLAN).join(", ")}\n`);
  process.exitCode = 2;
} else {
  const told = [];
  for (const name of names.length > 0 ? names : Object.keys(PLAN)) told.push(...(await mutate(name)));
  process.stdout.write(`\n${told.join("\n")}\ndocs/mutation.md is up to date; every mutant is in .artifacts/mutation.\n`);
}
