import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { countReport, lastLine } from "../report.mjs";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aixgo-report-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function count(report: unknown): ReturnType<typeof countReport> {
  const file = join(folder, "x.json");
  writeFileSync(file, typeof report === "string" ? report : JSON.stringify(report));
  return countReport("x", file);
}

const test = (status: string, fullName = status): object => ({ status, fullName, failureMessages: status === "failed" ? ["because"] : [] });

it("counts tests by outcome, and names those that were skipped", () => {
  const counts = count({
    success: false,
    testResults: [
      {
        name: "a",
        status: "failed",
        assertionResults: [test("passed"), test("failed"), test("pending", "on Windows: no fsync"), test("todo")],
      },
    ],
  });
  expect(counts).toEqual({ passed: 1, failed: 1, skipped: ["x: on Windows: no fsync", "x: todo"], problems: ["x: failed\nbecause"] });
});

it.each<[string, unknown, string]>([
  ["a report that is no JSON", "{", "left no result"],
  ["a report without tests", { success: true, testResults: [] }, "no test ran"],
  ["an empty report", {}, "no test ran"],
  [
    "a suite that could not be loaded",
    { success: false, testResults: [{ name: "a.test.ts", status: "failed", message: "cannot import", assertionResults: [] }] },
    "cannot import",
  ],
  [
    "a suite that failed after its tests",
    { success: false, testResults: [{ name: "a", status: "failed", message: "afterAll", assertionResults: [test("passed")] }] },
    "afterAll",
  ],
  [
    "a suite without tests",
    {
      success: true,
      testResults: [
        { name: "a", status: "passed", assertionResults: [] },
        { name: "b", status: "passed", assertionResults: [test("passed")] },
      ],
    },
    "holds no test",
  ],
  [
    "an unhandled error beside passing tests",
    { success: false, testResults: [{ name: "a", status: "passed", assertionResults: [test("passed")] }] },
    "outside of its tests",
  ],
])("%s is one failure", (_, report, problem) => {
  const counts = count(report);
  expect(counts.failed).toBe(1);
  expect(counts.problems.join("\n")).toContain(problem);
});

it("a report that is missing is one failure", () => {
  expect(countReport("x", join(folder, "none.json"))).toMatchObject({ passed: 0, failed: 1 });
});

it("ends with one line", () => {
  expect(lastLine(12, 0, 0)).toBe("12 passed, 0 failed");
  expect(lastLine(12, 1, 2)).toBe("12 passed, 1 failed, 2 skipped");
});
