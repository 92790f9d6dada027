import { testBackend } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { quorum, SERVER } from "./support/fixtures.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;

beforeAll(async () => {
  redis = await startRedis({ replicas: 2, appendonly: "everysec" });
  process.env[SERVER] = redis.url;
});
afterAll(() => redis.stop());

const { notApplicable } = testBackend({ describe, it }, quorum);

it("every case of the kit applies, but those of one server alone", () => {
  expect(notApplicable.filter(({ id }) => !/failover/.test(id))).toEqual([]);
});
