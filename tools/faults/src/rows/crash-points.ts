import { rmSync } from "node:fs";
import { OPERATIONS, type Operation } from "../operations.ts";
import type { RowResult } from "../result.ts";
import { inEachOf } from "../side-by-side.ts";
import { begin, setStage, stateProblem, useProblem, type Stage } from "../stage.ts";
import { inject, type Call } from "../strace.ts";

/** Calls that change nothing which another process could see. */
const PASSED_OVER = new Set(["close", "read", "pread64", "statx", "newfstatat", "fstat", "lstat", "stat", "getdents64", "statfs"]);

export interface CrashOptions {
  /** Of the points, one in so many is tried, beginning with `seed`'s. @default 1 */
  readonly oneIn?: number;
  readonly seed: number;
  readonly operations?: readonly Operation[];
  readonly mutant?: string;
}

/** R3: the process dies right before each system call of an operation that changes something. */
export async function crashRow({ oneIn = 1, seed, operations = OPERATIONS, mutant }: CrashOptions): Promise<RowResult> {
  const failures: string[] = [];
  let tried = 0;
  let of = 0;
  for (const operation of operations) {
    const stage = await setStage(operation);
    try {
      const points = stage.calls.filter(changes);
      of += points.length;
      await inEachOf(
        points.filter((_, i) => (i + seed) % oneIn === 0),
        async (point) => {
          const problem = await crashAt(stage, point, mutant);
          if (problem === "not reached") return;
          tried += 1;
          if (problem !== undefined)
            failures.push(`${operation.name}: killed at ${point.shown.slice(0, 120)} (${point.thread}): ${problem}`);
        },
      );
    } finally {
      stage.dispose();
    }
  }
  return {
    row: "R3",
    subject: "files",
    fault: "crash at each writing system call",
    unit: "crashes",
    n: tried,
    failures,
    note: `of ${of} calls in ${operations.length} operations`,
    seed,
  };
}

function changes({ name, shown }: Call): boolean {
  return !PASSED_OVER.has(name) && (name !== "openat" || shown.includes("O_CREAT"));
}

async function crashAt(stage: Stage, point: Call, mutant: string | undefined): Promise<string | undefined> {
  const store = stage.copy();
  try {
    const performance = await begin(stage, store, mutant);
    const tracer = await inject(performance.threads, point, "signal=SIGKILL");
    const outcome = await performance.run();
    await performance.program.kill();
    await tracer.detach();
    const problem = (await stateProblem(stage, store, outcome)) ?? (await useProblem(stage, store));
    // How often a thread looks differs a little from run to run: the last points may lie behind the end.
    return problem ?? (outcome === undefined ? undefined : "not reached");
  } finally {
    rmSync(store.store, { recursive: true, force: true });
  }
}
