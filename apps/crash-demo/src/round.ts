import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { type Check, checkRound } from "./checks.ts";
import type { Course, KillPlan } from "./kill-plan.ts";
import { openOutbox } from "./outbox.ts";
import type { Report } from "./report.ts";
import { AGENT, type WorkerTask } from "./worker-task.ts";
import { runWorker, type WorkerRun } from "./worker-process.ts";

/** What is told while a round runs. */
export interface Watcher {
  onSession?(sessionId: string): void;
  onWorker?(attempt: number, pid: number): void;
  onReport?(report: Report): void;
  onEnd?(run: WorkerRun): void;
}

export interface Round {
  readonly checks: readonly Check[];
  readonly killed: boolean;
}

/** One turn: started, killed as planned, gone on with by a second process, asked once more by a third, and checked. */
export async function playRound(options: {
  readonly dir: string;
  readonly name: string;
  readonly plan: KillPlan | undefined;
  readonly paceMs: number;
  readonly watcher?: Watcher;
}): Promise<Round & { readonly course: Course }> {
  const { dir, name, plan, paceMs, watcher = {} } = options;
  const sessionDir = join(dir, "sessions");
  const outboxDir = join(dir, name);
  await mkdir(outboxDir, { recursive: true });
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir: sessionDir }) });
  const session = await sessions.create(AGENT);
  watcher.onSession?.(session.id);

  const task: WorkerTask = { sessionDir, outboxDir, sessionId: session.id, turnKey: `order-${name}`, paceMs, nth: 1 };
  const fatal: WorkerTask = plan?.at === "point" ? { ...task, fatal: plan.name, nth: plan.nth } : task;
  const run = async (attempt: number, what: WorkerTask, killAfterMs?: number): Promise<WorkerRun> => {
    const done = await runWorker(what, {
      onStart: (pid) => watcher.onWorker?.(attempt, pid),
      onReport: (report) => watcher.onReport?.(report),
      ...(killAfterMs === undefined ? undefined : { killAfterMs }),
    });
    watcher.onEnd?.(done);
    if (done.killed || done.exitCode === 0) return done;
    const failure = done.reports.find((report) => report.type === "failed");
    throw new Error(
      `worker ${attempt} failed: ${failure?.type === "failed" ? failure.message : done.stderr || `exit code ${String(done.exitCode)}`}`,
    );
  };
  const first = await run(1, fatal, plan?.at === "time" ? plan.afterMs : undefined);
  const second = await run(2, task);
  const { version } = await session.info();
  const again = await run(3, { ...task, paceMs: 0 });

  const checks = await checkRound({ session, outbox: openOutbox(outboxDir), runs: [first, second, again], versionBefore: version });
  const points = first.reports.flatMap((report) => (report.type === "point" ? [report.name] : []));
  return { checks, killed: first.killed, course: { points, durationMs: first.durationMs ?? 0 } };
}
