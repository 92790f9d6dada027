import { AixgoError } from "@aixgo/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Lease, SessionBackend } from "../src/backend.ts";
import { LeaseKeeper } from "../src/lease.ts";

const ref = { id: "s", incarnation: "life" };
const lease = { fence: 3, token: "t" };
const LEASE_MS = 3000;

let asked: { readonly at: number; readonly with: readonly unknown[] }[];
let lost: unknown[];
let cancels: string[];
let answer: () => Promise<Partial<Lease>>;

function keep(onCancel = (reason: string): unknown => cancels.push(reason)): LeaseKeeper {
  const began = Date.now();
  const backend = {
    renew(...parameters: unknown[]) {
      asked.push({ at: Date.now() - began, with: parameters });
      return answer();
    },
  } as unknown as SessionBackend;
  return new LeaseKeeper({
    backend,
    ref,
    lease,
    leaseMs: LEASE_MS,
    onLost: (error) => lost.push(error),
    onCancel,
  });
}
const times = (): number[] => asked.map(({ at }) => at);

beforeEach(() => {
  vi.useFakeTimers();
  [asked, lost, cancels] = [[], [], []];
  answer = async () => ({});
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a lease that is kept", () => {
  it("is prolonged each third of its life, by its own length, until it is stopped", async () => {
    const keeper = keep();
    await vi.advanceTimersByTimeAsync(999);
    expect(asked).toEqual([]);
    await vi.advanceTimersByTimeAsync(2001);
    expect(times()).toEqual([1000, 2000, 3000]);
    expect(asked[0]?.with).toEqual([ref, lease, LEASE_MS]);
    keeper.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
    expect([lost, cancels]).toEqual([[], []]);
  });

  it("keeps no process alive", () => {
    vi.useRealTimers();
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    const keeper = keep();
    expect(timers()).toBe(before);
    keeper.stop();
  });

  it("is asked for again sooner while the store fails, and then as usual", async () => {
    let faults = 2;
    answer = async () => {
      if ((faults -= 1) >= 0) throw new AixgoError("BACKEND_UNAVAILABLE", "for a moment");
      return {};
    };
    const keeper = keep();
    await vi.advanceTimersByTimeAsync(2200);
    expect(times()).toEqual([1000, 1300, 1600]);
    await vi.advanceTimersByTimeAsync(400);
    expect(times()).toEqual([1000, 1300, 1600, 2600]);
    expect(lost).toEqual([]);
    keeper.stop();
  });

  it.each(["FENCED", "SESSION_DELETED", "SESSION_NOT_FOUND", "INCARNATION_CHANGED", "BACKEND_CLOSED"])(
    "is lost for good with %s, and asked for no more",
    async (code) => {
      const error = new AixgoError(code, "gone");
      answer = async () => Promise.reject(error);
      keep();
      await vi.advanceTimersByTimeAsync(20_000);
      expect(times()).toEqual([1000]);
      expect(lost).toEqual([error]);
    },
  );

  it("tells what others ask of its turn, and is still kept: the turn may need it to end", async () => {
    answer = async () => ({ cancelRequested: "enough" });
    const keeper = keep();
    await vi.advanceTimersByTimeAsync(2000);
    expect(cancels).toEqual(["enough", "enough"]);
    keeper.stop();
  });

  it("is not asked for again if what others ask stops it", async () => {
    answer = async () => ({ cancelRequested: "enough" });
    const keeper = keep(() => keeper.stop());
    await vi.advanceTimersByTimeAsync(10_000);
    expect([times(), vi.getTimerCount()]).toEqual([[1000], 0]);
  });

  it.each<[string, () => Promise<Partial<Lease>>]>([
    ["an answer", async () => ({ cancelRequested: "enough" })],
    ["a refusal", async () => Promise.reject(new AixgoError("FENCED", "gone"))],
    ["a fault", async () => Promise.reject(new AixgoError("BACKEND_UNAVAILABLE", "down"))],
  ])("hears nothing of %s that comes after it was stopped", async (_, late) => {
    let release = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (release = resolve));
    answer = () => waiting.then(late);
    const keeper = keep();
    await vi.advanceTimersByTimeAsync(1000);
    keeper.stop();
    release();
    await vi.advanceTimersByTimeAsync(10_000);
    expect([times(), lost, cancels, vi.getTimerCount()]).toEqual([[1000], [], [], 0]);
  });
});
