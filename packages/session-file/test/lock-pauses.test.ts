import { rmSync } from "node:fs";
import type * as Timers from "node:timers/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createStripes } from "../src/stripes.ts";
import { temporaryStore } from "./support/writer.ts";

const { waits } = vi.hoisted(() => ({ waits: [] as (number | "a turn")[] }));
vi.mock("node:timers/promises", async (original) => {
  const real = await original<typeof Timers>();
  return {
    ...real,
    setImmediate: () => (waits.push("a turn"), real.setImmediate()),
    setTimeout: (ms: number) => (waits.push(ms), real.setImmediate()),
  };
});

let folder: string;
beforeEach(() => {
  folder = temporaryStore();
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

it("who misses a lock tries again at once, and then after pauses that double up to 17 ms", async () => {
  let left = 9;
  const engine = { tryLock: () => (left -= 1) < 0, unlock: () => undefined, holder: () => undefined, close: () => undefined };
  const stripes = createStripes(folder, { lockTimeoutMs: 60_000, singleProcess: false, maxOpen: 3, engine });
  for (const [random, pauses] of [
    [1, [2, 3, 5, 9, 17, 17]],
    [0, [1, 1, 1, 1, 1, 1]],
  ] as const) {
    left = 9;
    waits.length = 0;
    vi.spyOn(Math, "random").mockReturnValue(random);
    expect(await stripes.hold("00", "testing", () => "free")).toBe("free");
    expect(waits).toEqual(["a turn", "a turn", "a turn", ...pauses]);
  }
  stripes.close();
  await nextTurn();
});
