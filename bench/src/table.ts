import type { Contest } from "./contenders/contest.ts";
import type { Row } from "./finding.ts";

/** The rows as text, in columns. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((each) => [
    each.met === undefined ? "" : each.met ? "met" : "MISSED",
    each.id,
    number(each.ratio),
    each.target === undefined ? "" : `${each.better === "less" ? "≤" : "≥"} ${each.target}`,
    number(each.ours.median),
    number(each.ours.p99),
    number(each.floor.median),
    each.unit,
    each.against,
  ]);
  return columns([["", "row", "ratio", "target", "ours", "p99", "floor", "unit", "against"], ...cells]);
}

/** One contest as text: each beside the floor. */
export function contestTable({ what, unit, sides }: Contest): string {
  const floor = sides.find(({ role }) => role === "floor")?.summary.median;
  return `${what}\n${columns([
    ["", `median, ${unit}`, "p99", "× floor", "survives"],
    ...sides.map(({ name, summary, survives }) => [
      name,
      number(summary.median),
      number(summary.p99),
      floor === undefined ? "" : number(summary.median / floor),
      survives,
    ]),
  ])}`;
}

export function columns(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
