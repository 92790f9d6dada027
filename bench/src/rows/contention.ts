import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Finding, promise, row } from "../finding.ts";
import { counted } from "../measure.ts";
import type { Task, Told } from "../processes/appender.ts";
import { inFolder, managerAt, type Place } from "../stores.ts";

const PROCESSES = 8;
const RUN_MS = 4000;
const PATIENCE_MS = 60_000;
const APPENDER = fileURLToPath(new URL("../processes/appender.js", import.meta.url));

export function fileContentionRows(): Promise<readonly Finding[]> {
  return inFolder((folder) => contentionRows({ store: "files", folder, durability: "disk" }, 100));
}

/** Processes that append to one session, each as fast as it can: how long one waits at worst, and whether one is left behind. */
export async function contentionRows(place: Place, worstMs: number): Promise<readonly Finding[]> {
  const manager = managerAt(place);
  const session = await manager.create("a");
  const children = Array.from({ length: PROCESSES }, () => fork(APPENDER, { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
  try {
    const task: Task = { place, session: session.id, ms: RUN_MS };
    await Promise.all(children.map((child) => ask(child, task, "ready")));
    const reports = await Promise.all(children.map((child) => ask(child, "go", "done")));
    const times = reports.flatMap(({ tookMs }) => tookMs);
    const counts = reports.map(({ tookMs }) => tookMs.length);
    const { messageCount } = await session.info();
    const said = counts.reduce((sum, count) => sum + count, 0);
    // Each has made one more before the clock ran.
    if (messageCount !== said + PROCESSES)
      throw new Error(`${said + PROCESSES} appends were acknowledged, the session has ${messageCount}`);
    const { store } = place;
    const worst = times.reduce((most, time) => Math.max(most, time), 0);
    const [slowest, fastest] = [Math.min(...counts), Math.max(...counts)];
    return [
      promise(
        `${store}-8-processes-worst`,
        `worst append of ${PROCESSES} processes on one session, ${store}`,
        { ...counted(worst), calls: times.length },
        worstMs,
        "ms",
      ),
      row({
        id: `${store}-8-processes-fair`,
        what: `appends of the slowest of ${PROCESSES} processes on one session, ${store}`,
        against: "those of the fastest",
        unit: "appends",
        ours: counted(slowest),
        floor: counted(fastest),
        ratio: slowest / fastest,
        better: "more",
        target: 0.25,
      }),
    ];
  } finally {
    for (const child of children) child.kill();
    await manager.close();
  }
}

async function ask<Kind extends Told["kind"]>(
  child: ChildProcess,
  message: Task | "go",
  kind: Kind,
): Promise<Extract<Told, { kind: Kind }>> {
  const answer = once(child, "message", { signal: AbortSignal.timeout(PATIENCE_MS) });
  const exit = once(child, "exit").then(([code]): never => {
    throw new Error(`an appending process ended with ${String(code)}`);
  });
  exit.catch(() => {});
  child.send(message);
  const [told] = (await Promise.race([answer, exit])) as [Told];
  if (told.kind !== kind) throw new Error(`an appending process said ${told.kind} instead of ${kind}`);
  return told as Extract<Told, { kind: Kind }>;
}
