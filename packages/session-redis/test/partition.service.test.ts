import { verifyLog } from "@aixgo/session-testkit";
import { Cluster } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { startNetwork, whyNoNetwork } from "@aixgo/repository-tools/services/network";
import { waitFor } from "@aixgo/repository-tools/services/process";
import { startRedisCluster } from "@aixgo/repository-tools/services/redis";
import { newPrefix, opened, opsOf, started, surely } from "./support/sessions.ts";

const LONG = process.env["AIXGO_LONG"] === "1";
const PARTITIONS = LONG ? 5 : 1;
const KILLS = LONG ? 10 : 2;
const BACKENDS = 3;
/** Each on a session of its own: those of the other shards go on. */
const WRITERS = 12;
const PATIENCE = { patienceMs: 100_000 };

const why = whyNoNetwork();
const because = why === undefined ? "" : ` (skipped: ${why})`;

interface Outcome {
  readonly acknowledged: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  /** Acknowledged while the network was cut. */
  readonly during: number;
}

/** Writers go on while packets between the two halves of the Cluster are dropped, and while masters are killed. They reach both halves. */
async function disturb(durability: "memory" | "quorum", partitions: number, kills: number): Promise<Outcome> {
  const network = await startNetwork();
  onTestFinished(() => network.remove());
  const cluster = await startRedisCluster({ appendonly: "everysec", sides: network.sides });
  onTestFinished(() => cluster.stop());
  const prefix = newPrefix();
  const backends = Array.from({ length: BACKENDS }, () => {
    const client = new Cluster(cluster.startupNodes, {
      lazyConnect: true,
      clusterRetryStrategy: () => 100,
      slotsRefreshTimeout: 2_000,
      redisOptions: { maxRetriesPerRequest: 2, connectTimeout: 1_000 },
    });
    client.on("error", () => {});
    onTestFinished(() => client.disconnect());
    return opened({ client, keyPrefix: prefix, durability, commandTimeoutMs: 1_000, ...(durability === "quorum" ? { replicas: 1 } : {}) });
  });
  const [first] = backends;
  if (first === undefined) throw new Error("no backend");
  const ids = (await Promise.all(Array.from({ length: WRITERS }, () => started(first)))).map(({ ref }) => ref.id);

  const acked = new Set<string>();
  let going = true;
  const writers = Promise.all(
    ids.map(async (id, w) => {
      for (let i = 0; going; i++) {
        const op = `${w}:${i}`;
        await surely(backends[w % BACKENDS] ?? first, id, op, 120_000);
        acked.add(op);
      }
    }),
  );
  writers.catch(() => undefined);
  const more = async (count: number): Promise<void> => {
    const due = acked.size + count;
    await waitFor("appends go on", () => acked.size >= due, PATIENCE);
  };
  const settled = (): Promise<void> =>
    waitFor(
      "every master has its replica",
      async () => {
        const roles = await Promise.all(cluster.nodes.map((node) => node.cli("INFO", "replication")));
        const masters = roles.filter((role) => role.includes("role:master"));
        return (
          masters.length === 3 &&
          masters.every((role) => role.includes("state=online")) &&
          (await cluster.nodes[1]?.cli("CLUSTER", "INFO"))?.includes("cluster_state:ok") === true
        );
      },
      PATIENCE,
    );

  let during = 0;
  for (let round = 0; round < partitions; round++) {
    await more(50);
    const before = acked.size;
    await network.cut();
    // Until its replica has taken its place, the master that is cut off goes on by itself.
    await waitFor("its replica has taken its place", () => isMaster(cluster.nodes[3]), PATIENCE);
    await more(50);
    during += acked.size - before;
    await network.heal();
    await settled();
    // As it was: the next cut has the same master on its own.
    await waitFor(
      "the first master is back",
      async () => {
        if (await isMaster(cluster.nodes[0])) return true;
        // A busy machine may let one run out.
        await cluster.nodes[0]?.cli("CLUSTER", "FAILOVER");
        return false;
      },
      { ...PATIENCE, everyMs: 6_000 },
    );
    await settled();
  }
  for (let round = 0; round < kills; round++) {
    await more(30);
    const roles = await Promise.all(cluster.nodes.map((node) => node.cli("INFO", "replication")));
    const masters = cluster.nodes.filter((_, i) => roles[i]?.includes("role:master"));
    const victim = masters[round % masters.length];
    await victim?.kill();
    await more(30);
    await victim?.restart();
    await settled();
  }
  await more(30);
  going = false;
  await writers;

  const found = new Map<string, number>();
  for (const id of ids) {
    for (const [op, times] of await opsOf(first, id)) found.set(op, (found.get(op) ?? 0) + times);
    await verifyLog(first, await first.head(id));
  }
  return {
    acknowledged: acked.size,
    lost: [...acked].filter((op) => !found.has(op)),
    doubled: [...found].filter(([, times]) => times > 1).map(([op]) => op),
    during,
  };
}

async function isMaster(node: { readonly cli: (...command: string[]) => Promise<string> } | undefined): Promise<boolean> {
  return (await node?.cli("INFO", "replication"))?.includes("role:master") === true;
}

describe.skipIf(why !== undefined)(`a Cluster that a partition cuts in two, while writers reach both halves${because}`, () => {
  it(`quorum: nothing that was acknowledged is lost in ${PARTITIONS} partitions and ${KILLS} kills`, async () => {
    const { acknowledged, lost, doubled, during } = await disturb("quorum", PARTITIONS, KILLS);
    expect({ lost, doubled }).toEqual({ lost: [], doubled: [] });
    expect(acknowledged).toBeGreaterThan(100);
    expect(during).toBeGreaterThan(0);
    if (LONG) process.stderr.write(`quorum: 0 of ${acknowledged} lost, ${during} of them acknowledged while the network was cut\n`);
  }, 900_000);

  it("memory: what the cut-off master acknowledged is lost, as documented; nothing is doubled", async () => {
    const { acknowledged, lost, doubled, during } = await disturb("memory", 1, 0);
    expect(lost.length).toBeGreaterThan(0);
    expect(doubled).toEqual([]);
    if (LONG)
      process.stderr.write(
        `memory: ${lost.length} of ${during} lost that were acknowledged while the network was cut, of ${acknowledged} in all\n`,
      );
  }, 900_000);
});
