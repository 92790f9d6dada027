import { testBackend } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { SERVER, single } from "./support/fixtures.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;

beforeAll(async () => {
  redis = await startRedis({ appendonly: "always" });
  process.env[SERVER] = redis.url;
});
afterAll(() => redis.stop());

// With `everysec` a server holds writes back for up to two seconds while the disk is busy with a sync: killed then, it has less than
// it has acknowledged.
const { notApplicable } = testBackend({ describe, it }, { ...single, failover: () => redis.server.restart() });

it("every case of the kit applies", () => {
  expect(notApplicable).toEqual([]);
});
