import { once } from "node:events";
import type { Position, Ref, SessionBackend } from "@aixgo/session/backend";
import { createSessionManager } from "@aixgo/session";
import { message } from "@aixgo/session-testkit";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis, startRedisCluster } from "@aixgo/repository-tools/services/redis";
import { createRedisBackend } from "../src/index.ts";
import { appended, codeOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

interface Watch {
  count: number;
  ended: boolean;
  stop(): void;
}

/** Counts hints until it is stopped. */
function watching(backend: SessionBackend, ref: Ref, after: Position): Watch {
  if (backend.watch === undefined) throw new Error("the backend has no watch");
  const controller = new AbortController();
  const found: Watch = { count: 0, ended: false, stop: () => controller.abort() };
  onTestFinished(() => controller.abort());
  const hints = backend.watch(ref, after, controller.signal);
  void (async () => {
    for await (const _ of hints) found.count += 1;
    found.ended = true;
  })();
  return found;
}

const patience = { timeout: 15_000 };

async function subscribers(of: typeof redis, pattern: string): Promise<number> {
  const channels = (await of.cli("PUBSUB", "CHANNELS", pattern)).trim();
  return channels === "" ? 0 : channels.split("\n").length;
}

async function connections(of: Pick<typeof redis, "cli">): Promise<number> {
  return (await of.cli("CLIENT", "LIST", "TYPE", "pubsub")).match(/^id=/gm)?.length ?? 0;
}

describe("hints", () => {
  it("come for 200 sessions over one connection, which hears no longer than somebody waits", async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const prefix = newPrefix();
    const backend = opened({ url: server.url, keyPrefix: prefix });
    const writer = opened({ url: server.url, keyPrefix: prefix });
    const logs = await Promise.all(Array.from({ length: 200 }, () => started(writer)));
    const watches = logs.map((log) => watching(backend, log.ref, log.position));
    const twice = watching(backend, (logs[0] as (typeof logs)[0]).ref, (logs[0] as (typeof logs)[0]).position);
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(200);
    await expect.poll(() => connections(server), patience).toBe(1);
    await expect.poll(() => watches.every(({ count }) => count > 0), patience).toBe(true);
    const before = watches.map(({ count }) => count);
    await Promise.all(logs.map((log) => appended(writer, log, message("one"))));
    await expect.poll(() => watches.every(({ count }, i) => count > (before[i] as number)), patience).toBe(true);
    for (const watch of watches) watch.stop();
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(1);
    twice.stop();
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(0);
    expect([...watches, twice].every(({ ended }) => ended)).toBe(true);
    await backend.close();
    await expect.poll(() => connections(server), patience).toBe(0);
  });

  it("come by messages, not by looking: the server is asked for a few heads, however much is appended", async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const prefix = newPrefix();
    const [backend, writer] = [opened({ url: server.url, keyPrefix: prefix }), opened({ url: server.url, keyPrefix: prefix })];
    const log = await started(writer);
    const watch = watching(backend, log.ref, log.position);
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(1);
    const begun = performance.now();
    await server.cli("CONFIG", "RESETSTAT");
    for (let i = 0; i < 100; i++) {
      const { count } = watch;
      await appended(writer, log, message(`${i}`));
      await expect.poll(() => watch.count, { ...patience, interval: 1 }).toBeGreaterThan(count);
    }
    const scripts = Number(/cmdstat_evalsha:calls=(\d+)/.exec(await server.cli("INFO", "commandstats"))?.[1]);
    // 100 appends, and a look each second at most.
    expect(scripts).toBeLessThan(110 + (performance.now() - begun) / 1_000);
  });

  it("none is missed while the connection breaks again and again", async () => {
    const prefix = newPrefix();
    const reader = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: prefix }) });
    const writer = createSessionManager({ backend: opened({ url: redis.url, keyPrefix: prefix }) });
    const session = await writer.create("helper");
    const seqs: number[] = [];
    const controller = new AbortController();
    onTestFinished(() => controller.abort());
    const following = (async () => {
      for await (const { seq } of (await reader.get(session.id)).entries({ follow: true, signal: controller.signal })) {
        seqs.push(seq);
        if (seq === 300) return;
      }
    })();
    for (let i = 0; i < 300; i++) {
      await session.append(`${i}`);
      if (i % 20 === 0) await redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
    }
    await following;
    expect(seqs).toEqual(Array.from({ length: 301 }, (_, i) => i));
  });

  it("go on after a restart of the server, and after a time without it", async () => {
    const server = await startRedis({ appendonly: "always" });
    onTestFinished(() => server.stop());
    const prefix = newPrefix();
    const [backend, writer] = [opened({ url: server.url, keyPrefix: prefix }), opened({ url: server.url, keyPrefix: prefix })];
    const log = await started(writer);
    const watch = watching(backend, log.ref, log.position);
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(1);
    await server.server.kill();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(watch.ended).toBe(false);
    await server.server.restart();
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(1);
    const { count } = watch;
    await expect.poll(() => codeOf(backend.head(log.ref.id)), patience).toBe("none");
    await expect.poll(() => codeOf(writer.head(log.ref.id)), patience).toBe("none");
    await appended(writer, log, message("one"));
    await expect.poll(() => watch.count, patience).toBeGreaterThan(count);
  });

  it("come by looking where the user may not listen, and say so once", async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const prefix = newPrefix();
    await server.cli("ACL", "SETUSER", "quiet", "on", ">pw", `~${prefix}*`, "resetchannels", "+@all");
    const warned = once(process, "warning");
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));
    const quiet = { url: server.url, username: "quiet", password: "pw", keyPrefix: prefix };
    const [backend, writer] = [opened(quiet), opened({ url: server.url, keyPrefix: prefix })];
    const logs = [await started(backend), await started(backend)];
    expect(String((await warned)[0])).toContain("ACL SETUSER");
    const watches = logs.map((log) => watching(backend, log.ref, log.position));
    for (const by of [backend, writer]) {
      for (const [i, log] of logs.entries()) {
        const { count } = watches[i] as Watch;
        await appended(by, log, message("one"));
        await expect.poll(() => watches[i]?.count, patience).toBeGreaterThan(count);
      }
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.message).not.toContain("pw");
    // What a user that may not tell has appended is found by those who listen, too.
    const log = logs[0] as (typeof logs)[0];
    const listener = watching(writer, log.ref, log.position);
    await expect.poll(() => subscribers(server, `${prefix}*`), patience).toBe(1);
    const { count } = listener;
    await appended(backend, log, message("two"));
    await expect.poll(() => listener.count, patience).toBeGreaterThan(count);
  });

  it("leave the user's client as it is, and use its prefix", async () => {
    const client = new Redis(redis.port, "127.0.0.1", { keyPrefix: "app:" });
    onTestFinished(() => client.disconnect());
    const prefix = newPrefix();
    const backend = createRedisBackend({ client, keyPrefix: prefix });
    const log = await started(backend);
    const watch = watching(backend, log.ref, log.position);
    await expect.poll(() => subscribers(redis, `app:${prefix}*`), patience).toBe(1);
    const { count } = watch;
    await appended(backend, log, message("one"));
    await expect.poll(() => watch.count, patience).toBeGreaterThan(count);
    expect(await client.set("free", "1")).toBe("OK");
    await backend.close();
    await expect.poll(() => watch.ended, patience).toBe(true);
    await expect.poll(() => subscribers(redis, `app:${prefix}*`), patience).toBe(0);
    expect(await client.ping()).toBe("PONG");
  });
});

describe("hints in a Cluster", () => {
  it("stay among the nodes that have the slot, and go on when it moves and when a master is replaced", async () => {
    const cluster = await startRedisCluster({ appendonly: "everysec" });
    onTestFinished(() => cluster.stop());
    const prefix = newPrefix();
    const clients = Array.from({ length: 2 }, () => new Cluster(cluster.startupNodes, { lazyConnect: true, slotsRefreshTimeout: 2_000 }));
    for (const client of clients) {
      client.on("error", () => {});
      onTestFinished(() => client.disconnect());
    }
    const [backend, writer] = clients.map((client) => opened({ client, keyPrefix: prefix })) as [SessionBackend, SessionBackend];
    const logs = await Promise.all(Array.from({ length: 12 }, () => started(writer)));
    const watches = logs.map((log) => watching(backend, log.ref, log.position));
    const heard = async (): Promise<number> => {
      let channels = 0;
      for (const node of cluster.nodes) {
        const found = (await node.cli("PUBSUB", "SHARDCHANNELS", `${prefix}*`)).trim();
        if (found !== "") channels += found.split("\n").length;
      }
      return channels;
    };
    await expect.poll(heard, { timeout: 30_000 }).toBe(12);
    for (const node of cluster.nodes) expect(await connections(node)).toBeLessThanOrEqual(1);
    const everyoneIsTold = async (): Promise<void> => {
      const before = watches.map(({ count }) => count);
      for (const log of logs) {
        const head = await writer.head(log.ref.id);
        expect(head.seq).toBe(log.position.seq);
        await appended(writer, log, message("one"));
      }
      await expect.poll(() => watches.every(({ count }, i) => count > (before[i] as number)), { timeout: 30_000 }).toBe(true);
    };
    await everyoneIsTold();
    for (const node of cluster.nodes) expect(await node.cli("INFO", "commandstats")).not.toContain("cmdstat_publish");
    // Each master gives its place to its replica.
    for (const node of cluster.replicas) {
      await node.cli("CLUSTER", "FAILOVER");
      await expect.poll(async () => (await node.cli("INFO", "replication")).includes("role:master"), { timeout: 30_000 }).toBe(true);
    }
    await everyoneIsTold();
    for (const node of cluster.masters) await node.kill();
    await expect.poll(() => codeOf(Promise.all(logs.map((log) => writer.head(log.ref.id)))), { timeout: 30_000 }).toBe("none");
    await everyoneIsTold();
  }, 120_000);
});
