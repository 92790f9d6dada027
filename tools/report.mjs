import { existsSync, readFileSync } from "node:fs";

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} skipped names of tests that did not run
 * @property {string[]} problems
 */

/**
 * Counts the tests of a vitest report. A report that is missing or empty, and a file that failed beside its tests, are failures.
 * @param {string} name of the project @param {string} file @returns {Counts}
 */
export function countReport(name, file) {
  /** @type {Counts} */
  const counts = { passed: 0, failed: 0, skipped: [], problems: [] };
  /** @type {{ success?: boolean, testResults?: { name: string, status: string, message?: string, assertionResults: { status: string, fullName: string, failureMessages?: string[] }[] }[] }} */
  let report = {};
  try {
    if (!existsSync(file)) throw new Error("there is no report");
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    return { ...counts, failed: 1, problems: [`${name}: its tests left no result (${/** @type {Error} */ (error).message})`] };
  }
  for (const { name: suite, status, message, assertionResults } of report.testResults ?? []) {
    const failedBefore = counts.failed;
    for (const { status: outcome, fullName, failureMessages } of assertionResults) {
      if (outcome === "passed") counts.passed++;
      else if (outcome === "failed") {
        counts.failed++;
        counts.problems.push(`${name}: ${fullName}\n${(failureMessages ?? []).join("\n")}`);
      } else counts.skipped.push(`${name}: ${fullName}`);
    }
    if (status !== "passed" && counts.failed === failedBefore) {
      counts.failed++;
      counts.problems.push(`${name}: ${suite} failed outside of its tests\n${message ?? ""}`);
    } else if (assertionResults.length === 0) {
      counts.failed++;
      counts.problems.push(`${name}: ${suite} holds no test`);
    }
  }
  if (counts.passed + counts.failed + counts.skipped.length === 0) {
    counts.failed++;
    counts.problems.push(`${name}: no test ran`);
  } else if (report.success !== true && counts.failed === 0) {
    counts.failed++;
    counts.problems.push(`${name}: the run failed outside of its tests`);
  }
  return counts;
}

/** The line that ends a verification. @param {number} passed @param {number} failed @param {number} skipped */
export function lastLine(passed, failed, skipped) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
