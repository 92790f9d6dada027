import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { REPORT_FD, type Report } from "./report.ts";
import type { WorkerTask } from "./worker-task.ts";

/** A worker that has not ended by then hangs: it is killed, and the round fails. */
const MAX_RUN_MS = 60_000;

export interface WorkerRun {
  readonly pid: number;
  readonly reports: readonly Report[];
  /** Killed by SIGKILL, as planned. */
  readonly killed: boolean;
  readonly exitCode: number | null;
  readonly stderr: string;
  /** From when it was ready to its answer. Undefined: it did not live to answer. */
  readonly durationMs: number | undefined;
}

/**
 * Runs a worker to its end or death. `killAfterMs`: it is killed from outside, so long after it was ready, wherever it is
 * then. All that it reported before it died arrives: a pipe outlives its writer.
 */
export async function runWorker(
  task: WorkerTask,
  options: { readonly onStart?: (pid: number) => void; readonly onReport?: (report: Report) => void; readonly killAfterMs?: number } = {},
): Promise<WorkerRun> {
  const child = spawn(
    process.execPath,
    [
      ...process.execArgv,
      fileURLToPath(new URL(`./worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url)),
      JSON.stringify(task),
    ],
    {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    },
  );
  const reports: Report[] = [];
  let stderr = "";
  let outside: NodeJS.Timeout | undefined;
  let readyAt = 0;
  let durationMs: number | undefined;
  const die = (): void => void child.kill("SIGKILL");
  const bound = setTimeout(die, MAX_RUN_MS);
  process.once("exit", die);
  try {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-4_000)));
    const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
    if (child.pid !== undefined) options.onStart?.(child.pid);
    const lines = createInterface({ input: child.stdio[REPORT_FD] as Readable });
    lines.on("line", (line) => {
      const report = JSON.parse(line) as Report;
      reports.push(report);
      options.onReport?.(report);
      if (report.type === "answered") durationMs = performance.now() - readyAt;
      if (report.type !== "ready") return;
      readyAt = performance.now();
      if (options.killAfterMs !== undefined) outside = setTimeout(die, options.killAfterMs);
    });
    const drained = new Promise<void>((resolve) => lines.once("close", resolve));
    const { code, signal } = await ended;
    await drained;
    return { pid: child.pid ?? 0, reports, killed: signal === "SIGKILL", exitCode: code, stderr, durationMs };
  } finally {
    clearTimeout(bound);
    clearTimeout(outside);
    process.off("exit", die);
  }
}
