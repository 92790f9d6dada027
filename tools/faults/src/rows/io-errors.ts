import { rmSync } from "node:fs";
import { OPERATIONS, type Operation } from "../operations.ts";
import type { Outcome } from "../programs/operation.ts";
import type { RowResult } from "../result.ts";
import { inEachOf } from "../side-by-side.ts";
import { begin, setStage, stateProblem, useProblem, type Performance, type Stage } from "../stage.ts";
import { inject, type Call } from "../strace.ts";

/** What the kernel may answer to each call. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  openat: ["error=EMFILE", "error=EIO"],
  mkdir: ["error=ENOSPC"],
  fchmod: ["error=EIO"],
  chmod: ["error=EIO"],
  write: ["error=EIO", "error=ENOSPC"],
  pwrite64: ["error=EIO", "error=ENOSPC", "error=EFBIG"],
  ftruncate: ["error=EIO"],
  fsync: ["error=EIO"],
  fdatasync: ["error=EIO"],
  rename: ["error=EIO", "error=ENOSPC"],
  unlink: ["error=EIO"],
  fcntl: ["error=ENOLCK"],
  pread64: ["error=EIO"],
  statx: ["error=EIO"],
  getdents64: ["error=EIO"],
};
/** Beside a failed sync these are watched: whether what it was to sync is written and synced anew. */
const SYNCED = ["pwrite64", "fsync", "fdatasync"] as const;

interface Fault {
  readonly call: Call;
  readonly answer: string;
}

export interface IoOptions {
  /** Of the faults, one in so many is tried, beginning with `seed`'s. @default 1 */
  readonly oneIn?: number;
  readonly seed: number;
  readonly operations?: readonly Operation[];
  /** Only calls of this name. */
  readonly only?: string;
  readonly mutant?: string;
}

/** R6: each system call of an operation fails once. */
export async function ioRow({ oneIn = 1, seed, operations = OPERATIONS, only, mutant }: IoOptions): Promise<RowResult> {
  const failures: string[] = [];
  let tried = 0;
  let of = 0;
  for (const operation of operations) {
    const stage = await setStage(operation);
    try {
      const calls = stage.calls.filter(({ name }) => only === undefined || name === only);
      const faults = calls.flatMap((call) => answersTo(call).map((answer) => ({ call, answer })));
      of += faults.length;
      await inEachOf(
        faults.filter((_, i) => (i + seed) % oneIn === 0),
        async (fault) => {
          const problem = await failAt(stage, fault, mutant);
          if (problem === "not reached") return;
          tried += 1;
          if (problem !== undefined)
            failures.push(`${operation.name}: ${fault.answer} at ${fault.call.shown.slice(0, 160)} (${fault.call.thread}): ${problem}`);
        },
      );
    } finally {
      stage.dispose();
    }
  }
  return {
    row: "R6",
    subject: "files",
    fault: "EIO, ENOSPC, EMFILE, EFBIG or ENOLCK at each system call",
    unit: "faults",
    n: tried,
    failures,
    note: `of ${of} in ${operations.length} operations`,
    seed,
  };
}

function answersTo({ name, shown }: Call): readonly string[] {
  if (!shown.includes("aixgo-stage-")) return [];
  return ANSWERS[name] ?? [];
}

async function failAt(stage: Stage, { call, answer }: Fault, mutant: string | undefined): Promise<string | undefined> {
  const store = stage.copy();
  try {
    const performance = await begin(stage, store, mutant);
    const isSync = call.name === "fsync" || call.name === "fdatasync";
    const tracer = await inject(performance.threads, call, answer, isSync ? SYNCED : []);
    const outcome = await performance.run();
    await tracer.detach();
    const said = tracer.output();
    // It may meet the program's own pipes if the operation makes fewer calls than when they were counted.
    const broken = said.split("\n").find((line) => line.includes("(INJECTED)"));
    if (broken === undefined || /<(?:pipe|socket|anon_inode):/.test(broken)) {
      await performance.program.kill();
      return "not reached";
    }
    if (outcome === undefined) return `the process died: ${performance.program.said()}`;
    const problem =
      falseWord(outcome, said, store.store) ??
      (await stateProblem(stage, store, outcome)) ??
      (await againProblem(stage, performance)) ??
      (await performance.end()) ??
      (await useProblem(stage, store));
    await performance.program.kill();
    return problem === undefined ? undefined : `${outcome.ok ? "acknowledged" : `${outcome.code}: ${outcome.message}`}: ${problem}`;
  } finally {
    rmSync(store.store, { recursive: true, force: true });
  }
}

/** The process that met the fault can do the same again, now that nothing fails. */
async function againProblem({ operation }: Stage, performance: Performance): Promise<string | undefined> {
  const outcome = await performance.run();
  if (outcome === undefined) return `the process died when it tried again: ${performance.program.said()}`;
  if (outcome.ok || (outcome.code !== undefined && operation.onceDone?.includes(outcome.code) === true)) return undefined;
  return `the same process fails again, without a fault: ${outcome.code} ${outcome.message}`;
}

/** What may not be said of a call that failed. */
function falseWord(outcome: Outcome, said: string, baseDir: string): string | undefined {
  if (!outcome.ok) {
    if (outcome.code === undefined) return `the error has no code: ${outcome.message}`;
    // The store's folder is named as it was given, nothing else.
    return (outcome.message ?? "").replaceAll(baseDir, "").includes("/tmp/") ? "the message names an absolute path" : undefined;
  }
  return isSyncedAnew(said) ? undefined : "it was acknowledged, though a sync failed and its bytes were not written and synced anew";
}

/**
 * After a failed sync the kernel may have dropped the bytes and calls the next sync a success. So an acknowledgement needs the
 * bytes to be written again, and then a sync. Of a folder the sync alone: its names cannot be written again.
 */
function isSyncedAnew(said: string): boolean {
  const lines = said.split("\n");
  const failed = lines.findIndex((line) => /sync.*\(INJECTED\)/.test(line));
  if (failed < 0) return true;
  // With several threads the call's beginning is on an earlier line than its end.
  const begun = lines.slice(0, failed + 1).findLast((line) => /sync\(\d+</.test(line));
  const path = /sync\(\d+<([^>]*)>/.exec(begun ?? "")?.[1];
  if (path === undefined) throw new Error(`the sync that failed is not in the trace: ${said}`);
  const later = lines.slice(failed + 1);
  const written = /\.jsonl$|\/drafts\//.test(path)
    ? later.findIndex((line) => line.includes(`pwrite64(`) && line.includes(`<${path}>`))
    : 0;
  return written >= 0 && later.slice(written).some((line) => /sync\(\d+</.test(line) && line.includes(`<${path}>`));
}
