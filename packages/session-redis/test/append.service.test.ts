import { createHash } from "node:crypto";
import { createSessionManager } from "@aixgo/session";
import { createLog, message, turn, verifyLog } from "@aixgo/session-testkit";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { scripts } from "../src/scripts.ts";
import { appended, codeOf, keysOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** How often the server has run a command since its counters were set back. */
async function calls(command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.cli("INFO", "commandstats"))?.[1] ?? 0);
}

async function plain(): Promise<Redis> {
  const client = new Redis(redis.port, "127.0.0.1");
  onTestFinished(() => client.disconnect());
  return client;
}

describe("an append", () => {
  it("is one script and nothing else, whoever appended before, and with a lease as well", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend, { userId: "ada", tenantId: "acme" });
    await appended(backend, log, message("warm"));
    await redis.cli("CONFIG", "RESETSTAT");
    for (let i = 0; i < 20; i++) await appended(backend, log, message(`number ${i}`, { op: `u:${i}` }));
    expect(await calls("evalsha")).toBe(20);
    let at = log.position;
    await backend.append(log.ref, {
      expect: at,
      lines: log.add(turn("start", 1, at.seq + 1)),
      acquire: { fence: 1, token: "t", holder: "test", ttlMs: 60_000 },
    });
    for (let i = 0; i < 5; i++) {
      at = log.position;
      await backend.append(log.ref, {
        expect: at,
        lines: log.add(message("step", { turn: 21, fence: 1 })),
        lease: { fence: 1, token: "t" },
      });
    }
    at = log.position;
    await backend.append(log.ref, { expect: at, lines: log.add(turn("end", 1, 21)), lease: { fence: 1, token: "t" }, release: true });
    expect(await calls("evalsha")).toBe(27);
    expect(await calls("eval")).toBe(0);
    await backend.head(log.ref.id);
    expect(await calls("evalsha")).toBe(28);
    await verifyLog(backend, log.ref);
  });

  it("after a renewal by another node, whose lease time this one does not know, keeps that time", async () => {
    const prefix = newPrefix();
    const [one, two] = [opened({ url: redis.url, keyPrefix: prefix }), opened({ url: redis.url, keyPrefix: prefix })];
    const log = await started(one);
    let at = log.position;
    const lease = { fence: 1, token: "t" };
    await one.append(log.ref, { expect: at, lines: log.add(turn("start", 1, 1)), acquire: { ...lease, holder: "one", ttlMs: 10_000 } });
    await two.renew(log.ref, lease, 600_000);
    expect(await two.cancel(log.ref, "stop")).toBe(true);
    at = log.position;
    const answer = await one.append(log.ref, { expect: at, lines: log.add(message("step", { turn: 1, fence: 1 })), lease });
    const head = "head" in answer ? answer.head : undefined;
    expect(head?.lease?.cancelRequested).toBe("stop");
    expect(head?.lease?.expiresInMs).toBeGreaterThan(500_000);
    await verifyLog(two, log.ref);
  });

  it("with large metadata sends none of it, and keeps it", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend, { metadata: { note: "x".repeat(100_000) } });
    for (let i = 0; i < 5; i++) await appended(backend, log, message(`number ${i}`));
    const before = Number(/total_net_input_bytes:(\d+)/.exec(await redis.cli("INFO", "stats"))?.[1]);
    for (let i = 0; i < 5; i++) await appended(backend, log, message(`again ${i}`));
    expect(Number(/total_net_input_bytes:(\d+)/.exec(await redis.cli("INFO", "stats"))?.[1]) - before).toBeLessThan(20_000);
    expect((await verifyLog(backend, log.ref)).head.info.metadata["note"]).toHaveLength(100_000);
    await appended(backend, log, { type: "metadata", data: { note: "short" } });
    await appended(backend, log, message("last"));
    expect((await verifyLog(backend, log.ref)).head.info.metadata).toEqual({ note: "short" });
  });

  it("stores each line as it is, in the keys that the README names", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend);
    await appended(backend, log, message("é\u2028\u{1F99C}"), message("two"));
    const lines = await (await plain()).lrangeBuffer(keysOf(prefix, log).lines, 0, -1);
    expect(lines).toEqual(log.lines);
  });

  it("of 20,000 lines at once is one append, and a session of as many is made at once", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = createLog();
    log.group(Array.from({ length: 20_000 }, (_, i) => [message(`${i}`)]));
    await backend.create({
      ref: log.ref,
      info: log.info,
      async *lines() {
        yield* log.lines;
      },
    });
    const at = log.position;
    const lines = log.group(Array.from({ length: 20_000 }, (_, i) => [message(`again ${i}`, { op: `u:${i}` })]));
    expect(await backend.append(log.ref, { expect: at, lines })).toHaveProperty("head.seq", 40_000);
    await verifyLog(backend, log.ref);
    expect(await backend.find(log.ref, { op: "u:19999" })).toBe(40_000);
  });
});

describe("scripts", () => {
  it("that the server has lost are sent again: SCRIPT FLUSH in the middle loses nothing", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const log = await started(backend, { key: "k" });
    for (let i = 0; i < 10; i++) {
      await redis.cli("SCRIPT", "FLUSH");
      await appended(backend, log, message(`number ${i}`, { op: `u:${i}` }));
      expect(await backend.find(log.ref, { op: `u:${i}` })).toBe(i + 1);
    }
    await redis.cli("SCRIPT", "FLUSH");
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => started(backend, { userId: `user-${i}` })));
    await redis.cli("SCRIPT", "FLUSH");
    await Promise.all(many.map((one) => appended(backend, one, message("at once"))));
    await verifyLog(backend, log.ref);
    expect((await backend.list({ limit: 100 })).items).toHaveLength(21);
  });

  it("say what they take and answer, and are sent by the digest of what they are", () => {
    for (const { text, sha } of Object.values(scripts)) {
      expect(text).toMatch(/^-- .+\n-- KEYS/);
      expect(text).toContain("\n-- reply");
      expect(sha).toBe(createHash("sha1").update(text).digest("hex"));
      expect(text).not.toMatch(/redis\.p?call\('(?:KEYS|SCAN|FLUSH)/);
    }
  });
});

describe("under the session layer", () => {
  it("sessions, checkpoints, restore, fork and keys work, and what was written is read by another node", async () => {
    const prefix = newPrefix();
    const manager = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: prefix }) });
    onTestFinished(() => manager.close());
    const other = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: prefix }) });
    onTestFinished(() => other.close());
    const session = await manager.getOrCreate("helper", "ada");
    await session.append("one");
    const checkpoint = await session.checkpoint();
    await session.append(["two", "three"]);
    const same = await other.getOrCreate("helper", "ada");
    expect(same.id).toBe(session.id);
    expect(await same.messages()).toHaveLength(3);
    await same.restore(checkpoint.id);
    expect(await session.messages()).toHaveLength(1);
    const fork = await session.fork();
    await fork.append("another way");
    expect(await (await other.get(fork.id)).messages()).toHaveLength(2);
    expect((await session.verify()).problems).toEqual([]);
    expect((await other.list({ userId: "ada" })).items[0]?.id).toBe(fork.id);
    expect(await other.delete(session.id)).toBe(true);
    expect(await codeOf(session.append("late"))).toBe("SESSION_DELETED");
    expect((await manager.getOrCreate("helper", "ada")).id).not.toBe(session.id);
  });

  it("writers of one session in two managers lose nothing and double nothing", async () => {
    const prefix = newPrefix();
    const managers = Array.from({ length: 2 }, () => createSessionManager({ backend: opened({ url: redis.url, keyPrefix: prefix }) }));
    for (const manager of managers) onTestFinished(() => manager.close());
    const { id } = await (managers[0] as (typeof managers)[0]).create("helper");
    await Promise.all(
      managers.flatMap((manager, m) =>
        Array.from({ length: 8 }, async (_, w) => {
          const session = await manager.get(id);
          for (let i = 0; i < 10; i++) await session.append(`${m}:${w}:${i}`);
        }),
      ),
    );
    const session = await (managers[1] as (typeof managers)[0]).get(id);
    const texts = (await session.messages()).map(({ parts }) => JSON.stringify(parts));
    expect(texts).toHaveLength(160);
    expect(new Set(texts).size).toBe(160);
    expect((await session.verify()).problems).toEqual([]);
  });
});
