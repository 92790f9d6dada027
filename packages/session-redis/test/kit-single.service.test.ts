import { testBackend } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { SERVER, single } from "./support/fixtures.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;

beforeAll(async () => {
  redis = await startRedis();
  process.env[SERVER] = redis.url;
});
afterAll(() => redis.stop());

const { notApplicable } = testBackend({ describe, it }, single);

it("every case of the kit applies, but those of the optional members", () => {
  expect(notApplicable.filter(({ id }) => !/watch|blobs/.test(id))).toEqual([]);
});
