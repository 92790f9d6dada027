/** One line of the table and of `results.json`. */
export interface Row {
  readonly id: string;
  readonly what: string;
  /** What the ratio is taken of: the floor, or an absolute target. */
  readonly against: string;
  /** Medians in microseconds, or bytes where the row is about space. */
  readonly contender: number;
  readonly floor: number;
  readonly ratio: number;
  readonly target: number;
  /** Whether the ratio should be at most or at least the target. */
  readonly is: "at most" | "at least";
  readonly met: boolean;
}

export function row(facts: Omit<Row, "ratio" | "met"> & { readonly ratio?: number }): Row {
  const ratio = facts.ratio ?? facts.contender / facts.floor;
  return { ...facts, ratio, met: facts.is === "at most" ? ratio <= facts.target : ratio >= facts.target };
}

/** A promise in absolute time: the floor is the promise itself. */
export function promise(id: string, what: string, microseconds: number, limit: number): Row {
  return row({
    id,
    what,
    against: `${limit >= 1000 ? `${limit / 1000} ms` : `${limit} µs`} (absolute)`,
    contender: microseconds,
    floor: limit,
    target: 1,
    is: "at most",
  });
}

export function table(rows: readonly Row[]): string {
  const cells = rows.map((each) => [
    each.met ? "met" : "MISSED",
    each.id,
    number(each.ratio),
    `${each.is === "at most" ? "≤" : "≥"} ${each.target}`,
    number(each.contender),
    number(each.floor),
    each.against,
  ]);
  const all = [["", "row", "ratio", "target", "ours", "floor", "against"], ...cells];
  const widths = (all[0] as string[]).map((_, column) => Math.max(...all.map((line) => (line[column] as string).length)));
  return all
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
