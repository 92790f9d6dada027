import type { ExportReport } from "./export-report.ts";
import type { ImportReport } from "./import-report.ts";
import { shown } from "./notes.ts";

/** Where the program writes. */
export interface Screen {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person watches `err`: then progress is shown. */
  readonly isWatched: boolean;
}

const PAUSE_MS = 100;

/** One line that counts up, where a person watches. */
export class Progress {
  readonly #screen: Screen;
  #count = 0;
  #shownAt = 0;
  #isShown = false;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  step(agentName: string): void {
    this.#count += 1;
    const now = performance.now();
    if (!this.#screen.isWatched || now - this.#shownAt < PAUSE_MS) return;
    this.#shownAt = now;
    this.#isShown = true;
    this.#screen.err(`\r\u001b[K${this.#count} sessions, agent ${plain(agentName)}`);
  }

  /** Idempotent. */
  end(): void {
    if (this.#isShown) this.#screen.err("\r\u001b[K");
    this.#isShown = false;
  }
}

export function importText(report: ImportReport, isDryRun: boolean): string {
  const lines: string[] = [];
  for (const session of report.sessions) {
    const { agentName, goId, id, userId, outcome, messages, branches, isLatest, reason, code, notes } = session;
    if (outcome === "present" && notes.length === 0) continue;
    const user = userId === undefined ? "" : `, user ${JSON.stringify(userId)}${isLatest ? " (the one that getOrCreate finds)" : ""}`;
    const size = `${count(messages, "message")}${branches === 0 ? "" : `, ${count(branches, "other branch", "other branches")}`}`;
    lines.push(`${outcome.padEnd(8)} ${plain(agentName)}/${plain(goId)}${id === undefined ? "" : ` as ${id}`}: ${size}${user}`);
    if (reason !== undefined) lines.push(`         why: ${reason}${code === undefined ? "" : ` (${code})`}`);
    for (const note of notes) lines.push(`         note: ${note}`);
  }
  for (const note of report.notes) lines.push(`note: ${note}`);
  if (report.isSourceInUse) lines.push("The Go store changed while it was read: stop the Go process that uses it, and import again.");
  const { imported, updated, present, skipped, repaired } = report;
  lines.push(
    `${isDryRun ? "Would import" : "Imported"} ${imported}, updated ${updated}, already there ${present}, skipped ${skipped}; with notes ${repaired}.`,
  );
  return `${lines.join("\n")}\n`;
}

export function exportText(report: ExportReport): string {
  const lines: string[] = [];
  for (const { agentName, id, goId, outcome, messages, reason, code, notes } of report.sessions) {
    lines.push(`${outcome.padEnd(8)} ${plain(agentName)}/${id} as ${plain(goId)}: ${count(messages, "message")}`);
    if (reason !== undefined) lines.push(`         why: ${reason}${code === undefined ? "" : ` (${code})`}`);
    for (const note of notes) lines.push(`         note: ${note}`);
  }
  lines.push(`Exported ${report.exported}, skipped ${report.skipped}.`);
  return `${lines.join("\n")}\n`;
}

/** Names of a foreign store may hold anything, also what a terminal would obey. */
function plain(text: string): string {
  return /^[\w. -]+$/.test(text) ? text : shown(text);
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
