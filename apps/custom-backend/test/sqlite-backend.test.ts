import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { SessionQuery } from "@aixgo/session/backend";
import { createLog, message, turn, verifyLog } from "@aixgo/session-testkit";
import Database from "libsql";
import { describe, expect, it, vi } from "vitest";
import { createSqliteBackend } from "../src/index.ts";
import { append, codeOf, count, creating, newFile, open, start } from "./support/stores.ts";

describe("options", () => {
  it.each<[string, object]>([
    ["file", {}],
    ["file", { file: " " }],
    ["file", { file: "a\0b" }],
    ["durability", { file: "x", durability: "quorum" }],
    ["busyTimeoutMs", { file: "x", busyTimeoutMs: 0 }],
    ["indexedMetadata", { file: "x", indexedMetadata: [""] }],
    ["maxLineBytes", { file: "x", maxLineBytes: 1.5 }],
    ["synchronous", { file: "x", synchronous: "OFF" }],
  ])("%s is refused by name", (name, options) => {
    expect(() => createSqliteBackend(options as { file: string })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`option ${name} `) }),
    );
  });

  it("nothing is made before the first call", async () => {
    const file = newFile();
    const backend = open(file);
    await backend.close();
    expect(existsSync(dirname(file))).toBe(false);
  });
});

describe("the file", () => {
  it.skipIf(process.platform === "win32")("can be read by its owner only (skipped on Windows, which has no such modes)", async () => {
    const file = newFile();
    await start(open(file));
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
    for (const each of [file, `${file}-wal`, `${file}-shm`]) expect(statSync(each).mode & 0o777).toBe(0o600);
  });

  it("of another program is refused, and left as it is", async () => {
    const file = newFile();
    mkdirSync(dirname(file));
    const database = new Database(file);
    database.exec("CREATE TABLE theirs (a)");
    database.close();
    expect(await codeOf(open(file).list({}))).toBe("BACKEND_UNAVAILABLE");
    expect(count(file, "SELECT count(*) FROM sqlite_master")).toBe(1);
  });

  it("of a later format is refused", async () => {
    const file = newFile();
    const first = open(file);
    await start(first);
    await first.close();
    const database = new Database(file);
    database.exec("PRAGMA user_version = 99");
    database.close();
    await expect(open(file).list({})).rejects.toThrow("has format 99");
  });

  it("that is no database is refused without naming its path", async () => {
    const file = newFile();
    mkdirSync(dirname(file));
    writeFileSync(file, "no database ".repeat(500));
    const error = await open(file)
      .list({})
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    expect(JSON.stringify([String(error), String((error as Error).cause)])).not.toContain(dirname(file));
  });

  it("that was moved away takes no more writes, and the next call opens what lies there now", async () => {
    const file = newFile();
    const backend = open(file);
    const log = await start(backend);
    renameSync(file, `${file}.moved`);
    for (const end of ["-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
    expect(await codeOf(append(backend, log, "lost"))).toBe("BACKEND_UNAVAILABLE");
    expect(await codeOf(backend.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    await start(backend);
    expect((await backend.list({})).items).toHaveLength(1);
  });
});

describe("other processes in the way", () => {
  it("a lock that is held for too long is STORE_BUSY, and nothing is written", async () => {
    const file = newFile();
    const backend = open(file, { busyTimeoutMs: 50 });
    const log = await start(backend);
    const holder = new Database(file);
    holder.exec("BEGIN IMMEDIATE");
    expect(await codeOf(append(backend, log.branch(), "too late"))).toBe("STORE_BUSY");
    // Readers are not in the way of a writer, nor a writer in theirs.
    expect((await backend.head(log.ref.id)).seq).toBe(0);
    holder.exec("ROLLBACK");
    holder.close();
    expect(await append(backend, log, "now")).toHaveProperty("head");
  });

  it("a lock that is let go in time is waited for, and the process goes on meanwhile", async () => {
    const file = newFile();
    const backend = open(file, { busyTimeoutMs: 20_000 });
    const log = await start(backend);
    const holder = new Database(file);
    holder.exec("BEGIN IMMEDIATE");
    const appending = append(backend, log, "patient");
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
    holder.exec("ROLLBACK");
    holder.close();
    expect(await appending).toHaveProperty("head");
  });
});

describe("writes that leave together", () => {
  it("are each all or nothing: one that is refused takes no other with it", async () => {
    const backend = open(newFile());
    const logs = await Promise.all(Array.from({ length: 6 }, () => start(backend)));
    const results = await Promise.allSettled(
      logs.map((log, i) => {
        if (i === 2)
          return backend.append({ ...log.ref, incarnation: "another" }, { expect: log.position, lines: log.branch().add(message("x")) });
        if (i === 4) {
          const other = log.branch();
          const good = other.add(message("good"));
          other.add(message("left out"));
          return backend.append(log.ref, { expect: log.position, lines: [...good, ...other.add(message("does not follow"))] });
        }
        return append(backend, log, `number ${i}`);
      }),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
    for (const log of logs) expect((await verifyLog(backend, log.ref)).lines).toHaveLength(log.lines.length);
  });

  it("are done before close resolves", async () => {
    const file = newFile();
    const backend = open(file);
    const logs = await Promise.all(Array.from({ length: 100 }, () => start(backend)));
    const writing = logs.map((log) => append(backend, log, "last words"));
    await backend.close();
    await Promise.all(writing);
    expect(count(file, "SELECT count(*) FROM lines")).toBe(200);
  });
});

describe("the first format", () => {
  it("is brought up to date, and its sessions stay", async () => {
    const file = newFile();
    const first = open(file);
    const log = await start(first);
    await first.close();
    const database = new Database(file);
    database.exec("DROP TABLE blobs; DROP TABLE chunks; DROP TABLE bodies; PRAGMA user_version = 1");
    database.close();
    const backend = open(file);
    expect((await verifyLog(backend, log.ref)).lines).toHaveLength(1);
    expect(await backend.blobs?.touch(log.ref, `sha256-${"0".repeat(64)}`)).toBe(false);
    expect(count(file, "PRAGMA user_version")).toBe(2);
  });
});

describe("leases and the clock of the host", () => {
  it("a clock that is set back far does not keep a dead holder's lease alive", async () => {
    const file = newFile();
    const backend = open(file);
    const log = await start(backend);
    /** A clock that is set back is a record that lies later. */
    const setBack = (ms: number): void => {
      const database = new Database(file);
      database.prepare("UPDATE sessions SET lease_since = lease_since + ?, lease_until = lease_until + ?").run(ms, ms);
      database.close();
    };
    const left = async (): Promise<number> => (await backend.head(log.ref.id)).lease?.expiresInMs ?? Number.NaN;
    const expect0 = log.position;
    await backend.append(log.ref, {
      expect: expect0,
      lines: log.add(turn("start", 1, 1)),
      acquire: { fence: 1, token: "t", holder: "a", ttlMs: 600_000 },
    });
    expect(await left()).toBeLessThanOrEqual(600_000);
    setBack(30_000);
    expect(await left()).toBeGreaterThan(0);
    setBack(3_600_000);
    expect(await left()).toBe(0);
    const answer = await backend.append(log.ref, {
      expect: log.position,
      lines: log.add(turn("start", 2, 2)),
      acquire: { fence: 2, token: "u", holder: "b", ttlMs: 30_000 },
    });
    expect(answer).toHaveProperty("head");
  });

  it("a clock of the process that is wrong means nothing", async () => {
    const backend = open(newFile());
    const log = await start(backend);
    const expect0 = log.position;
    await backend.append(log.ref, {
      expect: expect0,
      lines: log.add(turn("start", 1, 1)),
      acquire: { fence: 1, token: "t", holder: "a", ttlMs: 600_000 },
    });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_600_000 });
    try {
      expect((await backend.head(log.ref.id)).lease?.expiresInMs).toBeGreaterThan(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("declared metadata", () => {
  it("is found whoever declared it, and when", async () => {
    const file = newFile();
    const plain = open(file);
    const old = await start(plain, { metadata: { topic: "birds" } });
    const declaring = open(file, { indexedMetadata: ["topic"] });
    const found = async (topic: string): Promise<string[]> => (await declaring.list({ metadata: { topic } })).items.map(({ id }) => id);
    expect(await found("birds")).toEqual([old.ref.id]);
    // Written by the one that declares nothing.
    const young = await start(plain, { metadata: { topic: "bees" } });
    const expect0 = old.position;
    await plain.append(old.ref, { expect: expect0, lines: old.add({ type: "metadata", data: { topic: "bees" } }) });
    expect(await found("birds")).toEqual([]);
    expect(new Set(await found("bees"))).toEqual(new Set([old.ref.id, young.ref.id]));
    await plain.delete(young.ref);
    expect(await found("bees")).toEqual([old.ref.id]);
  });

  it("that is looked through is paged as well, over many sessions", async () => {
    const backend = open(newFile(), { durability: "os" });
    const logs = await Promise.all(
      Array.from({ length: 450 }, (_, i) =>
        start(backend, { startedAt: Date.UTC(2026, 0, 1) + i * 1000, metadata: { odd: i % 2 === 1, rare: i % 100 === 0 } }),
      ),
    );
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await backend.list({ metadata: { rare: true }, scan: true, limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(ids).toEqual([400, 300, 200, 100, 0].map((i) => logs[i]?.ref.id));
  });
});

describe("what must never reach SQLite", () => {
  it("is refused by name", async () => {
    const backend = open(newFile());
    const log = await start(backend);
    const queries: object[] = [{ agentName: true }, { tenantId: 5 }, { userId: {} }, { cursor: {} }, { updatedAfter: 5 }, { nonsense: 1 }];
    for (const query of queries) expect(await codeOf(backend.list(query as SessionQuery))).toBe("INVALID_OPTION");
    expect(await codeOf(backend.find(log.ref, { op: true as unknown as string }))).toBe("INVALID_INPUT");
    for (const id of ["", "..", "a/b", "x".repeat(200), true as unknown as string, "\ud800"])
      expect(await codeOf(backend.head(id))).toBe("INVALID_INPUT");
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(await codeOf(backend.renew(log.ref, { fence: 1, token: "t" }, ttlMs))).toBe("INVALID_INPUT");
    expect(await codeOf(backend.append(log.ref, { expect: log.position, lines: [] }))).toBe("INVALID_INPUT");
    expect(await codeOf(backend.append(log.ref, { expect: log.position, lines: ["text" as unknown as Uint8Array] }))).toBe("INVALID_INPUT");
    expect(await codeOf(backend.cancel(log.ref, undefined as unknown as string))).toBe("INVALID_INPUT");
  });

  it("texts that SQLite alone would alter come back as they were", async () => {
    const backend = open(newFile());
    const odd = "\ud800 \u0000 ' \"";
    const log = await start(backend, { agentName: "helper", userId: odd, tenantId: odd, key: odd, metadata: { [odd]: odd } });
    const expect0 = log.position;
    await backend.append(log.ref, { expect: expect0, lines: log.add(message("x", { op: odd })) });
    expect(await backend.find(log.ref, { op: odd })).toBe(1);
    const { items } = await backend.list({ userId: odd, tenantId: odd, metadata: { [odd]: odd }, scan: true });
    expect(items[0]?.metadata).toEqual({ [odd]: odd });
    expect(await codeOf(backend.create(creating(createLog({ agentName: "helper", tenantId: odd, key: odd }))))).toBe("KEY_EXISTS");
  });
});
