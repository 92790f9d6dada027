import type { Unit } from "./finding.ts";
import type { Summary } from "./measure.ts";

/** One operation done by several contenders, all interleaved in one run. */
export interface Contest {
  readonly id: string;
  readonly what: string;
  readonly unit: Unit;
  /** What an acknowledged write survives here: only contenders that promise the same are compared. */
  readonly durability: string;
  readonly sides: readonly ContestSide[];
}

export interface ContestSide {
  readonly name: string;
  readonly role: "ours" | "floor" | "peer";
  readonly summary: Summary;
  /** What must be known to read it. */
  readonly note?: string;
}
