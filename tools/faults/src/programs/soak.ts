import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRuntime } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { openStore } from "../store.ts";

/** Runs turns one after another on many sessions in one process, and looks at what is left of them. */
interface SoakTask {
  readonly turns: number;
  /** Of each session. */
  readonly turnsPerSession: number;
  /** This share of the turns fills caches before the first look. */
  readonly warmUp: number;
}

export interface Footprint {
  readonly heapBytes: number;
  readonly descriptors: number;
  readonly timers: number;
}

export interface SoakReport {
  readonly before: Footprint;
  readonly after: Footprint;
  readonly turns: number;
}

const { turns, turnsPerSession, warmUp } = JSON.parse(process.argv[2] as string) as SoakTask;
const collect = globalThis.gc;
if (collect === undefined) throw new Error("this program needs --expose-gc");

async function look(): Promise<Footprint> {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    (collect as () => void)();
  }
  return {
    heapBytes: process.memoryUsage().heapUsed,
    descriptors: readdirSync("/proc/self/fd").length,
    timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
  };
}

const store = mkdtempSync(join(tmpdir(), "aixgo-soak-"));
try {
  const sessions = createSessionManager({ backend: await openStore({ kind: "file", store, options: { durability: "os" } }) });
  const runtime = createRuntime({ sessions });
  runtime.register("echo", async (_, context) => `turn behind ${(await context.history({ last: 4 })).length} messages`);
  await runtime.start();
  let before: Footprint | undefined;
  let id = "";
  // Between two sessions, as the second look.
  const first = Math.floor((turns * warmUp) / turnsPerSession) * turnsPerSession;
  for (let turn = 0; turn < turns; turn++) {
    if (turn === first) before = await look();
    if (turn % turnsPerSession === 0) id = (await sessions.create("echo")).id;
    await runtime.callWithSession("echo", `turn ${turn}`, id);
  }
  const after = await look();
  const report: SoakReport = { before: before as Footprint, after, turns };
  process.stdout.write(`${JSON.stringify(report)}\n`);
  await runtime.stop();
  await sessions.close();
} finally {
  rmSync(store, { recursive: true, force: true });
}
