import type { SessionBackend } from "@aixgo/session/backend";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { afterAll, beforeAll } from "vitest";
import { newName, serverUrl, sql } from "./server.ts";

/** A backend on a schema of its own, which goes with the test file. */
export function ownSchema(): { readonly connectionString: string; readonly schema: string; readonly backend: SessionBackend } {
  const connectionString = serverUrl();
  const schema = newName("s");
  const backend = createPostgresBackend({ connectionString, schema, indexedMetadata: ["topic"] });
  beforeAll(async () => {
    await backend.list({});
  });
  afterAll(async () => {
    await backend.close();
    await sql(`DROP SCHEMA "${schema}" CASCADE`);
  });
  return { connectionString, schema, backend };
}
