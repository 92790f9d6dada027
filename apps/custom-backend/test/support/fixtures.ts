import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import Database from "libsql";
import type { Fixture } from "@aixgo/session-testkit";
import { createSqliteBackend, type SqliteBackendOptions } from "../../src/index.ts";

/** Arguments of Node for children that run TypeScript, wherever they are started. */
export const TYPESCRIPT: readonly string[] = [
  "--import",
  pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href,
  "--conditions=@aixgo/source",
];

/** A store is a folder of its own, so that the kit's child processes find its database by its name. */
function fixture(name: string, folder: string, options: Omit<SqliteBackendOptions, "file">): Fixture {
  const pathOf = (store: string): string => join(tmpdir(), folder, store);
  return {
    name,
    module: import.meta.url,
    execArgv: TYPESCRIPT,
    offers: ["blobs"],
    sessions: process.env["AIXGO_LONG"] === "1" ? 10_000 : 1_000,
    async open(store) {
      return createSqliteBackend({ ...options, file: join(pathOf(store), "sessions.db") });
    },
    async remains(store, bytes) {
      const database = new Database(join(pathOf(store), "sessions.db"), { readonly: true });
      try {
        const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").raw().all() as [string][];
        return tables.some(([table]) =>
          (database.prepare(`SELECT * FROM "${table}"`).raw().all() as unknown[][]).flat().some((value) => {
            if (typeof value === "string") return Buffer.from(value).includes(Buffer.from(bytes));
            return value instanceof Uint8Array && Buffer.from(value).includes(Buffer.from(bytes));
          }),
        );
      } finally {
        database.close();
      }
    },
    async destroy(store) {
      rmSync(pathOf(store), { recursive: true, force: true });
    },
  };
}

export const disk: Fixture = fixture("SQLite, disk", "aixgo-kit-sqlite-disk", { busyTimeoutMs: 30_000 });
export const os: Fixture = fixture("SQLite, os, declared metadata", "aixgo-kit-sqlite-os", {
  durability: "os",
  busyTimeoutMs: 30_000,
  indexedMetadata: ["topic", "colour"],
  maxLineBytes: 2 * 1024 * 1024,
});
