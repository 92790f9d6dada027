import type { Curve, Grouped, Row } from "../finding.ts";
import { gapOf } from "./gaps.ts";
import { number } from "../table.ts";
import { markdown } from "./markdown.ts";

const TITLES: Readonly<Record<string, string>> = {
  promise: "The latencies of the Go release",
  append: "Appends, files",
  create: "Creating sessions, files",
  read: "Reading, files",
  branch: "Checkpoint and restore, files",
  catalog: "Lists, ids, space",
  runtime: "The runtime",
  turns: "Turns, files",
  processes: "Eight processes, files",
  redis: "Redis",
  postgres: "PostgreSQL",
  memory: "Memory",
};

/** A table for each group, the missed rows marked. */
export function groupTables(rows: readonly Grouped<Row>[]): readonly string[] {
  const groups = new Map<string, Grouped<Row>[]>();
  for (const row of rows) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  return [...groups].flatMap(([group, found]) => [
    `### ${TITLES[group] ?? group}`,
    markdown(
      ["", "ours", "p99", "floor", "ratio", "target", ""],
      found.map(({ what, against, unit, ours, floor, ratio, target, better, met }) => [
        `${what}<br>*${against}*`,
        `${number(ours.median)} ${unit}`,
        number(ours.p99),
        number(floor.median),
        number(ratio),
        target === undefined ? "" : `${better === "less" ? "≤" : "≥"} ${target}`,
        met === undefined ? "" : met ? "met" : "**missed**",
      ]),
    ),
  ]);
}

/** What is known of the rows that miss their target; rows with the same reason together. */
export function gapList(missed: readonly Grouped<Row>[]): readonly string[] {
  const rows = new Map<string, string[]>();
  for (const { id } of missed) {
    const reason = gapOf(id) ?? "not explained yet.";
    rows.set(reason, [...(rows.get(reason) ?? []), `\`${id}\``]);
  }
  return rows.size === 0 ? [] : [[...rows].map(([reason, ids]) => `- ${ids.join(", ")}: ${reason}`).join("\n")];
}

export function curveTable({ what, over, unit, points }: Curve): string {
  return markdown(
    [`${what}: ${over}`, ...points.map(({ size }) => size.toLocaleString("en-US"))],
    [
      [`median, ${unit}`, ...points.map(({ ours }) => number(ours.median))],
      [`p99, ${unit}`, ...points.map(({ ours }) => number(ours.p99))],
    ],
  );
}
