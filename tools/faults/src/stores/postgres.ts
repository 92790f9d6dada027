import type { SessionBackend } from "@aixgo/session/backend";
import { createPostgresBackend } from "@aixgo/session-postgres";

/** `store` is the address of a server and, behind a `#`, a schema. */
export function openStore(store: string): SessionBackend {
  const [connectionString, schema] = store.split("#") as [string, string];
  return createPostgresBackend({ connectionString, schema, maxConnections: 2 });
}
