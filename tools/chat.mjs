import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setUp, SetupError } from "./setup.mjs";
import { onePerKeystroke } from "./signals.mjs";
import { swallowedFlags } from "./swallowed-flags.mjs";
import { ROOT } from "./workspace.mjs";

const MAIN = join(ROOT, "apps", "chat", "dist", "main.js");
/** Options of the chat that npm takes for its own when the `--` before them is missing. */
const OPTIONS = ["user", "session", "session-dir", "model"];

/** Prepares the workspace and becomes the chat: same process, so that signals, exit code and terminal need no hand-over. @param {readonly string[]} args */
export async function run(args) {
  const meant = swallowedFlags(OPTIONS, args, process.env);
  if (meant !== undefined) {
    process.stderr.write(`npm kept your options for itself; use: npm start -- ${meant}\n`);
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
  onePerKeystroke(process);
  process.argv = [process.argv[0] ?? process.execPath, MAIN, ...args];
  await import(pathToFileURL(MAIN).href);
}
