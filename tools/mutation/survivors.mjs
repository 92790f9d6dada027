// What no test noticed, and why nothing is lost by it: tools/mutation/reasons has one file a module.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../workspace.mjs";

/** @typedef {import("./results.mjs").Report} Report */
/** @typedef {{ readonly place: string, readonly line: string, readonly mutant: string }} Survivor `line`: the source's first line of the place; `mutant`: "was → becomes" */
/** @typedef {{ readonly line: string, readonly mutants: readonly string[], readonly why: string }} Reason */

const LONGEST = 100;

/** @param {string} text */
const short = (text) => text.replaceAll(/\s+/g, " ").slice(0, LONGEST);

/** What nobody noticed. @param {Report} report @returns {Survivor[]} */
export function survivorsOf({ files }) {
  return Object.entries(files).flatMap(([file, { source, mutants }]) => {
    const lines = source.split("\n");
    return mutants
      .filter(({ status }) => status === "Survived" || status === "NoCoverage")
      .map(({ location: { start, end }, replacement = "", mutatorName, status }) => {
        const there = lines.slice(start.line - 1, end.line);
        const last = there.length - 1;
        // The end first: where the place is within one line, its start would move it.
        there[last] = (there[last] ?? "").slice(0, end.column - 1);
        there[0] = (there[0] ?? "").slice(start.column - 1);
        return {
          place: `${file}:${start.line}:${start.column} ${mutatorName}${status === "NoCoverage" ? ", not reached" : ""}`,
          line: (lines[start.line - 1] ?? "").trim(),
          mutant: `${short(there.join("\n"))} → ${short(replacement)}`,
        };
      });
  });
}

/** @param {string} name a module of the plan */
export function reasonsFile(name) {
  return join(ROOT, "tools", "mutation", "reasons", `${name.replace("/", ".")}.json`);
}

/** @param {string} name a module of the plan @returns {readonly Reason[]} */
export function readReasons(name) {
  const file = reasonsFile(name);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
}

/**
 * Survivors that have no reason, and reasons that no survivor needs any more.
 * @param {readonly Survivor[]} survivors
 * @param {readonly Reason[]} reasons
 */
export function compare(survivors, reasons) {
  const key = (/** @type {string} */ line, /** @type {string} */ mutant) => `${line}\n${mutant}`;
  const left = reasons.filter(({ why }) => why !== "").flatMap(({ line, mutants }) => mutants.map((mutant) => key(line, mutant)));
  const unexplained = survivors.filter(({ line, mutant }) => {
    const at = left.indexOf(key(line, mutant));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return { unexplained, stale: left.map((each) => each.replace("\n", ": ")) };
}

/** One list a module for docs/mutation.md. @param {readonly string[]} names modules that were run */
export function reasonsPage(names) {
  return names
    .map((name) => ({ name, reasons: readReasons(name) }))
    .filter(({ reasons }) => reasons.length > 0)
    .map(({ name, reasons }) => {
      const rows = reasons.map(({ line, mutants, why }) => `- ${code(line)}: ${mutants.map(code).join(", ")}. ${why}`);
      return `### \`${name}\`\n\n${rows.join("\n")}\n`;
    })
    .join("\n");
}

/** @param {string} text */
function code(text) {
  const fence = text.includes("`") ? "``" : "`";
  return `${fence}${fence === "``" ? ` ${text} ` : text}${fence}`;
}
