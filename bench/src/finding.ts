import { counted, type Summary } from "./measure.ts";

export type Unit = "µs" | "ms" | "bytes" | "appends";

/** What a run has found: one comparison with a floor, or a curve over sizes. */
export type Finding = Row | Curve;

/** A finding of a run, with the group that it belongs to. */
export type Grouped<Kind extends Finding = Finding> = Kind & { readonly group: string };

/** One comparison, in the table and in `results.json`. */
export interface Row {
  readonly kind: "row";
  readonly id: string;
  readonly what: string;
  /** What the ratio is taken of: the floor, or an absolute target. */
  readonly against: string;
  readonly unit: Unit;
  readonly ours: Summary;
  readonly floor: Summary;
  /** Ours to the floor where less is better; the floor to ours, which is throughput, where more is. */
  readonly ratio: number;
  readonly better: "less" | "more";
  /** The ratio that was asked for. Absent: reported only. */
  readonly target?: number;
  readonly met?: boolean;
}

/** The same operation at growing sizes. */
export interface Curve {
  readonly kind: "curve";
  readonly id: string;
  readonly what: string;
  readonly unit: Unit;
  /** What grows. */
  readonly over: string;
  readonly points: readonly { readonly size: number; readonly ours: Summary }[];
}

/** With a `ratio` where it does not follow from two times. */
export function row(facts: Omit<Row, "kind" | "unit" | "ratio" | "met" | "better"> & Partial<Pick<Row, "unit" | "better" | "ratio">>): Row {
  const { unit = "µs", better = "less", ours, floor, target, ...rest } = facts;
  const ratio = facts.ratio ?? (better === "less" ? ours.median / floor.median : floor.median / ours.median);
  return {
    kind: "row",
    ...rest,
    unit,
    ours,
    floor,
    ratio,
    better,
    ...(target === undefined ? undefined : { target, met: better === "less" ? ratio <= target : ratio >= target }),
  };
}

/** A promise in absolute numbers: the floor is the promise itself. */
export function promise(id: string, what: string, ours: Summary, limit: number, unit: Unit = "µs"): Row {
  const shown = unit === "µs" && limit >= 1000 ? `${limit / 1000} ms` : `${limit} ${unit}`;
  return row({ id, what, against: `${shown} (absolute)`, unit, ours, floor: counted(limit), target: 1 });
}
