import { createPostgresBackend } from "@aixgo/session-postgres";
import type { Fixture } from "@aixgo/session-testkit";
import { findBytes, schemaOf, serverUrl, sql } from "./server.ts";

export const postgres: Fixture = {
  name: "PostgreSQL",
  offers: ["watch", "blobs"],
  module: import.meta.url,
  execArgv: ["--conditions=@aixgo/source", "--import", import.meta.resolve("tsx")],
  open: async (store) =>
    createPostgresBackend({ connectionString: serverUrl(), schema: schemaOf(store), maxConnections: 4, maxBlobBytes: 21 * 1024 * 1024 }),
  sessions: process.env["AIXGO_LONG"] === "1" ? 10_000 : 1_000,
  remains: (store, bytes) => findBytes(schemaOf(store), bytes),
  destroy: async (store) => void (await sql(`DROP SCHEMA IF EXISTS "${schemaOf(store)}" CASCADE`)),
};
