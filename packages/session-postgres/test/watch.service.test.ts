import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { AixgoError } from "@aixgo/core";
import { createPostgresBackend, type PostgresPool } from "@aixgo/session-postgres";
import type { Position, Ref, SessionBackend } from "@aixgo/session/backend";
import { message } from "@aixgo/session-testkit";
import { append, startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";

const connectionString = serverUrl();
const schema = newName("s");
const backend = createPostgresBackend({ connectionString, schema });
beforeAll(async () => void (await backend.list({})));
afterAll(async () => {
  await backend.close();
  await sql(`DROP SCHEMA "${schema}" CASCADE`);
});

/** Counts the hints of a watch until it is stopped. */
function hear(node: SessionBackend, ref: Ref, after: Position): { readonly count: () => number; stop(): Promise<void> } {
  const controller = new AbortController();
  let hints = 0;
  const done = (async () => {
    for await (const _ of (node.watch as NonNullable<SessionBackend["watch"]>)(ref, after, controller.signal)) hints += 1;
  })();
  return {
    count: () => hints,
    async stop() {
      controller.abort();
      await done;
    },
  };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within 30 s: ${what}`);
    await pause(10);
  }
}

async function listeners(): Promise<number[]> {
  const rows = await sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'aixgo listen'");
  return rows.map(({ pid }) => pid as number);
}

/** A pool that notes what is sent through it. */
function spying(pool: pg.Pool): { readonly pool: PostgresPool; readonly texts: string[]; readonly sent: unknown[][] } {
  const texts: string[] = [];
  const sent: unknown[][] = [];
  return {
    texts,
    sent,
    pool: {
      async connect() {
        const client = await pool.connect();
        return {
          query(text, values) {
            texts.push(text);
            sent.push([text, ...(values ?? [])]);
            return client.query(text, values);
          },
          release: (destroy) => client.release(destroy),
        };
      },
    },
  };
}

it("one look is for all sessions that are watched, and nothing is asked once nobody watches", async () => {
  const real = new pg.Pool({ connectionString, max: 2 });
  const { pool, sent } = spying(real);
  const node = createPostgresBackend({ pool, schema });
  const logs = await Promise.all(Array.from({ length: 30 }, () => startSession(backend)));
  const heard = logs.map((log) => hear(node, log.ref, log.position));
  const looks = (): unknown[][] => sent.filter(([text]) => String(text).includes("AS place"));
  const all = (): unknown[][] => looks().filter(([, ids]) => (ids as unknown[]).length === logs.length);
  await until("the first look at all of them", () => all().length > 0);
  sent.length = 0;
  await Promise.all(logs.map((log) => append(backend, log, message("news"))));
  await until("all are hinted", () => heard.every(({ count }) => count() > 0));
  expect(looks().length).toBeGreaterThan(0);
  expect(all()).toEqual(looks());
  await Promise.all(heard.map(({ stop }) => stop()));
  sent.length = 0;
  await pause(1500);
  // One may have been on its way. Looks that go on would be a second apart at most.
  expect(looks().length).toBeLessThanOrEqual(1);
  await node.close();
  await real.end();
}, 60_000);

it("with listen hints come from the server: of appends, rewrites and deletes of other nodes, without naming a session to those who listen too", async () => {
  const listen = { connectionString };
  const [writer, reader] = [
    createPostgresBackend({ connectionString, schema, listen }),
    createPostgresBackend({ connectionString, schema, listen }),
  ];
  const log = await startSession(writer);
  // Nothing is opened before something is watched.
  expect(await listeners()).toEqual([]);
  const spy = new pg.Client({ connectionString });
  const payloads: string[] = [];
  spy.on("notification", ({ payload = "" }) => payloads.push(payload));
  await spy.connect();
  await spy.query(`LISTEN "aixgo_${schema}"`);
  const heard = hear(reader, log.ref, log.position);
  await until("the reader listens", async () => (await listeners()).length === 1);
  await append(writer, log, message("news"));
  await until("a hint", () => heard.count() > 0);
  await until("the notification", () => payloads.length > 0);
  expect(payloads[0]).toMatch(/^[\w-]{22}$/);
  expect(payloads[0]).not.toContain(log.ref.id);
  const before = heard.count();
  await writer.delete(log.ref);
  await until("a hint of the delete", () => heard.count() > before);
  await heard.stop();
  await spy.end();
  await writer.close();
  await reader.close();
  await until("the connection is closed with the backend", async () => (await listeners()).length === 0);
}, 60_000);

it("many appends at once are told with few statements, which no append waits for", async () => {
  const real = new pg.Pool({ connectionString, max: 4 });
  const { pool, texts } = spying(real);
  const node = createPostgresBackend({ pool, schema, listen: { connectionString } });
  const logs = await Promise.all(Array.from({ length: 40 }, () => startSession(node)));
  texts.length = 0;
  await Promise.all(
    logs.map(async (log) => {
      for (let i = 0; i < 5; i++) await append(node, log, message(`${i}`));
    }),
  );
  await node.close();
  const notifies = texts.filter((text) => text.includes("pg_notify")).length;
  expect(notifies).toBeGreaterThan(0);
  expect(notifies).toBeLessThan(100);
  await real.end();
}, 60_000);

it("a lost LISTEN connection is told, hints go on by time meanwhile, and it is opened again", async () => {
  const lost: AixgoError[] = [];
  const node = createPostgresBackend({ connectionString, schema, listen: { connectionString, onLost: (error) => lost.push(error) } });
  const log = await startSession(backend);
  const heard = hear(node, log.ref, log.position);
  await until("it listens", async () => (await listeners()).length === 1);
  const [pid] = await listeners();
  for (let round = 0; round < 2; round++) {
    await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aixgo listen'");
    await until("it is told", () => lost.length > round);
    const before = heard.count();
    await append(backend, log, message("meanwhile"));
    await until("a hint by time", () => heard.count() > before);
    await until("it listens again", async () => (await listeners()).length === 1);
  }
  expect(await listeners()).not.toContain(pid);
  expect(lost[0]).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await heard.stop();
  await node.close();
}, 60_000);

it("a LISTEN connection that cannot be had is told without its password, and hints come by time", async () => {
  const wrong = new URL(connectionString);
  wrong.password = "s3cret-and-wrong";
  const lost: AixgoError[] = [];
  const listen = { connectionString: wrong.href, onLost: (error: AixgoError) => lost.push(error) };
  const node = createPostgresBackend({ connectionString, schema, listen });
  const log = await startSession(backend);
  const heard = hear(node, log.ref, log.position);
  await until("it is told", () => lost.length > 0);
  expect(lost[0]).toMatchObject({ code: "UNAUTHENTICATED" });
  expect(`${String(lost[0]?.message)} ${JSON.stringify(lost[0])}`).not.toContain("s3cret");
  await append(backend, log, message("news"));
  await until("a hint by time", () => heard.count() > 0);
  await heard.stop();
  await node.close();
}, 60_000);

it("a server that is gone ends no watch: hints come again when it answers", async () => {
  let isDown = false;
  const real = new pg.Pool({ connectionString, max: 2 });
  const node = createPostgresBackend({
    pool: { connect: () => (isDown ? Promise.reject(new Error("down")) : real.connect()) },
    schema,
  });
  const log = await startSession(backend);
  const heard = hear(node, log.ref, log.position);
  await pause(200);
  isDown = true;
  await append(backend, log, message("unseen"));
  await pause(300);
  isDown = false;
  await until("a hint", () => heard.count() > 0);
  await heard.stop();
  await node.close();
  await real.end();
}, 60_000);
