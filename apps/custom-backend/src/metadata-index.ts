import type { Head } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";
import { digestOf, quoted } from "./text.ts";

/**
 * The values of declared metadata keys. Which keys are declared is written in the database and read in the transaction that
 * writes, so that a process that declares fewer of them still keeps the index whole.
 */
export function declareMetadata(connection: Connection, names: readonly string[]): void {
  const known = new Set(declared(connection));
  for (const name of names.map(quoted).filter((each) => !known.has(each))) {
    connection.run("INSERT INTO indexed_metadata (name) VALUES (?)", name);
    // Once in the life of a store. One row at a time: a session's head may be long.
    for (let id = ""; ;) {
      const row = connection.get("SELECT id, head FROM sessions WHERE id > ? ORDER BY id LIMIT 1", id);
      if (row === undefined) break;
      id = row[0] as string;
      put(connection, id, name, (JSON.parse(row[1] as string) as Head).info.metadata);
    }
  }
}

/** Brings the index of one session up to date; `before` is what it had. The fold passes metadata on that no line has changed. */
export function indexMetadata(connection: Connection, { id, info }: Head, before?: Head): void {
  if (before?.info.metadata === info.metadata) return;
  unindexMetadata(connection, id);
  for (const name of declared(connection)) put(connection, id, name, info.metadata);
}

export function unindexMetadata(connection: Connection, id: string): void {
  connection.run("DELETE FROM metadata_values WHERE id = ?", id);
}

function declared(connection: Connection): readonly string[] {
  return connection.all("SELECT name FROM indexed_metadata").map(([name]) => name as string);
}

function put(connection: Connection, id: string, name: string, metadata: Head["info"]["metadata"]): void {
  const key = JSON.parse(name) as string;
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (value === undefined) return;
  connection.run("INSERT INTO metadata_values (name, digest, id) VALUES (?, ?, ?)", name, digestOf(value), id);
}
