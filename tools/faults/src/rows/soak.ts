import { startProgram } from "../program.ts";
import type { SoakReport } from "../programs/soak.ts";
import type { RowResult } from "../result.ts";

/** Growth of the heap that is allowed, as a share, and what noise a small heap has. */
const MAX_GROWTH = 0.05;
const NOISE_BYTES = 512 * 1024;

/** The store keeps a share of what it may open: with few, that share is reached soon. */
const OPEN_FILES = 512;

export interface SoakOptions {
  readonly turns: number;
  readonly turnsPerSession: number;
  /** This share of the turns fills caches before the first look. */
  readonly warmUp: number;
  readonly seed: number;
  readonly mutant?: string;
}

/** R12: after very many turns nothing has been kept: no memory, descriptor or timer. */
export async function soakRow({ seed, mutant, ...task }: SoakOptions): Promise<RowResult> {
  const program = startProgram("soak", task, {
    mutant,
    nodeArgs: ["--expose-gc"],
    limits: [`--nofile=${OPEN_FILES}`],
    patienceMs: 3_600_000,
  });
  const row = { row: "R12", subject: "files", fault: "very many turns in one process", unit: "turns", n: task.turns, seed };
  const said = await program.line(0).catch((error: unknown) => String(error));
  await program.ended;
  if (!said.startsWith("{")) return { ...row, failures: [said] };
  const { before, after } = JSON.parse(said) as SoakReport;
  const failures: string[] = [];
  const growth = after.heapBytes / before.heapBytes - 1;
  if (after.heapBytes > before.heapBytes * (1 + MAX_GROWTH) + NOISE_BYTES)
    failures.push(`the heap has grown by ${(growth * 100).toFixed(1)} %`);
  if (after.descriptors > before.descriptors) failures.push(`${after.descriptors - before.descriptors} descriptors are left open`);
  if (after.timers > before.timers) failures.push(`${after.timers - before.timers} timers are left`);
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const note = `heap ${mib(before.heapBytes)} → ${mib(after.heapBytes)} MiB (${(growth * 100).toFixed(1)} %), descriptors ${before.descriptors} → ${after.descriptors}, timers ${before.timers} → ${after.timers}`;
  return { ...row, failures, note };
}
