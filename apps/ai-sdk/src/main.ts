import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { textOf } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";

/** Four processes have one conversation. The first is killed in the middle of its answer. */
const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));
const QUESTION = "Is it warmer in Oslo or in Rome?";
/** A process that has not ended by then hangs. */
const MAX_RUN_MS = 45_000;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

interface Task {
  readonly turnKey: string;
  readonly question: string;
  /** SIGKILL as soon as it waits for this city, whose thermometer is slow. */
  readonly killAt?: string;
}

async function runWorker(baseDir: string, { turnKey, question, killAt }: Task): Promise<void> {
  const child = spawn(process.execPath, [WORKER, baseDir, turnKey, question, ...(killAt === undefined ? [] : [killAt])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const die = (): void => void child.kill("SIGKILL");
  process.once("exit", die);
  const bound = setTimeout(die, MAX_RUN_MS);
  let seen = "";
  const waits = (): boolean => killAt !== undefined && seen.includes(`weather ${killAt}\n`);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    process.stdout.write(text);
    seen += text;
    if (waits()) die();
  });
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  clearTimeout(bound);
  process.off("exit", die);
  if (killAt === undefined ? code !== 0 : signal !== "SIGKILL" || !waits())
    throw new Error(`the process ended with ${signal ?? String(code)}`);
}

async function tell(baseDir: string): Promise<void> {
  say(`Process 1 is asked: ${QUESTION}`);
  await runWorker(baseDir, { turnKey: "request-1", question: QUESTION, killAt: "Rome" });
  say("  killed with SIGKILL while it waited for Rome\n");

  say("Process 2 is asked the same, with the same turn key");
  await runWorker(baseDir, { turnKey: "request-1", question: QUESTION });

  say("\nProcess 3 is asked the same once more");
  await runWorker(baseDir, { turnKey: "request-1", question: QUESTION });

  say("\nProcess 4 is asked something else");
  await runWorker(baseDir, { turnKey: "request-2", question: "What did I ask first?" });

  say("\nWhat the session holds");
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  const session = await sessions.getOrCreate("weather", "ada");
  for (const message of await session.messages()) {
    const what = message.parts.map((part) => {
      if (part.type === "tool-call") return `calls ${part.toolName} ${JSON.stringify(part.input)}`;
      return part.type === "tool-result" ? JSON.stringify(part.output) : textOf({ parts: [part] });
    });
    say(`  ${message.role}: ${what.join(" ")}`);
  }
  const { entries, problems } = await session.verify();
  say(`  ${entries} entries, ${problems.length} problems`);
}

const baseDir = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "aixgo-ai-sdk-")));
try {
  await tell(baseDir);
} catch (error) {
  process.stderr.write(`ai-sdk: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (process.argv[2] === undefined) await rm(baseDir, { recursive: true, force: true });
}
