import { describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { createLog, message, verifyLog } from "@aixgo/session-testkit";
import { append, codeOf, creating, errorOf, linesOf, startSession } from "./support/sessions.ts";
import { newName, sql } from "./support/server.ts";
import { ownSchema } from "./support/own-schema.ts";

const { connectionString, schema, backend } = ownSchema();

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
    const [log, soon] = [await startSession(backend), await startSession(backend)];
    for (const { ref } of [log, soon]) {
      await backend.delete(ref);
      expect(await codeOf(() => backend.create(creating(createLog({ id: ref.id }))))).toBe("SESSION_DELETED");
    }
    await sql(`UPDATE "${schema}".tombstones SET deleted_at = deleted_at - interval '30 days 1 minute'`);
    expect(await codeOf(() => backend.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    // Also before it is cleared away.
    expect((await backend.create(creating(createLog({ id: soon.ref.id })))).created).toBe(true);
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
