import { AixgoError } from "@aixgo/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import { Writer } from "../src/writer.ts";
import { logPlace } from "./log-place.ts";

const pauses: number[] = [];
/** A pause takes no time; only the clock goes on. */
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => {
    pauses.push(ms);
    vi.advanceTimersByTime(ms);
    return Promise.resolve();
  },
}));

beforeEach(() => {
  pauses.length = 0;
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const down = (): AixgoError => new AixgoError("BACKEND_UNAVAILABLE", "for a while");
const unknown = (): AixgoError => new AixgoError("OUTCOME_UNKNOWN", "no answer");
const refused = (): AixgoError => new AixgoError("LIMIT_EXCEEDED", "too much");

interface Place {
  /** Appends, and says how it ended and after how long. */
  append(): Promise<readonly [outcome: string, ms: number]>;
  /** How the store answers from now on; what is left out works. */
  answers: (() => AixgoError | undefined)[];
}
async function place(rebaseMs: number): Promise<Place> {
  const made: Place = { append, answers: [] };
  const { log } = await logPlace((store) => ({
    append: async (...parameters: Parameters<SessionBackend["append"]>) => {
      const [answer] = made.answers.length > 1 ? made.answers.splice(0, 1) : made.answers;
      const error = answer?.();
      if (error !== undefined) throw error;
      return store.append(...parameters);
    },
  }));
  const writer = new Writer(log, rebaseMs);
  let drafted = 0;
  async function append(): Promise<readonly [string, number]> {
    const began = performance.now();
    const draft = { id: `d${(drafted += 1)}`, type: "metadata", side: {}, data: "{}" } as const;
    const outcome = await writer.submit({ drafts: [draft] }).then(
      () => "written",
      (error: unknown) => (error as AixgoError).code,
    );
    return [outcome, performance.now() - began];
  }
  return made;
}

describe("between two attempts at a store", () => {
  it.each([
    ["longest", 1 - Number.EPSILON, [5, 10, 20, 40, 80, 160, 250, 250, 250]],
    ["shortest", 0, [2.5, 5, 10, 20, 40, 80, 125, 125, 125]],
  ])("pauses grow up to a quarter of a second; at the %s", async (_, random, expected) => {
    vi.spyOn(Math, "random").mockReturnValue(random);
    const store = await place(60_000);
    store.answers = [...Array<typeof down>(expected.length).fill(down), () => undefined];
    expect((await store.append())[0]).toBe("written");
    expect(pauses.map((ms) => Math.round(ms * 1000) / 1000)).toEqual(expected);
  });
});

describe("the time that an append has", () => {
  /** It may run out in the middle of a pause. */
  const expectAfter = (ms: number, code: string, [outcome, took]: readonly [string, number]): void => {
    expect(outcome).toBe(code);
    expect(took).toBeGreaterThanOrEqual(ms);
    expect(took).toBeLessThanOrEqual(ms + 250);
  };

  it("is that of an outage, whatever was refused for another reason shortly before", async () => {
    const store = await place(2000);
    store.answers = [refused];
    expect(await store.append()).toEqual(["LIMIT_EXCEEDED", 0]);
    vi.advanceTimersByTime(1900);
    store.answers = [down];
    expectAfter(2000, "BACKEND_UNAVAILABLE", await store.append());
  });

  it("begins anew with an outage that comes after another was over, or long after anybody asked", async () => {
    const store = await place(2000);
    store.answers = [down, down, () => undefined];
    expect((await store.append())[0]).toBe("written");
    vi.advanceTimersByTime(1900);
    store.answers = [down];
    expectAfter(2000, "BACKEND_UNAVAILABLE", await store.append());
    // What comes right behind does not wait as long again; what comes much later does.
    expect(await store.append()).toEqual(["BACKEND_UNAVAILABLE", 0]);
    vi.advanceTimersByTime(1900);
    expect(await store.append()).toEqual(["BACKEND_UNAVAILABLE", 0]);
    vi.advanceTimersByTime(2100);
    expectAfter(2000, "BACKEND_UNAVAILABLE", await store.append());
  });

  it("is not longer after its answer was lost, though the store cannot be had since", async () => {
    const store = await place(2000);
    const slow = (): AixgoError => {
      vi.advanceTimersByTime(1900);
      return unknown();
    };
    store.answers = [slow, down];
    expectAfter(2000, "OUTCOME_UNKNOWN", await store.append());
  });
});
