import { AixgoError } from "@aixgo/core";
import type { Connection } from "./connection.ts";
import { ABANDONED_MS } from "./logs.ts";

/** Number of the body that a session's blob has; undefined: it has no such blob. */
export function bodyOf(connection: Connection, id: string, digest: string): number | undefined {
  return connection.get("SELECT body FROM blobs WHERE id = ? AND digest = ?", id, digest)?.[0] as number | undefined;
}

/** Begins the age of a blob anew. False: there is none. */
export function touchBlob(connection: Connection, id: string, digest: string): boolean {
  if (bodyOf(connection, id, digest) === undefined) return false;
  connection.run("UPDATE blobs SET touched_ms = ? WHERE id = ? AND digest = ?", Date.now(), id, digest);
  return true;
}

/** Writes chunk `n` of a body that no blob names yet, a new one if none is given; returns it. */
export function draftChunk(connection: Connection, body: number | undefined, n: number, bytes: Uint8Array): number {
  const at = body ?? newBody(connection);
  connection.run("UPDATE bodies SET draft_ms = ? WHERE body = ? AND draft_ms IS NOT NULL", Date.now(), at);
  if (!isDraft(connection, at))
    throw new AixgoError("BACKEND_UNAVAILABLE", "the unfinished attachment was cleared as abandoned; nothing is left of it, try again");
  connection.run("INSERT INTO chunks (body, n, bytes) VALUES (?, ?, ?)", at, n, bytes);
  return at;
}

/** Gives a drafted body to a session, or lets it go if the session has these bytes already. */
export function nameBody(connection: Connection, id: string, digest: string, body: number | undefined): void {
  if (touchBlob(connection, id, digest)) {
    if (body !== undefined) removeDraft(connection, body);
    return;
  }
  // Nothing was drafted of an attachment without bytes.
  const at = body ?? newBody(connection);
  connection.run("UPDATE bodies SET draft_ms = NULL WHERE body = ?", at);
  connection.run("INSERT INTO blobs (id, digest, body, touched_ms) VALUES (?, ?, ?, ?)", id, digest, at, Date.now());
}

export function removeDraft(connection: Connection, body: number): void {
  if (isDraft(connection, body)) removeBody(connection, body);
}

/** Gives those of another session's blobs that it has to this one. */
export function shareBlobs(connection: Connection, from: string, to: string, digests: ReadonlySet<string>): void {
  for (const digest of digests) {
    const body = bodyOf(connection, from, digest);
    if (body !== undefined)
      connection.run("INSERT OR IGNORE INTO blobs (id, digest, body, touched_ms) VALUES (?, ?, ?, ?)", to, digest, body, Date.now());
  }
}

/** Removes a session's blobs that are not in `keep`, and were not touched since `beforeMs` if that is given. Returns how many. */
export function keepBlobs(
  connection: Connection,
  id: string,
  keep: ReadonlySet<string>,
  beforeMs: number = Number.MAX_SAFE_INTEGER,
): number {
  const found = connection.all("SELECT digest, body FROM blobs WHERE id = ? AND touched_ms <= ?", id, beforeMs);
  const gone = found.filter(([digest]) => !keep.has(digest as string));
  for (const [digest, body] of gone) {
    connection.run("DELETE FROM blobs WHERE id = ? AND digest = ?", id, digest as string);
    if (connection.get("SELECT 1 FROM blobs WHERE body = ? LIMIT 1", body as number) === undefined) removeBody(connection, body as number);
  }
  return gone.length;
}

export function removeBlobs(connection: Connection, id: string): void {
  keepBlobs(connection, id, new Set());
}

/** Clears what processes that died have left. */
export function removeAbandonedBodies(connection: Connection): void {
  for (const [body] of connection.all("SELECT body FROM bodies WHERE draft_ms < ?", Date.now() - ABANDONED_MS))
    removeBody(connection, body as number);
}

function newBody(connection: Connection): number {
  connection.run("INSERT INTO bodies (draft_ms) VALUES (?)", Date.now());
  return connection.get("SELECT last_insert_rowid()")?.[0] as number;
}

function isDraft(connection: Connection, body: number): boolean {
  return connection.get("SELECT 1 FROM bodies WHERE body = ? AND draft_ms IS NOT NULL", body) !== undefined;
}

function removeBody(connection: Connection, body: number): void {
  connection.run("DELETE FROM chunks WHERE body = ?", body);
  connection.run("DELETE FROM bodies WHERE body = ?", body);
}
