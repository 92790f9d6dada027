import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createDeadlines } from "../src/deadlines.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

const same = (error: unknown): Error => error as Error;
const never = new Promise<never>(() => {});

describe("deadlines", () => {
  it("each runs out by itself, in the order in which they were set", async () => {
    const { within } = createDeadlines(1000);
    const ends: string[] = [];
    for (const name of ["first", "second", "third"]) {
      within(never, () => new Error(name), same).catch((error: Error) => ends.push(error.message));
      await vi.advanceTimersByTimeAsync(300);
    }
    expect(ends).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(ends).toEqual(["first"]);
    await vi.advanceTimersByTimeAsync(300);
    expect(ends).toEqual(["first", "second"]);
    await vi.advanceTimersByTimeAsync(300);
    expect(ends).toEqual(["first", "second", "third"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("what settles in time settles as it is, and a later one still has its whole time", async () => {
    const { within } = createDeadlines(1000);
    expect(await within(Promise.resolve(7), () => new Error("late"), same)).toBe(7);
    await expect(within(Promise.reject(new Error("own")), () => new Error("late"), same)).rejects.toThrow("own");
    await vi.advanceTimersByTimeAsync(900);
    let ended = "";
    within(never, () => new Error("late"), same).catch((error: Error) => (ended = error.message));
    await vi.advanceTimersByTimeAsync(990);
    expect(ended).toBe("");
    await vi.advanceTimersByTimeAsync(20);
    expect(ended).toBe("late");
  });
});
