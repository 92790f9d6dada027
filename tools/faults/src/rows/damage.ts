import { startProgram } from "../program.ts";
import type { DamageReport } from "../programs/damage.ts";
import type { RowResult } from "../result.ts";

export interface DamageOptions {
  readonly kind: "truncate" | "flip" | "smear";
  /** How often; `truncate`: of the offsets, one in so many. */
  readonly count: number;
  readonly seed: number;
  readonly mutant?: string;
}

const FAULTS = {
  truncate: { row: "R4", fault: "truncation at each byte offset", unit: "offsets" },
  flip: { row: "R5", fault: "bit flips", unit: "flips" },
  smear: { row: "R5", fault: "smears of 1 to 8 bytes", unit: "smears" },
} as const;

/** R4 and R5: a log is cut or changed at one place, then read, and appended to if it may be. */
export async function damageRow({ kind, count, seed, mutant }: DamageOptions): Promise<RowResult> {
  const program = startProgram("damage", { kind, count, seed }, { mutant, patienceMs: 30 * 60_000 });
  const { tried, failures, bytes } = JSON.parse(await program.line(0)) as DamageReport;
  await program.ended;
  const { row, fault, unit } = FAULTS[kind];
  const note = `a log of ${bytes} bytes`;
  return { row, subject: kind === "truncate" ? "files" : `files, ${kind}s`, fault, unit, n: tried, failures, note, seed };
}
