import type { Unit } from "../finding.ts";
import type { Summary } from "../measure.ts";

/** One operation done by several contenders, all interleaved in one run. */
export interface Contest {
  readonly id: string;
  readonly what: string;
  readonly unit: Unit;
  /** In how much: messages in the conversation, sessions in the store. */
  readonly size: number;
  /** What belongs together at several sizes. */
  readonly series?: string;
  readonly sides: readonly ContestSide[];
}

export interface ContestSide {
  readonly name: string;
  readonly role: "ours" | "floor" | "peer";
  /** What the end of the process leaves of an acknowledged write; "a power cut" survives a kill as well. */
  readonly survives: "nothing" | "a kill" | "a power cut";
  readonly summary: Summary;
  /** What must be known to read it. */
  readonly note?: string;
}
