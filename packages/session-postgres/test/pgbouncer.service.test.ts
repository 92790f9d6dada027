import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { cases, runCases, type Fixture } from "@aixgo/session-testkit";
import { startPgBouncer, type PgBouncer } from "@aixgo/repository-tools/services/pgbouncer";
import { appendUntil, countOps } from "./support/appender.ts";
import { startSession } from "./support/sessions.ts";
import { newName, schemaOf, serverUrl, sql } from "./support/server.ts";

let pooler: PgBouncer;
const { port, username, password } = new URL(serverUrl());
beforeAll(async () => {
  pooler = await startPgBouncer({ port: Number(port), users: { [username]: password }, poolSize: 3 });
}, 600_000);
afterAll(() => pooler.stop());

it("behind PgBouncer in transaction mode the contract holds: each transaction may meet another connection", async () => {
  const connectionString = pooler.urlOf("postgres", username, password);
  const fixture: Fixture = {
    name: "PgBouncer",
    offers: ["watch", "blobs"],
    open: async (store) => createPostgresBackend({ connectionString, schema: schemaOf(store), maxConnections: 6 }),
    destroy: async (store) => void (await sql(`DROP SCHEMA IF EXISTS "${schemaOf(store)}" CASCADE`)),
  };
  const only = [
    ...cases.map(({ id }) => id).filter((id) => /^(watch|blobs|feed)\//.test(id) && id !== "blobs/limit"),
    "append/one-winner",
    "append/rebased",
    "append/conflict-brings-lines",
    "append/line-limit",
    "lease/one-takes-over",
    "lease/taken-over-is-fenced",
    "keys/race",
    "keys/take-race",
    "create/same-id-race",
    "create/appears-whole",
    "delete/race-with-appends",
    "rewrite/meanwhile",
    "read/pages",
    "list/pages",
    "list/metadata",
    "find/any-text",
  ];
  const results = await runCases(fixture, { only });
  expect(results.length).toBe(only.length);
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
}, 120_000);

it("40 sessions at once share 3 connections of the server", async () => {
  const backend = createPostgresBackend({
    connectionString: pooler.urlOf("postgres", username, password),
    schema: newName("s"),
    maxConnections: 20,
  });
  const logs = await Promise.all(Array.from({ length: 40 }, () => startSession(backend)));
  const acked = logs.map((): string[] => []);
  let over = false;
  const done = Promise.all(logs.map((log, i) => appendUntil(backend, log.ref.id, `s${i}`, acked[i] as string[], () => over)));
  const end = performance.now() + 30_000;
  while (acked.some((ops) => ops.length < 3) && performance.now() < end) await Promise.race([done, pause(5)]);
  over = true;
  await done;
  expect(Math.min(...acked.map((ops) => ops.length))).toBeGreaterThanOrEqual(3);
  for (const [i, log] of logs.entries()) expect([...(await countOps(backend, log.ref.id)).keys()]).toEqual(acked[i]);
  await backend.close();
}, 60_000);
