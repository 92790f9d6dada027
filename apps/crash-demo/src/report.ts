import { writeSync } from "node:fs";

/** What the worker tells its parent, one JSON line each. */
export type Report =
  | { readonly type: "ready" }
  | { readonly type: "point"; readonly name: string }
  | { readonly type: "attempt"; readonly attempt: number }
  | { readonly type: "delta"; readonly text: string }
  /** Durable: from now on it must be in the log exactly once. */
  | { readonly type: "stored"; readonly id: string; readonly role: string; readonly lines: readonly string[] }
  | { readonly type: "answered"; readonly text: string; readonly replayed: boolean }
  | { readonly type: "failed"; readonly message: string };

/** The descriptor that the parent reads. */
export const REPORT_FD = 3;

/** Synchronous: what was reported has left the process before it can die. */
export function sendReport(report: Report): void {
  const bytes = Buffer.from(`${JSON.stringify(report)}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(REPORT_FD, bytes, at);
}
