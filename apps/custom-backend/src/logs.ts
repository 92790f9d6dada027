import { AixgoError } from "@aixgo/core";
import type { Connection } from "./connection.ts";
import { insertLines } from "./log-lines.ts";

/** A draft that was not written to for so long was left by a process that died. */
export const ABANDONED_MS: number = 24 * 60 * 60 * 1000;

/** Adds lines to a log that no session names yet, a new one if none is given; returns it. */
export function appendDraft(connection: Connection, id: string, log: number | undefined, lines: readonly Uint8Array[]): number {
  let at = log;
  if (at === undefined) {
    connection.run("INSERT INTO logs (draft_ms) VALUES (?)", Date.now());
    at = connection.get("SELECT last_insert_rowid()")?.[0] as number;
  } else if (isDraft(connection, at)) connection.run("UPDATE logs SET draft_ms = ? WHERE log = ?", Date.now(), at);
  else
    throw new AixgoError(
      "BACKEND_UNAVAILABLE",
      `the unfinished log of session ${id} was cleared as abandoned; nothing is left of it, try again`,
    );
  insertLines(connection, at, lines);
  return at;
}

export function isDraft(connection: Connection, log: number): boolean {
  return connection.get("SELECT 1 FROM logs WHERE log = ? AND draft_ms IS NOT NULL", log) !== undefined;
}

/** From now on a session names this log. */
export function nameLog(connection: Connection, log: number): void {
  connection.run("UPDATE logs SET draft_ms = NULL WHERE log = ?", log);
}

export function removeLog(connection: Connection, log: number): void {
  connection.run("DELETE FROM lines WHERE log = ?", log);
  connection.run("DELETE FROM logs WHERE log = ?", log);
}

/** Clears what processes that died have left. */
export function removeAbandonedLogs(connection: Connection): void {
  for (const [log] of connection.all("SELECT log FROM logs WHERE draft_ms < ?", Date.now() - ABANDONED_MS))
    removeLog(connection, log as number);
}
