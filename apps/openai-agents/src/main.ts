import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";

/** One conversation of the OpenAI Agents SDK, each step of it in a process of its own. */
const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));
/** A process that has not ended by then hangs. */
const MAX_RUN_MS = 45_000;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function inAnotherProcess(baseDir: string, ...task: readonly string[]): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [WORKER, baseDir, ...task], { timeout: MAX_RUN_MS });
  process.stdout.write(stdout);
}

async function tell(baseDir: string): Promise<void> {
  for (const question of ["My name is Ada", "What is my name?", "Please delete report.txt"]) {
    say(`A process is asked: ${question}`);
    await inAnotherProcess(baseDir, "ask", question);
  }
  say("Another process is told that it may");
  await inAnotherProcess(baseDir, "approve");
  say("A process is told a wrong name, and the next one takes it back");
  await inAnotherProcess(baseDir, "ask", "My name is Bob");
  await inAnotherProcess(baseDir, "undo");
  say("A process is asked: And who am I?");
  await inAnotherProcess(baseDir, "ask", "And who am I?");

  say("What the session holds");
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  const session = await sessions.getOrCreate("assistant", "ada");
  for (const { role, parts } of await session.messages()) {
    const what = parts.map((part) => (part.type === "text" ? part.text : part.type));
    say(`  ${role}: ${what.join(" ")}`);
  }
  const { problems } = await session.verify();
  say(`  ${problems.length} problems`);
}

const baseDir = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "aixgo-openai-agents-")));
try {
  await tell(baseDir);
} catch (error) {
  process.stderr.write(`openai-agents: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (process.argv[2] === undefined) await rm(baseDir, { recursive: true, force: true });
}
