import { continueLog, createLog, message, verifyLog } from "@aixgo/session-testkit";
import { describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { appended, codeOf, errorOf, keysOf, newPrefix, opened, started } from "./support/sessions.ts";

async function server(options: NonNullable<Parameters<typeof startRedis>[0]> = {}): ReturnType<typeof startRedis> {
  const redis = await startRedis(options);
  onTestFinished(() => redis.stop());
  return redis;
}

describe("a server whose memory is full", () => {
  it("refuses: nothing is written, reads and deletes go on, and so do appends when there is room again", async () => {
    const redis = await server({ args: ["--maxmemory", "24mb"] });
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend);
    let refused: { code: string; message: string } | undefined;
    const filled = [];
    for (let i = 0; i < 200 && refused === undefined; i++) {
      const next = await started(backend, {}, message("x".repeat(500_000))).catch(
        (error: { code: string; message: string }) => void (refused = error),
      );
      if (next !== undefined) filled.push(next);
    }
    expect(refused?.code).toBe("BACKEND_UNAVAILABLE");
    expect(refused?.message).toContain("maxmemory");
    expect(refused?.message).toContain("nothing was written");
    // The room that the refused one left is filled up by small ones.
    let written = 0;
    let code = "none";
    for (; code === "none" && written < 5_000; written++) {
      const growing = continueLog(await backend.head(log.ref.id));
      code = await codeOf(appended(backend, growing, message("x".repeat(2_000))));
    }
    expect(code).toBe("BACKEND_UNAVAILABLE");
    written -= 1;
    const head = await backend.head(log.ref.id);
    expect(head.seq).toBe(written);
    await verifyLog(backend, log.ref);
    for (const one of filled.slice(0, 10)) await backend.delete(one.ref);
    const after = continueLog(head);
    await appended(backend, after, message("room again"));
    await verifyLog(backend, log.ref);
  });
});

describe("a server that would lose sessions is refused at start", () => {
  it("with an allkeys policy, whatever the options; with any other eviction only for sessions that expire", async () => {
    const redis = await server({ args: ["--maxmemory-policy", "allkeys-lru"] });
    const error = await errorOf(opened({ url: redis.url }).list({}));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.retryable).toBe(false);
    expect(error.message).toContain("allkeys-lru");
    expect(error.message).toContain("noeviction");
    await redis.cli("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
    expect(await codeOf(opened({ url: redis.url }).list({}))).toBe("none");
    expect((await errorOf(opened({ url: redis.url, ttlMs: 60_000 }).list({}))).message).toContain("volatile-lru");
  });

  it("and mended, it is taken by the next call of the same backend", async () => {
    const redis = await server({ args: ["--maxmemory-policy", "allkeys-random"] });
    const backend = opened({ url: redis.url });
    expect(await codeOf(backend.list({}))).toBe("BACKEND_UNAVAILABLE");
    await redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction");
    expect(await codeOf(backend.list({}))).toBe("none");
  });

  it("quorum without an append-only file, or without a replica", async () => {
    const alone = await server({ appendonly: "everysec" });
    expect((await errorOf(opened({ url: alone.url, durability: "quorum" }).list({}))).message).toContain("needs a replica");
    const forgetful = await server({ replicas: 1 });
    expect((await errorOf(opened({ url: forgetful.url, durability: "quorum" }).list({}))).message).toContain("append-only");
  });

  it("a node of a Cluster reached by a plain client", async () => {
    const redis = await server({ args: ["--cluster-enabled", "yes"] });
    const error = await errorOf(opened({ url: redis.url }).list({}));
    expect(error.message).toContain("Cluster");
    expect(error.retryable).toBe(false);
  });

  it("a replica takes no writes: BACKEND_UNAVAILABLE, not OUTCOME_UNKNOWN", async () => {
    const redis = await server({ replicas: 1 });
    const [replica] = redis.replicas;
    const error = await errorOf(started(opened({ url: replica?.url ?? "", keyPrefix: newPrefix() })));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.message).toContain("replica");
  });
});

describe("sessions with a time to live", () => {
  it("each append moves one expiry for all keys of the session; afterwards nothing of it is left", async () => {
    const redis = await server();
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    expect(backend.capabilities.ttl).toBe(true);
    const log = await started(backend, { key: "k", userId: "ada" }, message("one", { op: "u:1" }));
    const keys = Object.values(keysOf(prefix, log));
    const expiries = async (): Promise<readonly number[]> =>
      Promise.all(keys.map(async (key) => Number(await redis.cli("PEXPIRETIME", key))));
    const [first] = await expiries();
    expect(new Set(await expiries())).toEqual(new Set([first]));
    expect(first).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await appended(backend, log, message("two"));
    const [second] = await expiries();
    expect(new Set(await expiries())).toEqual(new Set([second]));
    expect(second).toBeGreaterThan(first as number);
    // A node without the option leaves the expiry as it is: the keys still go together.
    const other = opened({ url: redis.url, keyPrefix: prefix });
    await appended(other, log, message("three"));
    expect(new Set(await expiries())).toEqual(new Set([second]));
    // Renewals and reads move nothing.
    const at = log.position;
    await other.append(log.ref, {
      expect: at,
      lines: log.branch().add(message("x")),
      acquire: { fence: 1, token: "t", holder: "test", ttlMs: 100_000 },
    });
    await other.renew(log.ref, { fence: 1, token: "t" }, 200_000);
    await other.cancel(log.ref, "stop");
    expect(new Set(await expiries())).toEqual(new Set([second]));

    for (const key of keys) await redis.cli("PEXPIRE", key, "1");
    await expect.poll(() => codeOf(backend.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    expect((await backend.list({ userId: "ada" })).items).toEqual([]);
    expect((await backend.list({})).items).toEqual([]);
    expect(await redis.cli("ZCARD", `${prefix}list:{user:ada}:updated`)).toBe("0");
    const again = createLog({ key: "k" });
    const { created, head } = await backend.create({
      ref: again.ref,
      info: again.info,
      onKey: "get",
      async *lines() {
        yield* again.lines;
      },
    });
    expect(created).toBe(true);
    expect(head.id).toBe(again.ref.id);
  });

  it("the history of a long fork gets it too, and a rewrite keeps it", async () => {
    const redis = await server();
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    const log = await started(backend, {}, ...Array.from({ length: 6 }, () => message("x".repeat(300_000))));
    const ttls = async (): Promise<readonly number[]> =>
      Promise.all(Object.values(keysOf(prefix, log)).map(async (key) => Number(await redis.cli("PTTL", key))));
    for (const left of await ttls()) expect(left).toBeGreaterThan(30_000);
    const next = createLog({ id: log.ref.id });
    next.add(message("redacted"));
    await backend.rewrite(log.ref, {
      expect: log.position,
      next: next.ref,
      lines: (async function* () {
        yield* next.lines;
      })(),
    });
    for (const left of await ttls()) expect(left).toBeGreaterThan(30_000);
    expect(await redis.cli("DBSIZE")).toBe(String(3 + 4));
  });

  it("the record of its key lives longer than it, and what was expired long ago leaves the sets as others are made", async () => {
    const redis = await server();
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    const log = await started(backend, { key: "k" });
    const record = (await redis.cli("KEYS", `${prefix}key:*`)).trim();
    expect(Number(await redis.cli("PTTL", record))).toBeGreaterThan(60_000);
    await redis.cli("PEXPIRE", record, "70000");
    await appended(backend, log, message("one"));
    expect(Number(await redis.cli("PTTL", record))).toBeGreaterThan(110_000);

    const dead = await Promise.all(Array.from({ length: 20 }, (_, i) => started(backend, { startedAt: i })));
    for (const one of dead) for (const key of Object.values(keysOf(prefix, one))) await redis.cli("DEL", key);
    expect(Number(await redis.cli("ZCARD", `${prefix}list:{all}:updated`))).toBe(21);
    for (let i = 0; i < 16; i++) await started(backend);
    expect(Number(await redis.cli("ZCARD", `${prefix}list:{all}:updated`))).toBe(17);
    expect(Number(await redis.cli("ZCARD", `${prefix}list:{all}:id`))).toBe(17);
    expect(Number(await redis.cli("PTTL", `${prefix}list:{all}:id`))).toBeGreaterThan(60_000);
  });

  it("and without one in one store: sets that list sessions without an expiry get none", async () => {
    const redis = await server();
    const prefix = newPrefix();
    const brief = opened({ url: redis.url, keyPrefix: prefix, ttlMs: 60_000 });
    const lasting = opened({ url: redis.url, keyPrefix: prefix });
    await started(brief);
    expect(Number(await redis.cli("PTTL", `${prefix}list:{all}:updated`))).toBeGreaterThan(0);
    await started(lasting);
    const log = await started(brief);
    await appended(brief, log, message("one"));
    expect(await redis.cli("PTTL", `${prefix}list:{all}:updated`)).toBe("-1");
    expect(await redis.cli("PTTL", `${prefix}list:{all}:id`)).toBe("-1");
  });
});
