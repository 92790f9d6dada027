import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the rows of the last run lie. */
export const RESULTS: string = fileURLToPath(new URL("../../../.artifacts/faults", import.meta.url));

/** What one row of the table says. */
export interface RowResult {
  /** Of the figures to reach: R1, R2, … */
  readonly row: string;
  /** What it was done to: "files", "ext4". */
  readonly subject: string;
  readonly fault: string;
  /** What `n` counts: "kills". */
  readonly unit: string;
  readonly n: number;
  /** What went wrong, one sentence each. */
  readonly failures: readonly string[];
  readonly note?: string;
  readonly seed: number;
}

/** A row as it is kept and shown. */
export interface KeptRow extends Omit<RowResult, "failures"> {
  readonly failures: number;
  /** The share of failures is below this with 95 % confidence. */
  readonly upperLimit: number;
  readonly seconds: number;
  readonly size: "ci" | "long";
}

/** At 95 %, one-sided: 3/n for no failure, the Wilson bound otherwise. */
export function upperLimit(n: number, failures: number): number {
  if (n === 0) return 1;
  if (failures === 0) return Math.min(1, 3 / n);
  const z = 1.645;
  const p = Math.min(1, failures / n);
  return Math.min(1, (p + z ** 2 / (2 * n) + z * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n * n))) / (1 + z ** 2 / n));
}

export function keep(result: RowResult, seconds: number, size: "ci" | "long"): KeptRow {
  const { row: name, subject, fault, unit, n, failures, note, seed } = result;
  const row: KeptRow = {
    row: name,
    subject,
    fault,
    unit,
    n,
    ...(note === undefined ? {} : { note }),
    seed,
    failures: failures.length,
    upperLimit: upperLimit(result.n, failures.length),
    seconds: Math.round(seconds * 10) / 10,
    size,
  };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${row.row}-${row.subject.replaceAll(/[^A-Za-z0-9]+/g, "-")}.json`), `${JSON.stringify(row)}\n`);
  return row;
}

/** The rows of the last run, in order. */
export function keptRows(): KeptRow[] {
  if (!existsSync(RESULTS)) return [];
  const order = (row: KeptRow): number => Number(row.row.slice(1));
  return readdirSync(RESULTS)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(RESULTS, name), "utf8")) as KeptRow)
    .sort((a, b) => order(a) - order(b) || (a.subject < b.subject ? -1 : 1));
}

export function shownTable(rows: readonly KeptRow[]): string {
  const head = ["row", "on", "fault", "n", "failures", "limit", "s", "note"];
  const cells = rows.map((row) => [
    row.row,
    row.subject,
    row.fault,
    `${row.n.toLocaleString("en")} ${row.unit}`,
    String(row.failures),
    row.upperLimit.toPrecision(2),
    String(row.seconds),
    row.note ?? "",
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((line) => (line[column] as string).length)));
  return [head, ...cells]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
