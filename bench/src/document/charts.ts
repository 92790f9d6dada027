import type { TopLevelSpec } from "vega-lite";
import type { Contest, ContestSide } from "../contenders/contest.ts";
import type { Curve, Row } from "../finding.ts";

const LOOK = {
  background: "white",
  config: { aria: false, font: "sans-serif", view: { stroke: null }, axis: { grid: true, gridColor: "#e5e5e5" } },
} as const;
const OURS = "#0b6e4f";
const FLOOR = "#9a9a9a";
const PEER = "#c2571a";
/** Several of one kind in one chart. */
const SHADES = {
  ours: [OURS, "#58b08c"],
  floor: [FLOOR],
  peer: [PEER, "#2f6db5", "#8a4fa3", "#b8860b", "#d6336c", "#4a5568"],
} as const;
const POWERS = [1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8];

/** How much of what its target allows each row costs: above 1 is missed. */
export function marginChart(rows: readonly Row[]): TopLevelSpec {
  const values = rows.flatMap(({ id, ratio, target, better, met }) =>
    target === undefined
      ? []
      : [{ id, share: better === "less" ? ratio / target : target / ratio, state: met === true ? "met" : "missed" }],
  );
  return {
    ...LOOK,
    width: 520,
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 8 },
        encoding: {
          y: { field: "id", type: "nominal", sort: null, axis: { title: null, labelLimit: 260, grid: false } },
          x: { field: "share", type: "quantitative", axis: { title: "cost, as a share of what the target allows" } },
          color: {
            field: "state",
            type: "nominal",
            scale: { domain: ["met", "missed"], range: [OURS, PEER] },
            legend: { title: null, orient: "top" },
          },
        },
      },
      { mark: { type: "rule", color: "#333" }, encoding: { x: { datum: 1 } } },
    ],
  };
}

/** What grows with a session or a store: flat lines are wanted. */
export function growthChart(curves: readonly Curve[]): TopLevelSpec {
  const values = curves.flatMap(({ what, over, points }) => points.map(({ size, ours }) => ({ what, over, size, median: ours.median })));
  return {
    ...LOOK,
    data: { values },
    facet: { column: { field: "over", type: "nominal", header: { title: null } } },
    spec: {
      width: 320,
      height: 220,
      mark: { type: "line", point: true },
      encoding: {
        x: { field: "size", type: "quantitative", scale: { type: "log" }, axis: { title: null, values: POWERS, format: "~s" } },
        y: { field: "median", type: "quantitative", scale: { zero: true }, axis: { title: "µs, median" } },
        color: { field: "what", type: "nominal", legend: { title: null, orient: "bottom", labelLimit: 300 } },
      },
    },
  };
}

/** Appends at several sizes: one chart for each promise about what survives. */
export function appendCurves(contests: readonly Contest[]): TopLevelSpec {
  const titles: Readonly<Record<string, string>> = {
    "append-not-synced": "not synced",
    "append-synced": "synced",
    "append-postgres": "PostgreSQL",
  };
  const parts = Object.entries(titles).map(([series, title]) => ({
    title,
    width: 240,
    height: 220,
    data: {
      values: contests
        .filter((contest) => contest.series === series)
        .flatMap(({ size, sides }) => sides.map(({ name, role, summary }) => ({ name, role, size, median: summary.median }))),
    },
    mark: { type: "line" as const, point: true },
    encoding: {
      x: {
        field: "size",
        type: "quantitative" as const,
        scale: { type: "log" as const },
        axis: { title: "messages in the conversation", values: [10, 100, 1000] },
      },
      y: {
        field: "median",
        type: "quantitative" as const,
        scale: { type: "log" as const },
        axis: { title: "µs, median", values: POWERS, format: "~s" },
      },
      color: {
        field: "name",
        type: "nominal" as const,
        scale: colors(contests.find((contest) => contest.series === series)?.sides ?? []),
        legend: { title: null, orient: "bottom" as const, columns: 1, labelLimit: 300 },
      },
      strokeDash: {
        field: "role",
        type: "nominal" as const,
        scale: {
          domain: ["ours", "floor", "peer"],
          range: [
            [1, 0],
            [6, 4],
            [2, 2],
          ],
        },
        legend: null,
      },
    },
  }));
  return { ...LOOK, hconcat: parts, resolve: { scale: { color: "independent" } } };
}

/** The other operations. */
export function readBars(contests: readonly Contest[]): TopLevelSpec {
  const parts = contests
    .filter(({ id, series }) => series === undefined || id.startsWith("checkpoint-"))
    .map(({ what, unit, sides }) => ({
      title: { text: what, anchor: "start" as const, fontSize: 11 },
      width: 420,
      height: { step: 14 },
      data: { values: sides.map(({ name, role, summary }) => ({ name, role, value: summary.median })) },
      mark: { type: "bar" as const },
      encoding: {
        y: { field: "name", type: "nominal" as const, sort: "x" as const, axis: { title: null, labelLimit: 300, grid: false } },
        x: {
          field: "value",
          type: "quantitative" as const,
          scale: { type: "log" as const },
          axis: { title: unit, values: POWERS, format: "~s" },
        },
        x2: { datum: 1 },
        color: {
          field: "role",
          type: "nominal" as const,
          scale: { domain: ["ours", "floor", "peer"], range: [OURS, FLOOR, PEER] },
          legend: null,
        },
      },
    }));
  return { ...LOOK, vconcat: parts };
}

function colors(sides: readonly ContestSide[]): { domain: string[]; range: string[] } {
  const used = { ours: 0, floor: 0, peer: 0 };
  return {
    domain: sides.map(({ name }) => name),
    range: sides.map(({ role }) => SHADES[role][(used[role] += 1) - 1] ?? "black"),
  };
}
