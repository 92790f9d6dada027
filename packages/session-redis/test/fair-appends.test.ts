import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import type { Append, Appended } from "@aixgo/session/backend";
import { createFairAppends } from "../src/fair-appends.ts";

const SENT = { expect: { seq: 0, hash: "" }, lines: [] } satisfies Append;
const IN_TURN = { ...SENT, lease: { fence: 1, token: "t" } } satisfies Append;
const LANDED = { head: {} } as Appended;
const CONFLICT = { conflict: {} } as Appended;

afterEach(() => vi.restoreAllMocks());

/** A session where another writer was met a moment ago, and an append has landed that took 10 ms. */
async function contended(fair: ReturnType<typeof createFairAppends>, id: string): Promise<void> {
  vi.spyOn(Math, "random").mockReturnValue(0.99);
  await fair.append(id, SENT, async () => CONFLICT);
  await fair.append(id, SENT, async () => {
    await delay(10);
    return LANDED;
  });
}

it("lets others have their turn after an append that met them, and does not hold up a turn, another session, or a conflict's retry", async () => {
  const fair = createFairAppends();
  const order: string[] = [];
  const told = (name: string) => async (): Promise<Appended> => {
    order.push(name);
    return LANDED;
  };
  await contended(fair, "a");
  const began = performance.now();
  const waiting = fair.append("a", SENT, told("waited"));
  await fair.append("a", IN_TURN, told("turn"));
  await fair.append("b", SENT, told("other session"));
  await waiting;
  expect(performance.now() - began).toBeGreaterThan(40);
  expect(order).toEqual(["turn", "other session", "waited"]);

  await contended(fair, "c");
  await fair.append("c", SENT, async () => CONFLICT);
  const retried = fair.append("c", SENT, told("retried"));
  await Promise.resolve();
  expect(order.at(-1)).toBe("retried");
  await retried;
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
