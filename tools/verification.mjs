import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { countReport, lastLine } from "./report.mjs";
import { setUp } from "./setup.mjs";
import { ROOT } from "./workspace.mjs";

const REPORTS = join(ROOT, ".artifacts", "test");
/** Of a failing step's output, the end is shown, in characters. */
const SHOWN = 20_000;

/** All of CI: one step after another, on after failures; the last line says how many checks and tests passed. @param {readonly string[]} args `--fast`, `--long` */
export async function run(args) {
  const unknown = args.find((arg) => arg !== "--fast" && arg !== "--long");
  if (unknown !== undefined) {
    process.stderr.write(`unknown argument ${unknown}; known are --fast and --long\n`);
    process.exitCode = 2;
    return;
  }
  let passed = 0;
  let failed = 0;
  /** @type {string[]} */
  const skipped = [];
  let told = false;
  // Also when something here breaks, or Ctrl-C ends it: what did not run to its end has not passed.
  process.on("exit", (code) => {
    if (told) return;
    process.stdout.write(`${lastLine(passed, failed + 1, skipped.length)}\n`);
    if (code === 0) process.exitCode = 1;
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => process.exit(130));

  const isSetUp = await step("setup", async () => {
    await setUp({ build: false });
    return { problems: [] };
  });
  if (isSetUp) {
    if (args.includes("--long")) process.env["AIXGO_LONG"] = "1";
    rmSync(REPORTS, { recursive: true, force: true });
    mkdirSync(REPORTS, { recursive: true });
    // Only now: the steps use packages that the setup has just installed.
    const { steps } = await import("./steps.mjs");
    for (const { name, work } of steps({ fast: args.includes("--fast") })) await step(name, work);
  }
  if (skipped.length > 0) process.stdout.write(`\nskipped, with the reason in the name:\n${skipped.map((name) => `  ${name}\n`).join("")}`);
  told = true;
  process.stdout.write(`\n${lastLine(passed, failed, skipped.length)}\n`);
  process.exitCode = failed === 0 ? 0 : 1;

  /** @param {string} name @param {() => Promise<import("./steps.mjs").Outcome>} work */
  async function step(name, work) {
    const began = performance.now();
    /** @type {string[]} */
    let problems;
    let note = "";
    /** @type {readonly string[]} */
    let unlessTestsFail = [];
    /** @type {readonly string[]} */
    let suites = [];
    try {
      const outcome = await work();
      problems = [...outcome.problems];
      note = outcome.note ?? "";
      suites = outcome.suites ?? [];
      unlessTestsFail = outcome.unlessTestsFail ?? [];
    } catch (error) {
      problems = [error instanceof Error ? (error.name === "Error" ? error.message : String(error.stack)) : String(error)];
    }
    let failedTests = 0;
    let passedTests = 0;
    for (const suite of suites) {
      const counts = countReport(suite, join(REPORTS, `${suite}.json`));
      passedTests += counts.passed;
      failedTests += counts.failed;
      skipped.push(...counts.skipped);
      problems.push(...counts.problems);
    }
    if (failedTests === 0) problems.push(...unlessTestsFail);
    passed += passedTests;
    failed += failedTests;
    // A step that failed only by its tests is not counted twice.
    const ok = problems.length === 0;
    if (ok) passed++;
    else if (failedTests === 0) failed++;
    const tests = suites.length === 0 ? "" : `, ${passedTests} tests passed${failedTests > 0 ? `, ${failedTests} failed` : ""}`;
    process.stdout.write(
      `${ok ? "ok    " : "FAILED"} ${name} (${((performance.now() - began) / 1000).toFixed(1)} s${tests}${note === "" ? "" : `, ${note}`})\n`,
    );
    for (const problem of problems) process.stdout.write(`${indent(problem)}\n`);
    return ok;
  }
}

/** @param {string} colored */
function indent(colored) {
  const text = stripVTControlCharacters(colored);
  const shown = text.length > SHOWN ? `… (only the end of it)\n${text.slice(-SHOWN)}` : text;
  return shown.trimEnd().replaceAll(/^/gm, "    ");
}
