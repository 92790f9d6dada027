import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../workspace.mjs";

const RESULTS = join(ROOT, "tools", "mutation", "results.json");
const PAGE = join(ROOT, "docs", "mutation.md");
const BEGIN = "<!-- Made from tools/mutation/results.json by npm run test:mutation. Changes made here are lost. -->\n";
const END = "<!-- End of the table. -->\n";

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

/** What nobody noticed, one line each: place, what stands there, what it was made. @param {Report} report @returns {string[]} */
export function survivorsOf({ files }) {
  const short = (/** @type {string} */ text) => text.replaceAll(/\s+/g, " ").slice(0, 100);
  return Object.entries(files).flatMap(([file, { source, mutants }]) => {
    const lines = source.split("\n");
    return mutants
      .filter(({ status }) => status === "Survived" || status === "NoCoverage")
      .map(({ location: { start, end }, replacement = "", mutatorName, status }) => {
        const place = lines
          .slice(start.line - 1, end.line)
          .join("\n")
          .slice(start.column - 1);
        const was = start.line === end.line ? place.slice(0, end.column - start.column) : place;
        return `${file}:${start.line}:${start.column} ${mutatorName}${status === "NoCoverage" ? ", not reached" : ""}: ${short(was)} → ${short(replacement)}`;
      });
  });
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

/** The table of docs/mutation.md. @param {Readonly<Record<string, Count>>} results */
export function tableOf(results) {
  const rows = Object.entries(results).map(
    ([name, { noticed, mutants, notReached, endless, date }]) =>
      `| \`${name}\` | ${mutants} | ${noticed} | ${score(noticed, mutants)} | ${notReached} | ${endless} | ${date} |`,
  );
  return `${BEGIN}\n${["| module | mutants | noticed | score | not reached | noticed by time alone | run on |", "|---|---|---|---|---|---|---|", ...rows].join("\n")}\n\n${END}`;
}

/** The page with this table in it. @param {string} page @param {string} table */
export function withTable(page, table) {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error("docs/mutation.md has no place for its table");
  return page.slice(0, begin) + table + page.slice(end + END.length);
}

/** Remembers what a run found, and shows it. @param {string} name @param {Count} count */
export function keep(name, count) {
  const results = { ...readResults(), [name]: count };
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(PAGE, withTable(readFileSync(PAGE, "utf8"), tableOf(results)));
}
