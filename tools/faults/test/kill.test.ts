import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "@aixgo/repository-tools/services/postgres";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { expect, it } from "vitest";
import { killRow, type KillOptions } from "../src/rows/kill.ts";
import { notices, passes, SEED, size } from "./row.ts";

const files: Pick<KillOptions, "newStore" | "dispose"> = {
  newStore: () => ({ kind: "file", store: mkdtempSync(join(tmpdir(), "aixgo-kill-")) }),
  dispose: ({ store }) => rmSync(store, { recursive: true, force: true }),
};

it("R1: files lose and double nothing that they acknowledged when their writers are killed", async () => {
  await passes(killRow({ ...files, kills: size(150, 10_000), seed: SEED }));
});

it("R1: Redis loses and doubles nothing that it acknowledged when its writers are killed", async () => {
  const server = await startRedis({ appendonly: "always" });
  try {
    let stores = 0;
    await passes(
      killRow({ newStore: () => ({ kind: "redis", store: `${server.url}#s${stores++}` }), kills: size(150, 10_000), seed: SEED }),
    );
  } finally {
    await server.stop();
  }
});

it("R1: PostgreSQL loses and doubles nothing that it acknowledged when its writers are killed", async () => {
  const server = await startPostgres();
  try {
    let stores = 0;
    await passes(
      killRow({ newStore: () => ({ kind: "postgres", store: `${server.url}#s${stores++}` }), kills: size(150, 10_000), seed: SEED }),
    );
  } finally {
    await server.stop();
  }
});

it("R1 notices an append that is acknowledged before it is written", async () => {
  await notices(killRow({ ...files, kills: 20, seed: SEED, mutant: "answer before the write" }));
});

it("a seed draws the same plan again", async () => {
  const { createRandom } = await import("../src/random.ts");
  const draw = (seed: number): number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 100 }, () => random.below(1000));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(new Set(draw(7)).size).toBeGreaterThan(80);
});
