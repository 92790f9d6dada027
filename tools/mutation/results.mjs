import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../workspace.mjs";
import { reasonsPage } from "./survivors.mjs";

const RESULTS = join(ROOT, "tools", "mutation", "results.json");
const PAGE = join(ROOT, "docs", "mutation.md");
const BEGIN = "<!-- Made from tools/mutation/results.json by npm run test:mutation. Changes made here are lost. -->\n";
const END = "<!-- End of the table. -->\n";
const BEGIN_REASONS = "<!-- Made from tools/mutation/reasons by npm run test:mutation. Changes made here are lost. -->\n";
const END_REASONS = "<!-- End of the reasons. -->\n";

/** @typedef {{ readonly line: number, readonly column: number }} Place */
/** @typedef {{ readonly mutatorName: string, readonly replacement?: string, readonly status: string, readonly location: { readonly start: Place, readonly end: Place } }} Mutant */
/** @typedef {{ readonly files: Readonly<Record<string, { readonly source: string, readonly mutants: readonly Mutant[] }>> }} Report */
/** @typedef {{ readonly noticed: number, readonly mutants: number, readonly notReached: number, readonly endless: number, readonly date: string }} Count */

/** @param {string} path @returns {Report} */
export function readReport(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** @param {Report} report @returns {Count} */
export function countOf({ files }) {
  const all = Object.values(files).flatMap(({ mutants }) => mutants);
  const of = (/** @type {string[]} */ ...statuses) => all.filter(({ status }) => statuses.includes(status)).length;
  return {
    noticed: of("Killed", "Timeout"),
    mutants: of("Killed", "Timeout", "Survived", "NoCoverage"),
    notReached: of("NoCoverage"),
    endless: of("Timeout"),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** @param {string} name @param {Count} count */
export function shown(name, { noticed, mutants }) {
  return `${name}: ${noticed} of ${mutants} noticed (${score(noticed, mutants)})`;
}

/** @param {number} noticed @param {number} mutants */
function score(noticed, mutants) {
  return `${((100 * noticed) / Math.max(1, mutants)).toFixed(1)} %`;
}

/** @returns {Record<string, Count>} */
export function readResults() {
  return JSON.parse(readFileSync(RESULTS, "utf8"));
}

/** @param {Readonly<Record<string, Count>>} results */
function tableOf(results) {
  const rows = Object.entries(results).map(
    ([name, { noticed, mutants, notReached, endless, date }]) =>
      `| \`${name}\` | ${mutants} | ${noticed} | ${score(noticed, mutants)} | ${notReached} | ${endless} | ${date} |`,
  );
  return `${BEGIN}\n${["| module | mutants | noticed | score | not reached | noticed by time alone | run on |", "|---|---|---|---|---|---|---|", ...rows].join("\n")}\n\n${END}`;
}

/** The page with these results in it, and the reasons as they stand. @param {string} page @param {Readonly<Record<string, Count>>} results */
export function withResults(page, results) {
  const reasons = `${BEGIN_REASONS}\n${reasonsPage(Object.keys(results))}\n${END_REASONS}`;
  return replaced(replaced(page, BEGIN, END, tableOf(results)), BEGIN_REASONS, END_REASONS, reasons);
}

/** @param {string} page @param {string} first @param {string} last @param {string} text with both of them */
function replaced(page, first, last, text) {
  const begin = page.indexOf(first);
  const end = page.indexOf(last);
  if (begin < 0 || end < begin) throw new Error(`docs/mutation.md has no place between ${first.trim()} and ${last.trim()}`);
  return page.slice(0, begin) + text + page.slice(end + last.length);
}

/** Remembers what a run found. @param {string} name @param {Count} count */
export function keep(name, count) {
  writeFileSync(RESULTS, `${JSON.stringify({ ...readResults(), [name]: count }, null, 2)}\n`);
  show();
}

/** Writes what is known to the page. */
export function show() {
  writeFileSync(PAGE, withResults(readFileSync(PAGE, "utf8"), readResults()));
}
