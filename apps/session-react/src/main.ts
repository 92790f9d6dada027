import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { takeTurns, type Turn } from "./turns.ts";

const FLOUR: Turn = { key: "ask-1", text: "We are four, and want pancakes." };
const SIX: Turn = { key: "ask-2", text: "Make it six." };
const LIST: Turn = { key: "ask-3", text: "Put the flour on my list." };

/** Each process takes its turns; the second begins with a question whose answer, it believes, never arrived. */
const PROCESSES: readonly (readonly Turn[])[] = [
  [FLOUR, SIX],
  [SIX, LIST],
];

function runProcess(baseDir: string, index: number): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), baseDir, String(index)], {
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => child.once("error", reject).once("exit", (code) => resolve(code ?? 1)));
}

async function main([baseDir, index]: readonly string[]): Promise<number> {
  if (baseDir !== undefined) {
    await takeTurns(baseDir, PROCESSES[Number(index)] ?? [], (line) => process.stdout.write(`${line}\n`));
    return 0;
  }
  const dir = await mkdtemp(join(tmpdir(), "aixgo-react-"));
  try {
    for (const at of PROCESSES.keys()) {
      const code = await runProcess(dir, at);
      if (code !== 0) return code;
    }
    return 0;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`session-react: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
