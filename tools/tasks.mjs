import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setUp, SetupError } from "./setup.mjs";
import { ROOT, taskEnvironment } from "./workspace.mjs";

/** Tasks, and the script that each runs once all is built. `build` needs none. @type {Record<string, string | undefined>} */
const TASKS = {
  build: undefined,
  bench: "bench/dist/main.js",
  "bench:peers": "bench/dist/peers-main.js",
  "bench:docs": "bench/dist/docs-main.js",
  "demo:crash": "apps/crash-demo/dist/main.js",
  "test:faults": "tools/faults/dist/main.js",
  "test:mutation": "tools/mutation/main.mjs",
};

/** @param {readonly string[]} args task, then its arguments */
export async function run([task, ...args]) {
  if (task === undefined || !Object.hasOwn(TASKS, task)) {
    process.stderr.write(`usage: node tools/run.mjs ${Object.keys(TASKS).join(" | ")}\n`);
    process.exitCode = 2;
    return;
  }
  try {
    await setUp();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`aixgo: ${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  const script = TASKS[task];
  if (script === undefined) return;
  if (!existsSync(join(ROOT, script))) {
    process.stderr.write(`aixgo: there is no ${script}\n`);
    process.exitCode = 1;
    return;
  }
  // Ctrl-C reaches the child by the terminal; this process only waits for it.
  process.on("SIGINT", () => {});
  const child = spawn(process.execPath, [join(ROOT, script), ...args], { cwd: ROOT, env: taskEnvironment(), stdio: "inherit" });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    process.stderr.write(`aixgo: ${task}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 1;
  });
}
