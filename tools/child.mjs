import { spawn } from "node:child_process";
import { ROOT, taskEnvironment } from "./workspace.mjs";

/** Output of one child that is kept, in characters; of more, the end counts. */
const KEPT = 400_000;

/**
 * @typedef {object} Ended
 * @property {number} code 0 is success; a child that a signal ended or that could not start has another
 * @property {string} output of both streams, in order of arrival
 * @property {string} stdout
 */

/**
 * Runs a program to its end and keeps what it says. Never rejects.
 * @param {string} command @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, onOutput?: (text: string) => void, input?: string }} [options]
 * @returns {Promise<Ended>}
 */
export function run(command, args, { cwd = ROOT, env = plainEnvironment(), timeoutMs = 30 * 60_000, onOutput, input } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let output = "";
    let stdout = "";
    /** @param {string} text @param {boolean} isStdout */
    const keep = (text, isStdout) => {
      output = (output + text).slice(-KEPT);
      if (isStdout) stdout = (stdout + text).slice(-KEPT);
      onOutput?.(text);
    };
    child.stdout?.setEncoding("utf8").on("data", (text) => keep(text, true));
    child.stderr?.setEncoding("utf8").on("data", (text) => keep(text, false));
    child.stdin?.on("error", () => {});
    if (input !== undefined) child.stdin?.end(input);
    // A Ctrl-C reaches the child by the terminal; a signal to this process alone would leave it behind.
    const stop = () => child.kill("SIGTERM");
    process.once("SIGTERM", stop);
    process.once("exit", stop);
    child.on("error", (error) => keep(`${command}: ${error.message}\n`, false));
    child.on("close", (code, signal) => {
      process.removeListener("SIGTERM", stop);
      process.removeListener("exit", stop);
      if (signal !== null) keep(`\n${command} was ended by ${signal}\n`, false);
      resolve({ code: code ?? 1, output, stdout });
    });
  });
}

/** What is kept is read as text. nx turns colours on for its tasks unless it is told otherwise; with both variables set, Node warns. */
function plainEnvironment() {
  /** @type {NodeJS.ProcessEnv} */
  const { NO_COLOR: _, ...env } = taskEnvironment();
  return { ...env, FORCE_COLOR: "0" };
}

/** Runs a script with this Node. @param {string} script @param {readonly string[]} args @param {Parameters<typeof run>[2]} [options] */
export function runNode(script, args, options) {
  return run(process.execPath, [script, ...args], options);
}
