import { createSessionManager } from "@aixgo/session";
import { continueLog, createLog, message, verifyLog } from "@aixgo/session-testkit";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { appended, codeOf, errorOf, keysOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

describe("what callers and operators get wrong", () => {
  it("a database that the server does not have is refused by its number; no other one is written to", async () => {
    for (const options of [{ url: redis.url, db: 99 }, { url: `${redis.url}/99` }]) {
      const error = await errorOf(started(opened({ ...options, keyPrefix: newPrefix() })));
      expect(error.code).toBe("BACKEND_UNAVAILABLE");
      expect(error.message).toContain("99");
      expect(error.retryable).toBe(false);
    }
    const client = new Redis(redis.port, "127.0.0.1", { db: 99, lazyConnect: true });
    onTestFinished(() => client.disconnect());
    expect(await codeOf(started(opened({ client, keyPrefix: newPrefix() })))).toBe("BACKEND_UNAVAILABLE");
    expect(await redis.cli("KEYS", "*")).toBe("");
  });

  it("two databases are two stores", async () => {
    const prefix = newPrefix();
    const [zero, one] = [opened({ url: redis.url, keyPrefix: prefix }), opened({ url: redis.url, keyPrefix: prefix, db: 1 })];
    const log = await started(zero);
    expect(await codeOf(one.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    expect((await one.list({})).items).toEqual([]);
  });

  it("a line above the limit, alone or in the middle of a batch, is LIMIT_EXCEEDED, and nothing of the batch is there", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix(), maxLineBytes: 2_048 });
    const log = await started(backend);
    const { position: at } = log;
    for (const drafts of [[message("x".repeat(3_000))], [message("one"), message("x".repeat(3_000)), message("three")]]) {
      const error = await errorOf(backend.append(log.ref, { expect: at, lines: log.branch().add(...drafts) }));
      expect(error.code).toBe("LIMIT_EXCEEDED");
      expect(error.message).toContain("2048");
    }
    expect((await verifyLog(backend, log.ref)).lines).toHaveLength(1);
    await appended(backend, log, message("y".repeat(1_000)));
  });

  it("a range or a page that cannot be is refused by its name, a huge one is the most there is", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend, {}, message("one"), message("two"));
    const count = async (range: object): Promise<number> => {
      let lines = 0;
      for await (const page of backend.read(log.ref, range)) lines += Buffer.from(page).toString().trimEnd().split("\n").length;
      return lines;
    };
    for (const range of [{ limit: -1 }, { from: -1 }, { to: 1.5 }, { limit: Number.NaN }, { from: "0" }])
      expect((await errorOf(count(range))).message).toContain(Object.keys(range)[0] as string);
    expect(await count({ limit: Number.MAX_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER })).toBe(3);
    for (const limit of [-1, 0.5, Number.NaN, "10"]) {
      const error = await errorOf(backend.list({ limit: limit as number }));
      expect(error.code).toBe("INVALID_OPTION");
      expect(error.message).toContain("limit");
    }
    for (const limit of [1_000_000_000, Number.MAX_SAFE_INTEGER]) {
      const found = await backend.list({ limit }).catch((error: { code: string }) => error.code);
      expect(found === "INVALID_OPTION" || (typeof found === "object" && found.items.length === 1)).toBe(true);
    }
  });

  it("a cursor of another query, another order, or of nothing at all is INVALID_OPTION", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix(), indexedMetadata: ["topic"] });
    for (let i = 0; i < 3; i++) await started(backend, { userId: "ada", metadata: { topic: "x" } });
    const { nextCursor = "" } = await backend.list({ limit: 1, userId: "ada" });
    expect(nextCursor).not.toBe("");
    expect((await backend.list({ limit: 1, userId: "ada", cursor: nextCursor })).items).toHaveLength(1);
    for (const query of [
      { cursor: nextCursor, userId: "bob" },
      { cursor: nextCursor },
      { cursor: nextCursor, userId: "ada", order: "id" as const },
      { cursor: nextCursor, userId: "ada", metadata: { topic: "x" } },
      { cursor: `${nextCursor}x`, userId: "ada" },
      { cursor: "", userId: "ada" },
      { cursor: "\u0000", userId: "ada" },
    ]) {
      const error = await errorOf(backend.list(query));
      expect(error.code, JSON.stringify(query)).toBe("INVALID_OPTION");
      expect(error.message).toContain("cursor");
    }
  });

  it("NUL and other controls in texts, ops, users and metadata come back as they were", async () => {
    const sessions = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: newPrefix() }) });
    const odd = "a\u0000b\r\n\u2028\u{1F99C}\u007f";
    const session = await sessions.create("helper", { metadata: { [odd]: odd } });
    await session.append(odd);
    await session.append("again", { op: "op\u0000\r\n" });
    await session.append("again", { op: "op\u0000\r\n" });
    const again = await sessions.get(session.id);
    expect((await again.messages()).map(({ parts }) => parts)).toEqual([[{ type: "text", text: odd }], [{ type: "text", text: "again" }]]);
    expect((await again.info()).metadata).toEqual({ [odd]: odd });
    expect((await again.verify()).problems).toEqual([]);
  });

  it("200 sessions made, written and read at once by two nodes are all there, each whole", async () => {
    const prefix = newPrefix();
    // All are made at once: the last command waits for all before it, on a busy machine for long.
    const options = { url: redis.url, keyPrefix: prefix, commandTimeoutMs: 60_000 };
    const nodes = [opened(options), opened(options)] as const;
    const logs = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const node = nodes[i % 2 === 0 ? 0 : 1];
        const log = await started(node, { userId: `user-${i}`, key: `key-${i}` });
        for (let n = 0; n < 5; n++) await appended(nodes[n % 2 === 0 ? 0 : 1], log, message(`${n}`, { op: `u:${n}` }));
        return log;
      }),
    );
    await Promise.all(
      logs.map(async (log) => {
        expect((await verifyLog(nodes[1], log.ref)).lines).toEqual(log.lines);
        expect(await nodes[0].find(log.ref, { op: "u:4" })).toBe(5);
      }),
    );
  }, 60_000);
});

describe("keys of another type that are no session's", () => {
  it("the record of a unique key is an error that says so; sessions without a key go on", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend, { key: "k" });
    const [record = ""] = (await redis.cli("KEYS", `${prefix}key:*`)).trim().split("\n");
    await redis.cli("DEL", record);
    await redis.cli("SADD", record, "foreign");
    const again = createLog({ key: "k" });
    const error = await errorOf(
      backend.create({
        ref: again.ref,
        info: again.info,
        onKey: "get",
        async *lines() {
          yield* again.lines;
        },
      }),
    );
    expect(error.code).toBe("ENTRY_CORRUPT");
    expect(error.message).toContain("another type");
    expect(await codeOf(backend.head(again.ref.id))).toBe("SESSION_NOT_FOUND");
    await appended(backend, log, message("one"));
    await started(backend);
  });

  it("a set that lists sessions: the list says so, a create is refused whole, an append goes on", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    const set = `${prefix}list:{all}:updated`;
    await redis.cli("DEL", set);
    await redis.cli("SADD", set, "foreign");
    const late = (minutes: number): { timestamp: string } => ({ timestamp: new Date(Date.now() + minutes * 60_000).toISOString() });
    for (const ttlMs of [undefined, 60_000]) {
      const node = opened({ url: redis.url, keyPrefix: prefix, ...(ttlMs === undefined ? undefined : { ttlMs }) });
      await appended(node, log, message("one", late(ttlMs === undefined ? 1 : 2)));
    }
    await verifyLog(backend, log.ref);
    const fresh = createLog();
    const error = await errorOf(
      backend.create({
        ref: fresh.ref,
        info: fresh.info,
        async *lines() {
          yield* fresh.lines;
        },
      }),
    );
    expect(error.code).toBe("ENTRY_CORRUPT");
    expect(error.message).toContain("lists sessions");
    expect(await redis.cli("EXISTS", ...Object.values(keysOf(prefix, fresh)))).toBe("0");
    expect(await codeOf(backend.list({}))).toBe("ENTRY_CORRUPT");
    await redis.cli("DEL", set);
    await appended(backend, log, message("two", late(3)));
    expect((await backend.list({})).items.map(({ id }) => id)).toEqual([log.ref.id]);
  });
});

describe("a server whose memory runs out in the middle of a batch", () => {
  it("takes all of the batch or nothing", async () => {
    const full = await startRedis();
    onTestFinished(() => full.stop());
    const prefix = newPrefix();
    const backend = opened({ url: full.url, keyPrefix: prefix });
    const log = await started(backend);
    const used = Number(/used_memory:(\d+)/.exec(await full.cli("INFO", "memory"))?.[1]);
    await full.cli("CONFIG", "SET", "maxmemory", String(used + 3_000_000));
    let code = "none";
    for (let i = 0; i < 60 && code === "none"; i++) {
      const growing = continueLog(await backend.head(log.ref.id));
      const drafts = Array.from({ length: 20 }, (_, n) => message(`${i}.${n} ${"x".repeat(10_000)}`, { op: `u:${i}.${n}` }));
      const { seq } = growing.position;
      code = await codeOf(appended(backend, growing, ...drafts));
      const after = (await backend.head(log.ref.id)).seq;
      expect(after - seq).toBe(code === "none" ? 20 : 0);
      expect(await full.cli("LLEN", keysOf(prefix, log).lines)).toBe(String(after + 1));
      if (code !== "none") expect(await backend.find(log.ref, { op: `u:${i}.0` })).toBe(undefined);
    }
    expect(code).toBe("BACKEND_UNAVAILABLE");
    await verifyLog(backend, log.ref);
    await full.cli("CONFIG", "SET", "maxmemory", "0");
    await appended(backend, continueLog(await backend.head(log.ref.id)), message("room again"));
  });
});
