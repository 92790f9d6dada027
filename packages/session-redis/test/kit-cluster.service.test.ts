import { cases, runCases, testBackend } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedisCluster } from "@aixgo/repository-tools/services/redis";
import { cluster, clusterQuorum, NODES } from "./support/fixtures.ts";

let redis: Awaited<ReturnType<typeof startRedisCluster>>;

beforeAll(async () => {
  redis = await startRedisCluster({ appendonly: "everysec" });
  process.env[NODES] = JSON.stringify(redis.startupNodes);
});
afterAll(() => redis.stop());

const { notApplicable } = testBackend({ describe, it }, cluster);

it("every case of the kit applies, but those of one server alone", () => {
  expect(notApplicable.filter(({ id }) => !/failover|remain|erase-wrapped/.test(id))).toEqual([]);
});

it("with quorum it passes the kit as well, all but its processes, which share no more than its nodes do", async () => {
  const only = cases.map(({ id }) => id).filter((id) => !/^(?:processes|clocks|failover)\/|remain|erase-wrapped/.test(id));
  const results = await runCases(clusterQuorum, { only });
  expect(results.filter(({ passed }) => !passed).map(({ id, error }) => `${id}: ${String(error)}`)).toEqual([]);
  expect(results.length).toBe(only.length);
}, 180_000);
