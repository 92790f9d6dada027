import type { Contest } from "../contenders/contest.ts";
import type { Missing } from "../results.ts";
import { number } from "../table.ts";
import { markdown } from "./markdown.ts";

export function contestTables(contests: readonly Contest[]): readonly string[] {
  return contests.flatMap(({ what, unit, sides }) => {
    const floor = sides.find(({ role }) => role === "floor")?.summary.median;
    const sorted = [...sides].sort((a, b) => a.summary.median - b.summary.median);
    return [
      `### ${what[0]?.toUpperCase() ?? ""}${what.slice(1)}`,
      markdown(
        ["", `median, ${unit}`, "p99", "× floor", "survives"],
        sorted.map(({ name, role, summary, survives }) => [
          role === "ours" ? `**${name}**` : name,
          number(summary.median),
          summary.calls > 1 ? number(summary.p99) : "",
          floor === undefined || role === "floor" ? "" : number(summary.median / floor),
          survives,
        ]),
      ),
    ];
  });
}

/** Who could not be measured, and why; and what must be known of who was. */
export function missingList(missing: readonly Missing[]): readonly string[] {
  if (missing.length === 0) return [];
  return ["### Not measured", missing.map(({ name, reason }) => `- ${name}: ${reason}`).join("\n")];
}
