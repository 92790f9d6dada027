import { setImmediate as turn } from "node:timers/promises";
import pg from "pg";
import { describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { createLog, message, verifyLog } from "@aixgo/session-testkit";
import { append, codeOf, errorOf, startSession } from "./support/sessions.ts";
import { newName, sql } from "./support/server.ts";
import { ownSchema } from "./support/own-schema.ts";

const { connectionString, schema, backend } = ownSchema();

describe("connections", () => {
  it("50 sessions at once work through a pool of one connection, also a fork that reads from the pool it is written to", async () => {
    const pool = new pg.Pool({ connectionString, max: 1 });
    const narrow = createPostgresBackend({ pool, schema });
    const logs = await Promise.all(Array.from({ length: 50 }, () => startSession(narrow)));
    await Promise.all(
      logs.map(async (log, i) => {
        for (let round = 0; round < 4; round++) await append(narrow, log, message(`session ${i} round ${round}`));
      }),
    );
    const source = logs[0] as (typeof logs)[0];
    for (let i = 0; i < 5; i++) await append(narrow, source, message("x".repeat(600_000)));
    const fork = createLog({ sync: true });
    for (let i = 0; i < 6; i++) fork.add(message("x".repeat(600_000)));
    async function* lines(): AsyncGenerator<Uint8Array> {
      for (const line of fork.lines) {
        for await (const page of narrow.read(source.ref)) expect(page.length).toBeGreaterThan(0);
        yield line;
      }
    }
    await narrow.create({ ref: fork.ref, info: fork.info, lines });
    expect((await verifyLog(narrow, fork.ref)).lines.length).toBe(7);
    for (const log of logs) expect((await verifyLog(narrow, log.ref)).lines.length).toBe(log.lines.length);
    await narrow.close();
    // The caller's pool stays open.
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await pool.end();
  }, 60_000);

  it("200 sessions at once append in groups: each line is there once, in its own session", async () => {
    const logs = await Promise.all(Array.from({ length: 200 }, () => startSession(backend)));
    for (let round = 0; round < 3; round++)
      await Promise.all(logs.map((log, i) => append(backend, log, message(`session ${i} round ${round}`), message("second"))));
    for (const log of logs) expect((await verifyLog(backend, log.ref)).lines.map(String)).toEqual(log.lines.map(String));
  }, 60_000);

  it("in a group of appends those that conflict or are fenced are told so, and the others are written", async () => {
    const logs = await Promise.all(Array.from({ length: 30 }, () => startSession(backend)));
    const stale = logs.map((log) => log.branch());
    for (const log of logs.slice(0, 10)) await append(backend, log, message("meanwhile"));
    const answers = await Promise.allSettled(
      logs.map((log, i) => {
        const base = i < 10 ? (stale[i] as typeof log) : log;
        const request = { expect: base.position, lines: base.branch().add(message(`number ${i}`)) };
        return backend.append(log.ref, i >= 10 && i < 20 ? { ...request, lease: { fence: 1, token: "none" } } : request);
      }),
    );
    const what = answers.map((answer) =>
      answer.status === "rejected" ? (answer.reason as { code: string }).code : "head" in answer.value ? "written" : "conflict",
    );
    expect(what).toEqual([
      ...Array.from({ length: 10 }, () => "conflict"),
      ...Array.from({ length: 10 }, () => "FENCED"),
      ...Array.from({ length: 10 }, () => "written"),
    ]);
  });

  it("a session whose row another transaction holds is busy for sure, and holds up no other", async () => {
    const quick = createPostgresBackend({ connectionString, schema, commandTimeoutMs: 2_000 });
    const [held, ...others] = await Promise.all(Array.from({ length: 20 }, () => startSession(quick)));
    if (held === undefined) throw new Error("no session");
    const holder = new pg.Client({ connectionString });
    await holder.connect();
    await holder.query("BEGIN");
    await holder.query(`SELECT 1 FROM "${schema}".sessions WHERE id = $1 FOR UPDATE`, [held.ref.id]);
    const stuck = errorOf(() => quick.append(held.ref, { expect: held.position, lines: held.branch().add(message("waits")) }));
    await Promise.all(others.map((log) => append(quick, log, message("goes on"))));
    const error = await stuck;
    expect(error).toMatchObject({ code: "STORE_BUSY", retryable: true });
    expect(error.message).toContain("nothing was written");
    await holder.query("ROLLBACK");
    await holder.end();
    await append(quick, held, message("now"));
    expect((await verifyLog(quick, held.ref)).lines.length).toBe(2);
    await quick.close();
  });

  it("a pool that gives no connection in time is named, and the connection that comes too late goes back", async () => {
    const pool = new pg.Pool({ connectionString, max: 1 });
    const slow = createPostgresBackend({ pool, schema, commandTimeoutMs: 100 });
    await expect.poll(async () => (await slow.list({})).items.length >= 0).toBe(true);
    const taken = await pool.connect();
    expect((await errorOf(() => slow.list({}))).message).toMatch(/no connection .* became free/);
    taken.release();
    await expect.poll(async () => (await slow.list({ limit: 1 })).items.length <= 1).toBe(true);
    await slow.close();
    expect(pool.totalCount - pool.idleCount).toBe(0);
    await pool.end();
  });
});

describe("closing", () => {
  it("ends its own connections after what is under way, keeps nothing open, and may be asked twice", async () => {
    const name = newName("closing");
    const own = createPostgresBackend({
      connectionString: `${connectionString}?options=${encodeURIComponent(`-c search_path=${name}`)}`,
      schema,
    });
    const logs = await Promise.all(Array.from({ length: 8 }, () => startSession(own)));
    const writing = logs.map((log) => append(own, log, message("under way")));
    await turn();
    const first = own.close();
    const second = own.close();
    expect((await Promise.all(writing)).map(({ seq }) => seq)).toEqual(logs.map(() => 1));
    await Promise.all([first, second]);
    expect(await codeOf(() => own.list({}))).toBe("BACKEND_CLOSED");
    // The server notices the ends a moment later.
    for (let i = 0; i < 100; i++) {
      const [row] = await sql(
        "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'aixgo' AND query LIKE '%append%' AND state <> 'idle' AND pid <> pg_backend_pid()",
      );
      if (row?.["open"] === 0) return;
    }
    throw new Error("a connection is still at work");
  });
});
