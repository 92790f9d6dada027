import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { startPostgres, type Postgres } from "@aixgo/repository-tools/services/postgres";
import { appendUntil, countOps } from "./support/appender.ts";
import { codeOf, creating, errorOf, startSession } from "./support/sessions.ts";
import { createLog, message } from "@aixgo/session-testkit";

const KILLS = process.env["AIXGO_LONG"] === "1" ? 20 : 5;
const SESSIONS = 6;
const WRITERS = 2;

let server: Postgres;
beforeAll(async () => {
  server = await startPostgres();
}, 120_000);
afterAll(() => server.stop());

it(
  `of what is acknowledged nothing is lost or doubled when all processes of the server are killed ${KILLS} times`,
  async () => {
    const nodes = [
      createPostgresBackend({ connectionString: server.url, maxConnections: 4 }),
      createPostgresBackend({ connectionString: server.url, maxConnections: 4 }),
    ] as const;
    const logs = await Promise.all(Array.from({ length: SESSIONS }, () => startSession(nodes[0])));
    const acked = logs.map((): string[] => []);
    let over = false;
    const writers = logs.flatMap((log, i) =>
      nodes.slice(0, WRITERS).map((node, writer) => appendUntil(node, log.ref.id, `s${i}w${writer}`, acked[i] as string[], () => over)),
    );
    const done = Promise.all(writers);
    done.catch(() => undefined);
    const count = (): number => acked.reduce((sum, ops) => sum + ops.length, 0);
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const before = count();
        const end = performance.now() + 15_000;
        while (count() < before + 60) {
          if (performance.now() > end) throw new Error(`${count() - before} appends were acknowledged within 15 s`);
          await Promise.race([done, pause(5)]);
        }
        await server.kill();
        await server.start();
      }
    } finally {
      over = true;
      await done;
    }
    for (const [i, log] of logs.entries()) {
      const counts = await countOps(nodes[0], log.ref.id);
      expect((acked[i] as string[]).filter((op) => counts.get(op) !== 1)).toEqual([]);
      expect([...counts].filter(([, times]) => times !== 1)).toEqual([]);
    }
    expect(count()).toBeGreaterThanOrEqual(KILLS * 60);
    await Promise.all(nodes.map((node) => node.close()));
  },
  KILLS * 20_000 + 60_000,
);

it("a server that is down is named without its password, and found again when it is back, by the same backend", async () => {
  const backend = createPostgresBackend({ connectionString: server.url });
  const early = createPostgresBackend({ connectionString: server.url });
  const log = await startSession(backend);
  await server.halt();
  for (const node of [backend, early]) {
    const error = await errorOf(() => node.head(log.ref.id));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.retryable).toBe(true);
    expect(error.message).toContain(`127.0.0.1:${server.port}/postgres`);
    expect(error.message).not.toContain(server.password);
    expect(JSON.stringify(error.cause ?? null)).not.toContain(server.password);
  }
  // Nothing was sent, so the answer is a sure one.
  const lines = log.branch().add(message("to nobody"));
  expect(await codeOf(() => backend.append(log.ref, { expect: log.position, lines }))).toBe("BACKEND_UNAVAILABLE");
  await server.start();
  expect((await backend.head(log.ref.id)).seq).toBe(0);
  expect((await early.head(log.ref.id)).seq).toBe(0);
  await early.close();
  await backend.close();
});

it("a server that does not answer ends a read as unavailable and an append as unknown, within the deadline; both work when it goes on", async () => {
  // Only what is sent into the silence is in a hurry.
  const backend = createPostgresBackend({ connectionString: server.url, commandTimeoutMs: 300 });
  const patient = createPostgresBackend({ connectionString: server.url });
  const log = await startSession(patient);
  await expect.poll(async () => (await backend.head(log.ref.id)).seq).toBe(0);
  const { position } = log;
  const lines = log.add(message("sent into the silence", { op: "u:silence" }));
  const pids = server.pids();
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  try {
    expect(await codeOf(() => backend.append(log.ref, { expect: position, lines }))).toBe("OUTCOME_UNKNOWN");
    expect(await codeOf(() => backend.head(log.ref.id))).toBe("BACKEND_UNAVAILABLE");
  } finally {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  }
  // The same bytes again: written once, whichever of the two did it.
  const again = await patient.append(log.ref, { expect: position, lines });
  expect("head" in again ? again.head.seq : again.conflict.seq).toBe(1);
  expect(await patient.find(log.ref, { op: "u:silence" })).toBe(1);
  expect([...(await countOps(patient, log.ref.id)).values()]).toEqual([1]);
  await expect.poll(async () => (await backend.head(log.ref.id)).seq).toBe(1);
  for (const each of [backend, patient]) await each.close();
});

it("a connection that is cut while it is idle is replaced without anyone noticing", async () => {
  const backend = createPostgresBackend({ connectionString: server.url, maxConnections: 1 });
  const log = await startSession(backend);
  const { sql } = await import("./support/server.ts");
  for (let i = 0; i < 5; i++) {
    await sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aixgo' AND pid <> pg_backend_pid()",
      server.url,
    );
    expect((await backend.head(log.ref.id)).seq).toBe(0);
  }
  await backend.close();
});

it("a wrong password, user and database are told apart, and none of them shows the password", async () => {
  const cases = [
    [server.urlOf("postgres", "postgres", "not-the-password"), "UNAUTHENTICATED", "not-the-password"],
    [server.urlOf("postgres", "nobody-here", "s3cret-of-nobody"), "UNAUTHENTICATED", "s3cret-of-nobody"],
    [`postgresql://postgres@127.0.0.1:${server.port}/postgres`, "UNAUTHENTICATED", server.password],
    [server.urlOf("no_such_database"), "BACKEND_UNAVAILABLE", server.password],
    [`postgresql://postgres:${server.password}@127.0.0.1:1/postgres`, "BACKEND_UNAVAILABLE", server.password],
    [`postgresql://postgres:${server.password}@no-such-host.invalid/postgres`, "BACKEND_UNAVAILABLE", server.password],
    [`${server.url}?sslmode=verify-full`, "BACKEND_UNAVAILABLE", server.password],
  ] as const;
  for (const [connectionString, code, secret] of cases) {
    const backend = createPostgresBackend({ connectionString, commandTimeoutMs: 2000 });
    const error = await errorOf(() => backend.head("any"));
    expect(error.code, error.message).toBe(code);
    expect(error.message).not.toContain(secret);
    expect(`${JSON.stringify(error)} ${String((error.cause as Error | undefined)?.message)}`).not.toContain(secret);
    await backend.close();
  }
  const missing = createPostgresBackend({ connectionString: server.urlOf("no_such_database") });
  expect((await errorOf(() => missing.create(creating(createLog())))).message).toContain("no_such_database");
  await missing.close();
});

it("a server without fsync is refused for durability disk, and taken for os", async () => {
  const careless = await startPostgres({ args: ["-c", "fsync=off"] });
  try {
    const strict = createPostgresBackend({ connectionString: careless.url });
    const error = await errorOf(() => strict.list({}));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    expect(error.message).toContain("fsync");
    const modest = createPostgresBackend({ connectionString: careless.url, durability: "os" });
    expect(modest.capabilities.durability).toBe("os");
    expect((await modest.list({})).items).toEqual([]);
    await strict.close();
    await modest.close();
  } finally {
    await careless.stop();
  }
}, 120_000);

it("an acknowledged append survives a kill also where the role does not wait for the disk", async () => {
  const { sql } = await import("./support/server.ts");
  await sql("ALTER ROLE postgres SET synchronous_commit = off", server.url);
  try {
    for (let round = 0; round < 3; round++) {
      const backend = createPostgresBackend({ connectionString: server.url });
      const log = await startSession(backend);
      const { position } = log;
      const lines = log.add(message("kept"));
      expect("head" in (await backend.append(log.ref, { expect: position, lines }))).toBe(true);
      await server.kill();
      await server.start();
      expect((await backend.head(log.ref.id)).seq).toBe(1);
      await backend.close();
    }
  } finally {
    await sql("ALTER ROLE postgres RESET synchronous_commit", server.url);
  }
}, 60_000);
