import { createPostgresBackend } from "@aixgo/session-postgres";
import type { Fixture } from "@aixgo/session-testkit";
import { schemaOf, serverUrl, sql } from "./server.ts";

export const postgres: Fixture = {
  name: "PostgreSQL",
  module: import.meta.url,
  execArgv: ["--conditions=@aixgo/source", "--import", import.meta.resolve("tsx")],
  open: async (store) => createPostgresBackend({ connectionString: serverUrl(), schema: schemaOf(store), maxConnections: 4 }),
  destroy: async (store) => void (await sql(`DROP SCHEMA IF EXISTS "${schemaOf(store)}" CASCADE`)),
};
