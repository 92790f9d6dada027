import { startProgram } from "../program.ts";
import type { LargeReport } from "../programs/large.ts";
import type { RowResult } from "../result.ts";

/** What a process that opens a large session may grow by, in sizes of the session. */
const MAX_MEMORY = 2;
const ENTRY_BYTES = 16 * 1024 * 1024;

export interface LargeOptions {
  readonly sessionBytes: number;
  readonly seed: number;
  readonly mutant?: string;
}

/** R13: the largest entry round-trips, a larger one is refused; a large session opens within a bounded memory. */
export async function largeRow({ sessionBytes, seed, mutant }: LargeOptions): Promise<RowResult> {
  const program = startProgram("large", { entryBytes: ENTRY_BYTES, sessionBytes }, { mutant, patienceMs: 600_000 });
  const report = JSON.parse(await program.line(0)) as LargeReport;
  await program.ended;
  const failures = [...report.failures];
  const share = report.openBytes / report.sessionBytes;
  // The time is told, not judged: it is the machine's as much as ours.
  if (share > MAX_MEMORY) failures.push(`opening a session took ${share.toFixed(1)} × its size of memory`);
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const note = `${mib(report.sessionBytes)} opened in ${report.openMs.toFixed(0)} ms with ${mib(report.openBytes)} more memory; read whole in ${report.readMs.toFixed(0)} ms, ${mib(report.readBytes)}`;
  return {
    row: "R13",
    subject: "files",
    fault: "an entry of 16 MiB, one above it, a large session",
    unit: "runs",
    n: 1,
    failures,
    note,
    seed,
  };
}
