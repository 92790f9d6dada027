import type { Ref } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";

/** How long a deleted id stays refused, and a late write learns that its session was deleted. */
const TOMBSTONE_MS = 30 * 24 * 60 * 60 * 1000;

export function isDeleted(connection: Connection, id: string, nowMs: number): boolean {
  return connection.get("SELECT 1 FROM tombstones WHERE id = ? AND deleted_ms > ?", id, nowMs - TOMBSTONE_MS) !== undefined;
}

/** Whether it was this life of the session that was deleted. */
export function isBuried(connection: Connection, { id, incarnation }: Ref): boolean {
  return connection.get("SELECT incarnation FROM tombstones WHERE id = ?", id)?.[0] === incarnation;
}

/** Leaves the tombstone, and clears those that have stood long enough. */
export function bury(connection: Connection, { id, incarnation }: Ref, nowMs: number): void {
  connection.run("DELETE FROM tombstones WHERE deleted_ms <= ?", nowMs - TOMBSTONE_MS);
  connection.run("INSERT OR REPLACE INTO tombstones (id, incarnation, deleted_ms) VALUES (?, ?, ?)", id, incarnation, nowMs);
}
