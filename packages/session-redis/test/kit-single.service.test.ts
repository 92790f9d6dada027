import { testBackend } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { SERVER, single } from "./support/fixtures.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;

beforeAll(async () => {
  redis = await startRedis({ appendonly: "everysec" });
  process.env[SERVER] = redis.url;
});
afterAll(() => redis.stop());

// A killed server has what it had written to its append-only file, synced or not: only the machine's end takes that away.
const { notApplicable } = testBackend({ describe, it }, { ...single, failover: () => redis.server.restart() });

it("every case of the kit applies", () => {
  expect(notApplicable).toEqual([]);
});
