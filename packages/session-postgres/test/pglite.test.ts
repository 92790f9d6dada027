import { PGlite } from "@electric-sql/pglite";
import { afterAll, describe, it } from "vitest";
import { testBackend, type Fixture } from "@aixgo/session-testkit";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { poolOf } from "./support/pglite-pool.ts";
import { schemaOf } from "./support/server.ts";

const database = new PGlite();
const pool = poolOf(database);

const pglite: Fixture = {
  name: "PGlite",
  offers: ["watch", "blobs"],
  open: async (store) =>
    createPostgresBackend({
      pool,
      sharedBy: "process",
      durability: "memory",
      schema: schemaOf(store),
      maxLineBytes: 512 * 1024,
      // A little more than the kit streams.
      maxBlobBytes: 21 * 1024 * 1024,
      commandTimeoutMs: 60_000,
    }),
  destroy: async (store) => void (await database.query(`DROP SCHEMA IF EXISTS "${schemaOf(store)}" CASCADE`)),
};

testBackend({ describe, it }, pglite);

afterAll(() => database.close());
