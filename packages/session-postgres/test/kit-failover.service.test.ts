import { startPostgres, type Postgres } from "@aixgo/repository-tools/services/postgres";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { cases, runCases } from "@aixgo/session-testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { schemaOf } from "./support/server.ts";

// A server of its own: it is killed beneath those who use it.
let server: Postgres;
beforeAll(async () => {
  server = await startPostgres();
}, 120_000);
afterAll(() => server.stop());

const only = cases.map(({ id }) => id).filter((id) => id.startsWith("failover/"));

it("passes the kit's cases in which all processes of the server are killed beneath an open backend", async () => {
  const results = await runCases(
    {
      name: "PostgreSQL, killed now and then",
      offers: ["watch", "blobs"],
      open: async (store) => createPostgresBackend({ connectionString: server.url, schema: schemaOf(store), maxConnections: 4 }),
      async failover() {
        await server.kill();
        await server.start();
      },
    },
    { only },
  );
  expect(results.filter(({ passed }) => !passed).map(({ id, error }) => `${id}: ${String(error)}`)).toEqual([]);
  expect(results.map(({ id }) => id)).toEqual(only);
}, 240_000);
