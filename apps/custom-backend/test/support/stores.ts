import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionBackend } from "@aixgo/session/backend";
import { createLog, type LogBuilder, type LogOptions, message } from "@aixgo/session-testkit";
import Database from "libsql";
import { afterEach } from "vitest";
import { createSqliteBackend, type SqliteBackendOptions } from "../../src/index.ts";

const folders: string[] = [];
const backends: SessionBackend[] = [];

afterEach(async () => {
  for (const backend of backends.splice(0)) await backend.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** The path of a database that is not there yet; removed after the test. */
export function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-sqlite-"));
  folders.push(folder);
  return join(folder, "store", "sessions.db");
}

/** Closed after the test. */
export function open(file: string, options: Omit<SqliteBackendOptions, "file"> = {}): SessionBackend {
  const backend = createSqliteBackend({ file, ...options });
  backends.push(backend);
  return backend;
}

/** A new session, and the builder of its log. */
export async function start(backend: SessionBackend, options: LogOptions = {}): Promise<LogBuilder> {
  const log = createLog(options);
  await backend.create(creating(log));
  return log;
}

export function creating(log: LogBuilder): Parameters<SessionBackend["create"]>[0] {
  return {
    ref: log.ref,
    info: log.info,
    async *lines() {
      yield* log.lines;
    },
  };
}

/** The code of the error that a call fails with. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
  return "none";
}

/** One number out of a database, read past the backend. */
export function count(file: string, sql: string): number {
  const database = new Database(file);
  try {
    return (database.prepare(sql).raw().all([])[0] as [number])[0];
  } finally {
    database.close();
  }
}

export async function append(
  backend: SessionBackend,
  log: ReturnType<typeof createLog>,
  text: string,
): ReturnType<SessionBackend["append"]> {
  const expect = log.position;
  return backend.append(log.ref, { expect, lines: log.add(message(text)) });
}
