import type { SessionBackend } from "@aixgo/session/backend";
import { cases, createLog, message, runCases, verifyLog } from "@aixgo/session-testkit";
import { Cluster, Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { waitFor } from "@aixgo/repository-tools/services/process";
import { type RedisServer, startRedis, startRedisCluster, startRedisSentinel } from "@aixgo/repository-tools/services/redis";
import { createRedisBackend } from "../src/index.ts";
import { type Child, child } from "./support/children.ts";
import { appended, codeOf, errorOf, newPrefix, opened, opsOf, started, surely } from "./support/sessions.ts";

const LONG = process.env["AIXGO_LONG"] === "1";
const KILLS = LONG ? 1_500 : 60;
const WRITERS = 6;

/** Writers that append until they are told to stop, each its own ops; what was acknowledged is in `acked`. */
function writing(
  backends: readonly ReturnType<typeof opened>[],
  ids: readonly string[],
): { readonly acked: Set<string>; stop(): Promise<void> } {
  const acked = new Set<string>();
  let going = true;
  const writers = backends.map(async (backend, w) => {
    for (let i = 0; going; i++) {
      const op = `writer-${w}:${i}`;
      await surely(backend, ids[i % ids.length] as string, op);
      acked.add(op);
    }
  });
  const all = Promise.all(writers);
  all.catch(() => undefined);
  return {
    acked,
    async stop() {
      going = false;
      await all;
    },
  };
}

async function expectEachOnce(backend: ReturnType<typeof opened>, ids: readonly string[], acked: ReadonlySet<string>): Promise<void> {
  const found = new Map<string, number>();
  for (const id of ids) {
    for (const [op, times] of await opsOf(backend, id)) found.set(op, (found.get(op) ?? 0) + times);
    await verifyLog(backend, await backend.head(id));
  }
  const lost = [...acked].filter((op) => !found.has(op));
  const doubled = [...found].filter(([, times]) => times !== 1).map(([op]) => op);
  expect({ lost, doubled }).toEqual({ lost: [], doubled: [] });
}

/** From now on nothing reaches the replicas of this master, as if a network had been cut between them. Clients reach both. */
async function cutOff(master: RedisServer): Promise<void> {
  await master.cli("ACL", "SETUSER", "default", "-psync", "-sync");
  await master.cli("CLIENT", "KILL", "TYPE", "replica");
  await waitFor("the replicas are gone", async () => (await master.cli("INFO", "replication")).includes("connected_slaves:0"));
}

describe("a server that is killed in the middle of appends", () => {
  it("and comes back with its append-only file has every acknowledged entry once", async () => {
    const redis = await startRedis({ appendonly: "always" });
    onTestFinished(() => redis.stop());
    const prefix = newPrefix();
    const backends = Array.from({ length: 3 }, () => opened({ url: redis.url, keyPrefix: prefix, commandTimeoutMs: 2_000 }));
    const [first] = backends;
    if (first === undefined) throw new Error("no backend");
    const logs = [await started(first), await started(first)];
    const ids = logs.map(({ ref }) => ref.id);
    const { acked, stop } = writing(backends, ids);
    for (let round = 0; round < (LONG ? 40 : 4); round++) {
      const before = acked.size;
      await waitFor("appends go on", () => acked.size > before + 30);
      await redis.server.kill();
      await redis.server.restart();
    }
    const before = acked.size;
    await waitFor("appends go on", () => acked.size > before + 30);
    await stop();
    await expectEachOnce(opened({ url: redis.url, keyPrefix: prefix }), ids, acked);
  }, 600_000);
});

describe("writers that are killed in the middle of appends", () => {
  it(`leave every acknowledged entry there once, and none twice: ${KILLS} kills`, async () => {
    const redis = await startRedis({ appendonly: "everysec" });
    onTestFinished(() => redis.stop());
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const { ref } = await started(backend);
    const start = (round: number): readonly Child[] =>
      Array.from({ length: WRITERS }, (_, w) => child("kill-writer.ts", [redis.url, prefix, ref.id, `${round}.${w}`]));
    const acked = new Set<string>();
    let ready = start(0);
    for (let round = 1; round <= KILLS / WRITERS; round++) {
      const writers = ready;
      await waitFor("the writers have started", () => writers.every(({ said }) => said.length > 0), { patienceMs: 60_000 });
      // The next ones start while these write.
      if (round < KILLS / WRITERS) ready = start(round);
      for (const writer of writers) writer.write("go\n");
      await waitFor("the writers write", () => writers.every(({ said }) => said.length > 3), { patienceMs: 60_000, everyMs: 1 });
      for (const writer of writers) writer.signal("SIGKILL");
      await Promise.all(writers.map(({ ended }) => ended));
      for (const { said } of writers) for (const op of said.slice(1)) acked.add(`u:${op}`);
    }
    await expectEachOnce(backend, [ref.id], acked);
    expect(acked.size).toBeGreaterThanOrEqual(KILLS * 3);
  }, 900_000);
});

describe("connections that break in the middle of appends", () => {
  it("lose nothing and double nothing, also with a client that sends again by itself", async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const prefix = newPrefix();
    const client = new Redis(redis.port, "127.0.0.1", { retryStrategy: () => 5, maxRetriesPerRequest: null });
    onTestFinished(() => client.disconnect());
    const backends = [opened({ client, keyPrefix: prefix }), opened({ url: redis.url, keyPrefix: prefix })];
    const log = await started(backends[0] as (typeof backends)[0]);
    const { acked, stop } = writing([...backends, ...backends], [log.ref.id]);
    for (let round = 0; round < (LONG ? 500 : 40); round++) {
      const before = acked.size;
      await waitFor("appends go on", () => acked.size > before + 3, { everyMs: 2 });
      await redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    }
    await stop();
    await expectEachOnce(opened({ url: redis.url, keyPrefix: prefix }), [log.ref.id], acked);
  }, 600_000);
});

describe("a replica that is promoted without the last writes", () => {
  /** Appends while nothing reaches the replica, promotes it, and asks it what it has. */
  async function cut(options: {
    readonly durability?: "quorum";
  }): Promise<{ readonly acknowledged: number; readonly kept: number; readonly code: string }> {
    const redis = await startRedis({ replicas: 1, appendonly: "everysec" });
    onTestFinished(() => redis.stop());
    const [replica] = redis.replicas;
    if (replica === undefined) throw new Error("no replica");
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, commandTimeoutMs: 2_000, ...options });
    const log = await started(backend);
    await appended(backend, log, message("while all is well"));
    await waitFor("the replica has it", async () => (await replica.cli("LLEN", `${prefix}{${log.ref.id}}:lines`)) === "2");
    await cutOff(redis.server);
    const code = await codeOf(appended(backend, log, message("cut off")));
    const acknowledged = code === "none" ? 2 : 1;
    expect((await backend.head(log.ref.id)).seq).toBe(2);
    await redis.server.kill();
    await replica.cli("REPLICAOF", "NO", "ONE");
    const { head } = await verifyLog(opened({ url: replica.url, keyPrefix: prefix }), log.ref);
    return { acknowledged, kept: head.seq, code };
  }

  it("memory: an acknowledged append is lost, as its name says; the log that is left is whole", async () => {
    const { acknowledged, kept, code } = await cut({});
    expect(code).toBe("none");
    expect(kept).toBeLessThan(acknowledged);
  });

  it("quorum: what the replica has not confirmed is OUTCOME_UNKNOWN, and nothing that was acknowledged is lost", async () => {
    const { acknowledged, kept, code } = await cut({ durability: "quorum" });
    expect(code).toBe("OUTCOME_UNKNOWN");
    expect(kept).toBe(acknowledged);
  });

  it("quorum: the same bytes sent again stay unknown until the replica has them, and are never acknowledged by the conflict that they meet", async () => {
    const redis = await startRedis({ replicas: 1, appendonly: "everysec" });
    onTestFinished(() => redis.stop());
    const [replica] = redis.replicas;
    const options = { url: redis.url, keyPrefix: newPrefix(), durability: "quorum" } as const;
    // Only what is sent while the replica is stopped is in a hurry.
    const hurried = { ...options, commandTimeoutMs: 400 };
    const patient = opened(options);
    const log = await started(patient);
    const backend = opened(hurried);
    // On a connection that has written nothing, WAIT has nothing to wait for.
    const fresh = opened({ ...hurried, replicas: 1 });
    for (const node of [backend, fresh]) await expect.poll(() => codeOf(node.head(log.ref.id))).toBe("none");
    replica?.service.signal("SIGSTOP");
    const at = log.position;
    const lines = log.add(message("cut off", { op: "u:cut" }));
    for (const node of [backend, backend, fresh, fresh])
      expect((await errorOf(node.append(log.ref, { expect: at, lines }))).code).toBe("OUTCOME_UNKNOWN");
    // Who finds an entry takes it for acknowledged.
    expect(await codeOf(backend.find(log.ref, { op: "u:cut" }))).toBe("OUTCOME_UNKNOWN");
    expect(await backend.find(log.ref, { op: "u:none" })).toBe(undefined);
    replica?.service.signal("SIGCONT");
    await expect.poll(() => codeOf(backend.append(log.ref, { expect: at, lines })), { timeout: 10_000 }).toBe("none");
    expect(await patient.find(log.ref, { op: "u:cut" })).toBe(1);
    const answer = await patient.append(log.ref, { expect: at, lines });
    expect("conflict" in answer && Buffer.from(answer.since ?? []).toString()).toBe(`${String(lines[0])}\n`);
    await verifyLog(patient, log.ref);
  });
});

describe("a confirmed write that the server refused once, for it had lost the script", () => {
  it("is told of a conflict as of a conflict, not of an unknown outcome", async () => {
    const redis = await startRedis({ replicas: 1, appendonly: "everysec" });
    onTestFinished(() => redis.stop());
    const backend = opened({ url: redis.url, keyPrefix: newPrefix(), durability: "quorum" });
    const log = await started(backend);
    const stale = log.position;
    const late = log.branch().add(message("late"));
    await appended(backend, log, message("one"));
    const next = createLog({ id: log.ref.id });
    for (const conflicting of [
      () => backend.append(log.ref, { expect: stale, lines: late }),
      () =>
        backend.rewrite(log.ref, {
          expect: stale,
          next: next.ref,
          lines: (async function* () {
            yield* next.lines;
          })(),
        }),
    ]) {
      await redis.cli("SCRIPT", "FLUSH");
      expect(await conflicting()).toHaveProperty("conflict.seq", 1);
    }
  });
});

describe("Sentinel", () => {
  it("a master that dies is replaced, and in quorum every acknowledged entry is there once", async () => {
    const group = await startRedisSentinel({ replicas: 2, appendonly: "everysec" });
    onTestFinished(() => group.stop());
    const prefix = newPrefix();
    const clients = Array.from(
      { length: 2 },
      () =>
        new Redis({
          sentinels: group.sentinels,
          name: group.name,
          lazyConnect: true,
          maxRetriesPerRequest: 2,
          retryStrategy: () => 100,
          sentinelRetryStrategy: () => 100,
        }),
    );
    const backends = clients.map((client) =>
      opened({ client, keyPrefix: prefix, durability: "quorum", replicas: 1, commandTimeoutMs: 1_500 }),
    );
    for (const client of clients) onTestFinished(() => client.disconnect());
    const [first] = backends;
    if (first === undefined) throw new Error("no backend");
    const log = await started(first);
    const { acked, stop } = writing(backends, [log.ref.id]);
    await waitFor("appends go on", () => acked.size > 50);
    await group.master.kill();
    const before = acked.size;
    await waitFor("appends go on with the new master", () => acked.size > before + 50, { patienceMs: 25_000 });
    await stop();
    await expectEachOnce(first, [log.ref.id], acked);
  }, 120_000);
});

describe("a Cluster that is cut in two", () => {
  /** A master goes on taking writes that reach no replica, until one of those takes its place and it must give them up. */
  async function partition(
    durability: "memory" | "quorum",
    rounds: number,
  ): Promise<{ readonly acked: ReadonlySet<string>; readonly found: ReadonlyMap<string, number> }> {
    const cluster = await startRedisCluster({ appendonly: "everysec" });
    onTestFinished(() => cluster.stop());
    const prefix = newPrefix();
    const clients = Array.from(
      { length: 2 },
      () =>
        new Cluster(cluster.startupNodes, {
          lazyConnect: true,
          clusterRetryStrategy: () => 100,
          slotsRefreshTimeout: 2_000,
          redisOptions: { maxRetriesPerRequest: 2 },
        }),
    );
    const backends = clients.map((client) => opened({ client, keyPrefix: prefix, durability, commandTimeoutMs: 1_000 }));
    for (const client of clients) onTestFinished(() => client.disconnect());
    const [first] = backends;
    if (first === undefined) throw new Error("no backend");
    const logs = await Promise.all(Array.from({ length: 12 }, () => started(first)));
    const ids = logs.map(({ ref }) => ref.id);
    const { acked, stop } = writing([...backends, ...backends], ids);
    for (let round = 0; round < rounds; round++) {
      const [master, replica] = await pairOf(cluster.nodes, (round * 5_500) % 16_384);
      const before = acked.size;
      await waitFor("appends go on", () => acked.size > before + 20);
      await cutOff(master);
      // What is appended now stays with a master that is about to be deposed.
      const cut = acked.size;
      if (durability === "memory") await waitFor("appends go on, some of them there", () => acked.size > cut + 100);
      else await new Promise((resolve) => setTimeout(resolve, 400));
      await replica.cli("CLUSTER", "FAILOVER", "TAKEOVER");
      await waitFor("the old master has given up", async () => (await master.cli("INFO", "replication")).includes("role:slave"));
      await master.cli("ACL", "SETUSER", "default", "+psync", "+sync");
      await waitFor("the new master has a replica", async () => (await replica.cli("INFO", "replication")).includes("state=online"));
    }
    const before = acked.size;
    await waitFor("appends go on afterwards", () => acked.size > before + 20);
    await stop();
    const found = new Map<string, number>();
    for (const id of ids) {
      for (const [op, times] of await opsOf(first, id)) found.set(op, (found.get(op) ?? 0) + times);
      await verifyLog(first, await first.head(id));
    }
    return { acked, found };
  }

  async function pairOf(nodes: readonly RedisServer[], slot: number): Promise<readonly [RedisServer, RedisServer]> {
    const node = nodes[0] as RedisServer;
    const lines = (await node.cli("CLUSTER", "NODES"))
      .trim()
      .split("\n")
      .map((line) => line.split(" "));
    const owner = lines.find(([, , , , , , , , ...ranges]) =>
      ranges.some((range) => {
        const [from = Number.NaN, to = from] = range.split("-").map(Number);
        return slot >= from && slot <= to;
      }),
    );
    const portOf = (line: readonly string[] | undefined): number => Number(/:(\d+)@/.exec(line?.[1] ?? "")?.[1]);
    const copy = lines.find((line) => line[3] === owner?.[0] && line[7] === "connected");
    const [master, replica] = [owner, copy].map((line) => nodes.find(({ port }) => port === portOf(line)));
    if (master === undefined || replica === undefined) throw new Error(`slot ${slot} has no master with a replica`);
    return [master, replica];
  }

  it("memory: acknowledged entries are lost, as documented; no log is torn, no entry is doubled", async () => {
    const { acked, found } = await partition("memory", 1);
    expect([...acked].filter((op) => !found.has(op)).length).toBeGreaterThan(0);
    expect([...found].filter(([, times]) => times > 1)).toEqual([]);
  }, 120_000);

  it("quorum: every acknowledged entry is there once", async () => {
    const { acked, found } = await partition("quorum", LONG ? 10 : 2);
    const lost = [...acked].filter((op) => !found.has(op));
    const doubled = [...found].filter(([, times]) => times > 1);
    expect({ lost, doubled }).toEqual({ lost: [], doubled: [] });
    expect(acked.size).toBeGreaterThan(50);
  }, 240_000);
});

describe("a store that expires", () => {
  it("passes the kit, all but its processes, which a server does not tell apart by expiry", async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const only = cases.map(({ id }) => id).filter((id) => !/^(?:processes|clocks|failover)\/|remain|erase-wrapped/.test(id));
    const expiring = async (store: string, ttlMs: number): Promise<SessionBackend> =>
      createRedisBackend({ url: redis.url, keyPrefix: `${store}:`, ttlMs });
    const results = await runCases(
      { name: "expiring", offers: ["watch", "blobs"], open: (store) => expiring(store, 600_000), openExpiring: expiring },
      { only },
    );
    expect(results.filter(({ passed }) => !passed).map(({ id, error }) => `${id}: ${String(error)}`)).toEqual([]);
    expect(results.length).toBe(only.length);
  }, 120_000);
});
