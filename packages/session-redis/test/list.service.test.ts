import type { SessionBackend, SessionQuery } from "@aixgo/session/backend";
import { message } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { appended, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const START = Date.UTC(2026, 5, 1);

async function listed(
  backend: SessionBackend,
  query: SessionQuery = {},
  between: (page: readonly string[]) => Promise<void> = async () => {},
): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await backend.list({ ...query, ...(cursor === undefined ? undefined : { cursor }) });
    const ids = page.items.map(({ id }) => id);
    found.push(...ids);
    cursor = page.nextCursor;
    await between(ids);
  } while (cursor !== undefined);
  return found;
}

async function sessions(
  backend: SessionBackend,
  count: number,
  options: (i: number) => object = () => ({}),
): Promise<readonly Awaited<ReturnType<typeof started>>[]> {
  const logs = [];
  for (let i = 0; i < count; i++) logs.push(await started(backend, { startedAt: START + i * 60_000, ...options(i) }));
  return logs;
}

describe("list believes heads, not the sets that it walks", () => {
  it("a score that is too new, as a lost append of a Cluster leaves it, is put right before the page is made", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const logs = await sessions(backend, 8);
    const ids = logs.map(({ ref }) => ref.id);
    const set = `${prefix}list:{all}:updated`;
    await redis.cli("ZADD", set, String(START + 100 * 60_000), ids[2] as string);
    expect(await listed(backend, { limit: 3 })).toEqual([...ids].reverse());
    expect(await redis.cli("ZSCORE", set, ids[2] as string)).toBe(String(START + 2 * 60_000));
  });

  it("a score that is too old, as a lost message to the set leaves it, hides nothing, and is put right", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const logs = await sessions(backend, 8);
    const ids = logs.map(({ ref }) => ref.id);
    await redis.cli("ZADD", `${prefix}list:{all}:updated`, String(START - 1), ids[6] as string);
    const first = await listed(backend, { limit: 3 });
    expect([...first].sort()).toEqual([...ids].sort());
    expect(await listed(backend, { limit: 3 })).toEqual([...ids].reverse());
  });

  it("what is not there any more, or was left over from older metadata, is not shown and leaves the set", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix, indexedMetadata: ["topic"] });
    const [log] = await sessions(backend, 1, () => ({ metadata: { topic: "birds" } }));
    const gone = "0".repeat(32);
    const [set] = (await redis.cli("KEYS", `${prefix}list:{metadata:topic:*:updated`)).split("\n") as [string];
    await redis.cli("ZADD", set, "1", gone);
    await redis.cli("ZADD", `${prefix}list:{all}:id`, "0", gone);
    expect(await listed(backend, { metadata: { topic: "birds" } })).toEqual([log?.ref.id]);
    expect(await listed(backend, { order: "id" })).toEqual([log?.ref.id]);
    expect(await redis.cli("ZCARD", set)).toBe("1");
    expect(await redis.cli("ZCARD", `${prefix}list:{all}:id`)).toBe("1");
    if (log === undefined) throw new Error("no session");
    await appended(backend, log, { type: "metadata", data: { topic: "bees" } });
    expect(await redis.cli("ZCARD", set)).toBe("0");
    await redis.cli("ZADD", set, "5", log.ref.id);
    expect(await listed(backend, { metadata: { topic: "birds" } })).toEqual([]);
    expect(await listed(backend, { metadata: { topic: "bees" } })).toEqual([log.ref.id]);
    expect(await redis.cli("ZCARD", set)).toBe("0");
  });

  it("a key that is no text at all hides no other session", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const logs = await sessions(backend, 3);
    const id = logs[1]?.ref.id as string;
    await redis.cli("SET", `${prefix}{${id}}:head`, "something else");
    expect(await listed(backend)).toEqual([logs[2]?.ref.id, logs[0]?.ref.id]);
  });
});

describe("pages", () => {
  it("of hundreds of sessions of one moment show each once, also when the session that a cursor names is deleted", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const logs = await Promise.all(Array.from({ length: 300 }, () => started(backend, { startedAt: START, agentName: "helper" })));
    const ids = logs.map(({ ref }) => ref.id).sort();
    for (const order of ["updated", "id"] as const) expect((await listed(backend, { order, limit: 7 })).sort()).toEqual(ids);
    const dropped = new Set<string>();
    const seen = await listed(backend, { limit: 7 }, async (page) => {
      const last = page.at(-1) as string;
      dropped.add(last);
      await backend.delete((logs.find(({ ref }) => ref.id === last) as (typeof logs)[0]).ref);
    });
    expect(seen.sort()).toEqual(ids);
    expect((await listed(backend, { agentName: "helper", limit: 100 })).sort()).toEqual(ids.filter((id) => !dropped.has(id)));
  });

  it("of a rare filter are full, whatever set is walked, and are made of that set alone", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const logs = await sessions(backend, 120, (i) => ({
      tenantId: "acme",
      agentName: i % 40 === 0 ? "rare" : "common",
      userId: `user-${i % 3}`,
    }));
    const rare = logs
      .filter(({ info }) => info.agentName === "rare")
      .map(({ ref }) => ref.id)
      .reverse();
    await redis.cli("CONFIG", "RESETSTAT");
    expect(await listed(backend, { tenantId: "acme", agentName: "rare" })).toEqual(rare);
    // Heads of three sessions, not of all.
    expect(Number(/cmdstat_get:calls=(\d+)/.exec(await redis.cli("INFO", "commandstats"))?.[1])).toBe(3);
  });

  it("by update stay in order while others write", async () => {
    const backend = opened({ url: redis.url, keyPrefix: newPrefix() });
    const logs = await sessions(backend, 40);
    const untouched = logs.slice(20).map(({ ref }) => ref.id);
    let i = 0;
    const seen = await listed(backend, { limit: 4 }, async () => {
      const log = logs[i++ % 20] as (typeof logs)[0];
      await appended(backend, log, message("touched", { timestamp: new Date(START + (1000 + i) * 60_000).toISOString() }));
    });
    for (const id of untouched) expect(seen.filter((one) => one === id)).toHaveLength(1);
  });
});
