import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { AGENT, operationNamed } from "../operations.ts";
import type { RowResult } from "../result.ts";
import { inEachOf } from "../side-by-side.ts";
import { begin, setStage, stateProblem, useProblem, type Stage } from "../stage.ts";

/** Each appends to the subject's log, which is the largest file of its store. */
const OPERATIONS = ["append", "append a batch", "append a group", "checkpoint"] as const;

export interface ShortWriteOptions {
  /** Of the lengths at which the write ends, one in so many is tried. */
  readonly oneIn: number;
  readonly seed: number;
  readonly mutant?: string;
}

/**
 * R6: the file may grow by so many bytes only (RLIMIT_FSIZE), for each number from none to one less than the operation writes. The
 * kernel then writes these, says so, and refuses the rest with EFBIG: a short write as a full disk makes it, at a chosen byte.
 */
export async function shortWriteRow({ oneIn, seed, mutant }: ShortWriteOptions): Promise<RowResult> {
  const failures: string[] = [];
  let tried = 0;
  for (const name of OPERATIONS) {
    const stage = await setStage(operationNamed(name));
    try {
      const grown = await grownBy(stage);
      const lengths = Array.from({ length: grown }, (_, i) => i).filter((i) => (i + seed) % oneIn === 0);
      await inEachOf(lengths, async (length) => {
        const problem = await cutShort(stage, length, mutant);
        tried += 1;
        if (problem !== undefined) failures.push(`${name}, ${length} bytes written: ${problem}`);
      });
    } finally {
      stage.dispose();
    }
  }
  return {
    row: "R6",
    subject: "files, short writes",
    fault: "a write that ends at each byte (RLIMIT_FSIZE)",
    unit: "writes",
    n: tried,
    failures,
    seed,
  };
}

function logOf(stage: Stage, store: { readonly store: string }): string {
  return join(store.store, AGENT, `${stage.subject}.jsonl`);
}

/** How much the operation writes: measured, since times and ids have a length, too. */
async function grownBy(stage: Stage): Promise<number> {
  const store = stage.copy();
  const before = statSync(logOf(stage, store)).size;
  const performance = await begin(stage, store);
  await performance.run();
  await performance.end();
  return statSync(logOf(stage, store)).size - before;
}

async function cutShort(stage: Stage, length: number, mutant: string | undefined): Promise<string | undefined> {
  const store = stage.copy();
  try {
    const performance = await begin(stage, store, mutant);
    const before = readFileSync(logOf(stage, store));
    const limit = (bytes: string): void =>
      void execFileSync("prlimit", ["--pid", String(performance.program.pid), `--fsize=${bytes}:unlimited`], { timeout: 60_000 });
    limit(String(before.length + length));
    const outcome = await performance.run();
    limit("unlimited");
    if (outcome === undefined) return `the process died: ${performance.program.said()}`;
    const after = readFileSync(logOf(stage, store));
    const problem =
      (outcome.ok ? "it was acknowledged" : undefined) ??
      (outcome.code === "BACKEND_UNAVAILABLE" ? undefined : `BACKEND_UNAVAILABLE is due, there is ${outcome.code}`) ??
      (after.equals(before) ? undefined : `the log has ${after.length} bytes, ${before.length} before`) ??
      (await stateProblem(stage, store, outcome)) ??
      ((await performance.run())?.ok === true ? undefined : "the same process fails again, with room") ??
      (await performance.end()) ??
      (await useProblem(stage, store));
    await performance.program.kill();
    return problem;
  } finally {
    rmSync(store.store, { recursive: true, force: true });
  }
}
