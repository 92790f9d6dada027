import pg from "pg";
import { describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { cases, runCases, testBackend, type Fixture } from "@aixgo/session-testkit";
import { postgres } from "./support/postgres-fixture.ts";
import { schemaOf, serverUrl, sql } from "./support/server.ts";

const { notApplicable } = testBackend({ describe, it }, postgres);

it("every case of the kit applies, but those of expiry, and those that kill the server (kit-failover)", () => {
  expect(notApplicable.filter(({ id }) => !/^(?:failover|ttl)\//.test(id))).toEqual([]);
});

/** One connection for all nodes, and declared metadata: nothing may hold the connection while it waits for something else. */
it("through a given pool of one connection no case that needs several statements waits for ever", async () => {
  const pool = new pg.Pool({ connectionString: serverUrl(), max: 1 });
  const narrow: Fixture = {
    name: "a pool of one connection",
    offers: ["watch", "blobs"],
    open: async (store) =>
      createPostgresBackend({
        pool,
        schema: schemaOf(store),
        indexedMetadata: ["topic", "colour"],
        maxLineBytes: 1024 * 1024,
        maxBlobBytes: 21 * 1024 * 1024,
      }),
    destroy: async (store) => void (await sql(`DROP SCHEMA IF EXISTS "${schemaOf(store)}" CASCADE`)),
  };
  const only = cases
    .map(({ id }) => id)
    .filter(
      (id) =>
        // Only the number of them is large, not that of their statements at once.
        !["list/many", "blobs/limit"].includes(id) &&
        !id.startsWith("processes/") &&
        /^(create|rewrite|keys|list|blobs|watch)\/|race|rebased|one-winner|coherent|meanwhile|lease\/one/.test(id),
    );
  expect(only.length).toBeGreaterThan(50);
  try {
    const results = await runCases(narrow, { only });
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
    expect(results.length).toBe(only.length);
  } finally {
    await pool.end();
  }
}, 300_000);
