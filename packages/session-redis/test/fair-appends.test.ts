import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Append, Appended } from "@aixgo/session/backend";
import { createFairAppends } from "../src/fair-appends.ts";

const SENT = { expect: { seq: 0, hash: "" }, lines: [] } satisfies Append;
const IN_TURN = { ...SENT, lease: { fence: 1, token: "t" } } satisfies Append;
const LANDED = { head: {} } as Appended;
const CONFLICT = { conflict: {} } as Appended;

/** Pauses that somebody makes. Each lasts until it is ended here, and only then its time has passed. */
const { pauses } = vi.hoisted(() => ({ pauses: [] as { readonly ms: number; readonly end: () => void }[] }));
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) =>
    new Promise<void>((resolve) => {
      const end = (): void => {
        vi.advanceTimersByTime(ms);
        resolve();
      };
      pauses.push({ ms, end });
    }),
}));

beforeEach(() => {
  pauses.length = 0;
  vi.useFakeTimers({ toFake: ["performance"] });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A session where another writer was met a moment ago, and an append has landed that took so long. */
async function contended(fair: ReturnType<typeof createFairAppends>, id: string, tookMs: number): Promise<void> {
  await fair.append(id, SENT, async () => CONFLICT);
  await fair.append(id, SENT, async () => (vi.advanceTimersByTime(tookMs), LANDED));
}

it("lets others have their turn after an append that met them, and does not hold up a turn, another session, or a conflict's retry", async () => {
  const fair = createFairAppends();
  const order: string[] = [];
  const told = (name: string) => async (): Promise<Appended> => {
    order.push(name);
    return LANDED;
  };
  await contended(fair, "a", 10);
  const waiting = fair.append("a", SENT, told("waited"));
  await fair.append("a", IN_TURN, told("turn"));
  await fair.append("b", SENT, told("other session"));
  expect(order).toEqual(["turn", "other session"]);
  // Up to eight times what the last one took; here half of that.
  expect(pauses.map(({ ms }) => ms)).toEqual([40]);
  pauses[0]?.end();
  await waiting;
  expect(order).toEqual(["turn", "other session", "waited"]);

  await contended(fair, "c", 10);
  const met = fair.append("c", SENT, async () => CONFLICT);
  pauses[1]?.end();
  await met;
  await fair.append("c", SENT, told("retried"));
  expect([order.at(-1), pauses.length]).toEqual(["retried", 2]);
});

it("stands back for 50 ms at most, and no more once others were not met for a quarter of a second", async () => {
  const fair = createFairAppends();
  await contended(fair, "a", 100);
  const waiting = fair.append("a", SENT, async () => LANDED);
  expect(pauses.map(({ ms }) => ms)).toEqual([50]);
  pauses[0]?.end();
  await waiting;
  vi.advanceTimersByTime(101);
  for (let i = 0; i < 2; i += 1) await fair.append("a", SENT, async () => LANDED);
  expect(pauses).toHaveLength(1);
});

it("goes on at once where nobody was met, and passes a failure on", async () => {
  const fair = createFairAppends();
  let sent = 0;
  const count = async (): Promise<Appended> => {
    sent += 1;
    return LANDED;
  };
  for (let i = 1; i <= 3; i += 1) {
    const appended = fair.append("a", SENT, count);
    expect(sent).toBe(i);
    await appended;
  }
  await expect(fair.append("a", SENT, () => Promise.reject(new Error("lost")))).rejects.toThrow("lost");
});
