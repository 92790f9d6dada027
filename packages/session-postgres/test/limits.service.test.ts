import { setImmediate as turn } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { continueLog, createLog, message, verifyLog } from "@aixgo/session-testkit";
import { append, codeOf, creating, errorOf, linesOf, startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";

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
    await slow.list({});
    const taken = await pool.connect();
    expect((await errorOf(() => slow.list({}))).message).toMatch(/no connection .* became free/);
    taken.release();
    expect((await slow.list({ limit: 1 })).items.length).toBeLessThanOrEqual(1);
    await slow.close();
    expect(pool.totalCount - pool.idleCount).toBe(0);
    await pool.end();
  });
});

describe("texts", () => {
  const hostile = [
    "a\u0000b",
    "\ud800 alone",
    "back\\slash",
    '"quoted", {braced}, (row)',
    "\\u0000",
    "é\u2028\u{1F99C}",
    "a\nb\tc",
    "NULL",
    "",
    " ",
    "'; DROP TABLE x; --",
    "\\",
    '\\"',
    "u:%_",
  ];

  it("any text round-trips in names, metadata, ops, ids, holders and reasons", async () => {
    for (const text of hostile) {
      const metadata = { topic: text, [`key ${text}`]: { deep: [text] } };
      const log = createLog({
        sync: true,
        agentName: `agent ${text}`,
        userId: `user ${text}`,
        tenantId: `tenant ${text}`,
        key: `key ${text}`,
        metadata,
      });
      const { head } = await backend.create(creating(log, "get"));
      expect(head.info).toMatchObject({
        agentName: `agent ${text}`,
        userId: `user ${text}`,
        tenantId: `tenant ${text}`,
        key: `key ${text}`,
        metadata,
      });
      expect(
        (await backend.create(creating(createLog({ agentName: `agent ${text}`, tenantId: `tenant ${text}`, key: `key ${text}` }), "get")))
          .head.id,
      ).toBe(log.ref.id);
      const { position } = log;
      const lines = log.add({ type: "turn", data: {}, op: `t:${text}`, id: `id ${text}`, turn: 1, fence: 1 });
      const acquire = { fence: 1, token: `token ${text}`, holder: `holder ${text}`, ttlMs: 60_000 };
      const taken = await backend.append(log.ref, { expect: position, lines, acquire });
      expect("head" in taken && taken.head.lease?.holder).toBe(`holder ${text}`);
      expect(await backend.find(log.ref, { op: `t:${text}` })).toBe(1);
      expect(await backend.find(log.ref, { entryId: `id ${text}` })).toBe(1);
      expect(await backend.cancel(log.ref, `reason ${text}`)).toBe(true);
      expect((await backend.renew(log.ref, { fence: 1, token: `token ${text}` }, 1000)).cancelRequested).toBe(`reason ${text}`);
      expect(await codeOf(() => backend.renew(log.ref, { fence: 1, token: `token ${text}x` }, 1000))).toBe("FENCED");
      for (const query of [
        { userId: `user ${text}` },
        { tenantId: `tenant ${text}` },
        { agentName: `agent ${text}` },
        { metadata: { topic: text } },
      ]) {
        expect((await backend.list(query)).items.map(({ id }) => id)).toContain(log.ref.id);
      }
      expect((await backend.list({ userId: `user ${text}`, metadata: { topic: text } })).items.length).toBe(1);
      await verifyLog(backend, log.ref);
    }
  });

  it("ids and ops that no session has are not found, whatever they hold; nothing of them becomes SQL", async () => {
    const log = await startSession(backend);
    for (const text of [...hostile, "x".repeat(100_000)]) {
      expect(await codeOf(() => backend.head(text))).toBe("SESSION_NOT_FOUND");
      expect(await backend.find(log.ref, { op: text })).toBeUndefined();
      expect(
        await codeOf(() =>
          backend.append({ id: log.ref.id, incarnation: text }, { expect: log.position, lines: log.branch().add(message("x")) }),
        ),
      ).toBe("INCARNATION_CHANGED");
      const odd = await backend.append(log.ref, { expect: { seq: 0, hash: text }, lines: log.branch().add(message("x")) });
      expect("conflict" in odd).toBe(true);
    }
  });

  it("long ops and ids are found by the whole text; what does not fit an index is refused by its name", async () => {
    const log = await startSession(backend);
    const long = "o".repeat(5000);
    await append(backend, log, message("a", { op: `${long}1`, id: `${long}a` }), message("b", { op: `${long}2`, id: `${long}b` }));
    expect(await backend.find(log.ref, { op: `${long}1` })).toBe(1);
    expect(await backend.find(log.ref, { op: `${long}2` })).toBe(2);
    expect(await backend.find(log.ref, { op: long })).toBeUndefined();
    expect(await backend.find(log.ref, { entryId: `${long}b` })).toBe(2);
    const wide = createLog({ userId: "u".repeat(5000) });
    const error = await errorOf(() => backend.create(creating(wide)));
    expect(error.code).toBe("LIMIT_EXCEEDED");
    expect(error.message).toContain("userId");
  });

  it("metadata as deep and as wide as JSON allows round-trips", async () => {
    let deep: unknown = "bottom";
    for (let i = 0; i < 2000; i++) deep = [deep];
    const wide = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, i]));
    const log = await startSession(backend, { metadata: { ...wide, deep: deep as never } });
    expect((await backend.head(log.ref.id)).info.metadata).toEqual({ ...wide, deep });
    expect((await backend.list({ metadata: { "key 1999": 1999 }, scan: true })).items.map(({ id }) => id)).toEqual([log.ref.id]);
  });
});

describe("numbers", () => {
  it("versions, fences and ranges outside of what can be stored are answered, never passed on", async () => {
    const log = await startSession(backend);
    const lines = log.branch().add(message("x"));
    for (const seq of [-1, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER, 2 ** 63]) {
      const code = await backend.append(log.ref, { expect: { seq, hash: log.position.hash }, lines }).then(
        (answer) => ("conflict" in answer ? "conflict" : "written"),
        (error: { code: string }) => error.code,
      );
      expect(["conflict", "ENTRY_CORRUPT"]).toContain(code);
    }
    for (const fence of [-1, 0, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER, 2 ** 63]) {
      expect(await codeOf(() => backend.append(log.ref, { expect: log.position, lines, lease: { fence, token: "t" } }))).toBe("FENCED");
      expect(await codeOf(() => backend.renew(log.ref, { fence, token: "t" }, 1000))).toBe("FENCED");
    }
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
      expect(
        await codeOf(() => backend.append(log.ref, { expect: log.position, lines, acquire: { fence: 1, token: "t", holder: "h", ttlMs } })),
      ).toBe("INVALID_INPUT");
    }
    for (const range of [{ from: -1 }, { to: -1 }, { limit: -1 }, { from: 0.5 }, { limit: Number.NaN }]) {
      expect(await codeOf(() => backend.read(log.ref, range)[Symbol.asyncIterator]().next())).toBe("INVALID_INPUT");
    }
    for await (const _ of backend.read(log.ref, { from: Number.MAX_SAFE_INTEGER })) throw new Error("there is nothing there");
    for (const limit of [0, -1, 1001, 2 ** 53, Number.NaN]) expect(await codeOf(() => backend.list({ limit }))).toBe("INVALID_OPTION");
    expect((await backend.head(log.ref.id)).seq).toBe(0);
  });

  it("a line of 16 MiB round-trips; one byte more is refused before anything is sent", async () => {
    const log = await startSession(backend);
    const frame = (log.branch().add(message(""))[0] as Buffer).length;
    const most = 16 * 1024 * 1024 - frame;
    expect(
      await codeOf(() => backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("x".repeat(most + 1))) })),
    ).toBe("LIMIT_EXCEEDED");
    await append(backend, log, message("x".repeat(most)));
    await append(backend, log, message("after"));
    expect((await verifyLog(backend, log.ref)).lines[1]?.length).toBe(16 * 1024 * 1024);
  }, 60_000);
});

describe("logs that no session names", () => {
  const left = async (): Promise<unknown> =>
    (
      await sql(
        `SELECT (SELECT count(*) FROM "${schema}".loose_logs)::int AS loose, (SELECT count(*) FROM "${schema}".entries WHERE log_id NOT IN (SELECT log_id FROM "${schema}".sessions))::int AS lines`,
      )
    )[0];

  it("a fork longer than one statement takes appears at once; one that breaks off leaves nothing", async () => {
    const fork = createLog({ sync: true, key: "fork" });
    fork.group(Array.from({ length: 3000 }, (_, i) => [message(`line ${i} ${"x".repeat(900)}`)]));
    let seen = 0;
    async function* failing(): AsyncGenerator<Uint8Array> {
      for (const [i, line] of fork.lines.entries()) {
        if (i === 2900) throw new Error("the source failed");
        yield line;
      }
    }
    await expect(backend.create({ ref: fork.ref, info: fork.info, lines: failing })).rejects.toThrow("the source failed");
    expect(await left()).toEqual({ loose: 0, lines: 0 });
    async function* watched(): AsyncGenerator<Uint8Array> {
      for (const [i, line] of fork.lines.entries()) {
        if (i % 500 === 499) seen += (await codeOf(() => backend.head(fork.ref.id))) === "SESSION_NOT_FOUND" ? 1 : 0;
        yield line;
      }
    }
    expect((await backend.create({ ref: fork.ref, info: fork.info, lines: watched })).created).toBe(true);
    expect(seen).toBe(6);
    expect((await verifyLog(backend, fork.ref)).lines.length).toBe(3001);
    // A rival for its key and one for its id, as long as it: neither leaves anything.
    const rival = createLog({ key: "fork" });
    rival.group(Array.from({ length: 2500 }, (_, i) => [message(`rival ${i}`)]));
    expect(await codeOf(() => backend.create(creating(rival)))).toBe("KEY_EXISTS");
    const twin = createLog({ id: fork.ref.id });
    twin.group(Array.from({ length: 2500 }, (_, i) => [message(`twin ${i}`)]));
    expect(await codeOf(() => backend.create(creating(twin)))).toBe("KEY_EXISTS");
    expect(await left()).toEqual({ loose: 0, lines: 0 });
    // Rewritten and deleted: of either life nothing stays.
    const next = createLog({ id: fork.ref.id, sync: true });
    next.group(Array.from({ length: 2500 }, (_, i) => [message(`next ${i}`)]));
    expect("head" in (await backend.rewrite(fork.ref, { expect: fork.position, next: next.ref, lines: linesOf(next) }))).toBe(true);
    expect((await verifyLog(backend, next.ref)).lines.length).toBe(2501);
    expect(await left()).toEqual({ loose: 0, lines: 0 });
    await backend.delete(next.ref);
    expect(await left()).toEqual({ loose: 0, lines: 0 });
  }, 60_000);

  it("what a dead node left is cleared away when it is a day old, and what a live one writes is not", async () => {
    await sql(
      `SELECT "${schema}".stage_1(0, NULL, 0, 'ab'::bytea, '{x,y}', '{NULL,NULL}', '{1,2}', '{1,1}', 1000), "${schema}".stage_1(0, NULL, 0, 'ab'::bytea, '{x,y}', '{NULL,NULL}', '{1,2}', '{1,1}', 1000)`,
    );
    const log = await startSession(backend);
    await backend.delete(log.ref);
    expect(await left()).toEqual({ loose: 2, lines: 4 });
    await sql(
      `UPDATE "${schema}".loose_logs SET purge_after = purge_after - interval '25 hours' WHERE log_id = (SELECT min(log_id) FROM "${schema}".loose_logs)`,
    );
    await backend.delete(log.ref);
    expect(await left()).toEqual({ loose: 1, lines: 2 });
    await sql(
      `DELETE FROM "${schema}".loose_logs; DELETE FROM "${schema}".entries WHERE log_id NOT IN (SELECT log_id FROM "${schema}".sessions)`,
    );
  });

  it("a create whose lines were cleared away meanwhile is refused, and can be made again", async () => {
    const log = createLog({ sync: true });
    log.group(Array.from({ length: 2500 }, (_, i) => [message(`line ${i}`)]));
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (const [i, line] of log.lines.entries()) {
        if (i === 2400)
          await sql(
            `DELETE FROM "${schema}".loose_logs; DELETE FROM "${schema}".entries WHERE log_id NOT IN (SELECT log_id FROM "${schema}".sessions)`,
          );
        yield line;
      }
    }
    expect(await codeOf(() => backend.create({ ref: log.ref, info: log.info, lines: slow }))).toBe("BACKEND_UNAVAILABLE");
    await backend.create(creating(log));
    expect((await verifyLog(backend, log.ref)).lines.length).toBe(2501);
  });
});

describe("tombstones", () => {
  it("an id may be used again when its tombstone is 30 days old, which is cleared away by a later delete", async () => {
    const log = await startSession(backend);
    await backend.delete(log.ref);
    expect(await codeOf(() => backend.create(creating(createLog({ id: log.ref.id }))))).toBe("SESSION_DELETED");
    await sql(`UPDATE "${schema}".tombstones SET deleted_at = deleted_at - interval '30 days 1 minute' WHERE id = '${log.ref.id}'`);
    expect(await codeOf(() => backend.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    const other = await startSession(backend);
    await backend.delete(other.ref);
    expect(await sql(`SELECT id FROM "${schema}".tombstones WHERE id = '${log.ref.id}'`)).toEqual([]);
    expect((await backend.create(creating(createLog({ id: log.ref.id })))).created).toBe(true);
  });
});

describe("damage", () => {
  it("a missing line is reported with its seq, a line behind the head stops the append, and neither is passed over", async () => {
    const log = await startSession(backend);
    for (let i = 1; i <= 6; i++) await append(backend, log, message(`number ${i}`));
    const entries = `"${schema}".entries WHERE log_id = (SELECT log_id FROM "${schema}".sessions WHERE id = '${log.ref.id}')`;
    await sql(
      `INSERT INTO "${schema}".entries SELECT log_id, 7, 'stray', NULL, NULL, 'x'::bytea FROM "${schema}".sessions WHERE id = '${log.ref.id}'`,
    );
    expect(await codeOf(() => backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("seven")) }))).toBe(
      "ENTRY_CORRUPT",
    );
    expect((await backend.head(log.ref.id)).seq).toBe(6);
    await sql(`DELETE FROM ${entries} AND seq = 7`);
    await append(backend, log, message("number 7"));
    await sql(`DELETE FROM ${entries} AND seq = 3`);
    for (const reverse of [false, true]) {
      const error = await errorOf(async () => {
        for await (const page of backend.read(log.ref, { reverse })) expect(page.length).toBeGreaterThan(0);
      });
      expect(error.code).toBe("ENTRY_CORRUPT");
      expect(error.message).toContain("entry 3");
    }
    await sql(`DELETE FROM ${entries} AND seq = 7`);
    expect(await codeOf(() => backend.read(log.ref, { from: 7 })[Symbol.asyncIterator]().next())).toBe("ENTRY_CORRUPT");
  });

  it("tables that vanish are named with the remedy, and a new backend makes them again", async () => {
    const doomed = newName("s");
    const first = createPostgresBackend({ connectionString, schema: doomed });
    const log = await startSession(first);
    await sql(`DROP SCHEMA "${doomed}" CASCADE`);
    for (const trial of [
      () => first.head(log.ref.id),
      () => first.append(log.ref, { expect: log.position, lines: log.branch().add(message("x")) }),
      () => first.list({}),
    ]) {
      const error = await errorOf(trial);
      expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
      expect(error.message).toContain("migrationSql");
    }
    await first.close();
    const second = createPostgresBackend({ connectionString, schema: doomed });
    expect((await second.list({})).items).toEqual([]);
    await second.close();
    await sql(`DROP SCHEMA "${doomed}" CASCADE`);
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

describe("many writers of one session", () => {
  it("each of 8 nodes gets its turn: after a second conflict the next append of a node is written", async () => {
    const nodes = Array.from({ length: 8 }, () => createPostgresBackend({ connectionString, schema, maxConnections: 2 }));
    const log = await startSession(backend);
    let most = 0;
    await Promise.all(
      nodes.map(async (node, writer) => {
        for (let i = 0; i < 12; i++) {
          let head = await node.head(log.ref.id);
          for (let conflicts = 0; ; conflicts++) {
            most = Math.max(most, conflicts);
            const next = continueLog(head, true);
            const { position } = next;
            const answer = await node.append(log.ref, {
              expect: position,
              lines: next.add(message(`${writer} ${i}`, { op: `${writer}:${i}` })),
            });
            if ("head" in answer) break;
            head = answer.conflict;
          }
        }
      }),
    );
    expect(most).toBeLessThanOrEqual(3);
    expect((await verifyLog(backend, log.ref)).lines.length).toBe(1 + 8 * 12);
    await Promise.all(nodes.map((node) => node.close()));
  }, 60_000);

  it("a writer that never comes back with its append holds nobody up for long, nor does one that closes", async () => {
    const [idle, other] = [createPostgresBackend({ connectionString, schema }), createPostgresBackend({ connectionString, schema })];
    const log = await startSession(backend);
    const stale = log.branch();
    await append(other, log, message("newer"));
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 2; i++) {
        const answer = await idle.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("stale")) });
        expect("conflict" in answer && answer.conflict.seq).toBe(log.position.seq);
      }
      await append(other, log, message(`round ${round}`));
    }
    await idle.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("stale")) });
    await idle.close();
    await append(other, log, message("after it has closed"));
    await other.close();
    const locks = await sql(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%refusal%'",
    );
    expect(locks).toEqual([{ n: 0 }]);
  });
});
