import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { documentOf } from "../src/document/document.ts";
import { gapOf } from "../src/document/gaps.ts";
import { promise, row } from "../src/finding.ts";
import { counted } from "../src/measure.ts";
import { readResults, type Results, type Run } from "../src/results.ts";

const DOCS = new URL("../../docs/", import.meta.url);
const run: Run = { date: "2026-01-02", node: "v20.0.0", system: "Linux 6", processors: "2 × x", memoryGiB: 8 };
const side = { survives: "a kill" as const, summary: counted(30) };
const made: Results = {
  floors: {
    run,
    findings: [
      {
        ...row({ id: "good", what: "a good one", against: "a floor", ours: counted(12), floor: counted(10), target: 1.3 }),
        group: "append",
      },
      { ...promise("bad", "a slow one", counted(2000), 1000), group: "append" },
      { ...row({ id: "free", what: "one without a target", against: "a floor", ours: counted(50), floor: counted(10) }), group: "redis" },
      {
        kind: "curve",
        group: "growth",
        id: "c",
        what: "append, os",
        unit: "µs",
        over: "messages",
        points: [10, 1000].map((size) => ({ size, ours: counted(size) })),
      },
    ],
  },
  peers: {
    run,
    contests: [
      {
        id: "append-not-synced-10",
        what: "append one",
        unit: "µs",
        size: 10,
        series: "append-not-synced",
        sides: [
          { ...side, name: "ours", role: "ours" },
          { ...side, name: "another", role: "peer", summary: counted(20) },
          { ...side, name: "floor", role: "floor", summary: counted(10) },
        ],
      },
    ],
    missing: [{ name: "Another Store", reason: "it needs a download" }],
  },
};

describe("docs/benchmarks.md and its charts", () => {
  it("are what bench/results.json says", async () => {
    const files = await documentOf(readResults());
    const there = new Map([...files.keys()].map((name) => [name, readFileSync(new URL(name, DOCS), "utf8")]));
    expect(there, "out of date: npm run bench:docs").toEqual(files);
    expect(
      readdirSync(new URL("benchmarks/", DOCS))
        .map((name) => `benchmarks/${name}`)
        .sort(),
    ).toEqual([...files.keys()].filter((name) => name.endsWith(".svg")).sort());
  });

  it("hold both commands' last full run", () => {
    const { floors, peers } = readResults();
    expect(floors?.findings.length).toBeGreaterThan(50);
    const missed = (floors?.findings ?? []).filter((each) => each.kind === "row" && each.met === false);
    expect(missed.filter(({ id }) => gapOf(id) === undefined)).toEqual([]);
    expect(peers?.contests.length).toBeGreaterThan(15);
  });
});

describe("the document", () => {
  it("names what missed its target, in its text and in its row", async () => {
    const text = (await documentOf(made)).get("benchmarks.md") ?? "";
    expect(text).toContain("1 of 2 targets are met; missed are `bad`.");
    expect(text).toMatch(/a slow one.*2000 µs \| 2000 \| 1000 \| 2\.00 \| ≤ 1 \| \*\*missed\*\*/);
    expect(text).toMatch(/a good one.*1\.20 \| ≤ 1\.3 \| met/);
    expect(text).toContain("- `bad`: not explained yet.");
    expect(text).toMatch(/one without a target.*5\.00 \| {2}\| {2}\|/);
  });

  it("shows the quickest first, also where that is not ours", async () => {
    const text = (await documentOf(made)).get("benchmarks.md") ?? "";
    const lines = text
      .slice(text.indexOf("### Append one"))
      .split("\n")
      .filter((line) => line.startsWith("| "));
    expect(lines.slice(2, 5)).toEqual([
      "| floor | 10.0 |  |  | a kill |",
      "| another | 20.0 |  | 2.00 | a kill |",
      "| **ours** | 30.0 |  | 3.00 | a kill |",
    ]);
  });

  it("names who could not be measured, and why", async () => {
    expect((await documentOf(made)).get("benchmarks.md")).toContain("- Another Store: it needs a download");
  });

  it("is the same each time, and shows each chart that it has", async () => {
    const [first, second] = [await documentOf(made), await documentOf(made)];
    expect(second).toEqual(first);
    const text = first.get("benchmarks.md") ?? "";
    for (const name of first.keys()) if (name.endsWith(".svg")) expect(text).toContain(`](${name})`);
    expect([...first].filter(([name]) => name.endsWith(".svg")).every(([, svg]) => svg.startsWith("<svg") && svg.length > 500)).toBe(true);
  });
});
