import { describe, expect, it } from "vitest";
import { row } from "../src/finding.ts";
import { counted, interleaved, summary } from "../src/measure.ts";

describe("interleaved", () => {
  it("runs all sides in turn, lets another begin each time, and does not count the first round", async () => {
    const ran: string[] = [];
    const sides = { a: () => ran.push("a"), b: async () => ran.push("b"), c: () => ran.push("c") };
    const found = await interleaved(sides, { rounds: 2, calls: 3 });
    expect(ran.join("")).toBe("abcbcacab".repeat(3));
    expect([found.a.calls, found.b.calls, found.c.calls]).toEqual([6, 6, 6]);
  });

  it("lets each make some calls in a row", async () => {
    const ran: string[] = [];
    const found = await interleaved({ a: () => ran.push("a"), b: () => ran.push("b") }, { rounds: 1, calls: 5, inARow: 3 });
    expect(ran.join("")).toBe("aaabbbbbaa".repeat(2));
    expect([found.a.calls, found.b.calls]).toEqual([5, 5]);
  });

  it("waits for each side before the next", async () => {
    let busy = 0;
    let worst = 0;
    const side = async (): Promise<void> => {
      busy += 1;
      worst = Math.max(worst, busy);
      await new Promise((resolve) => setImmediate(resolve));
      busy -= 1;
    };
    await interleaved({ a: side, b: side }, { rounds: 1, calls: 5 });
    expect(worst).toBe(1);
  });

  it("ends with the error of a side", async () => {
    const fails = async (): Promise<void> => {
      throw new Error("no disk");
    };
    await expect(interleaved({ a: fails }, { calls: 1 })).rejects.toThrow("no disk");
  });
});

describe("summary", () => {
  it.each([
    [[], Number.NaN, Number.NaN],
    [[7], 7, 7],
    [[3, 1, 2], 2, 3],
    [Array.from({ length: 200 }, (_, index) => 200 - index), 101, 199],
  ])("of %j", (values, median, p99) => {
    expect(summary(values)).toEqual({ median, p99, calls: values.length });
  });
});

describe("a row", () => {
  const facts = { id: "x", what: "x", against: "y" };
  it.each([
    ["a latency at its target", { ours: 14, floor: 10, target: 1.4 }, 1.4, true],
    ["a latency above it", { ours: 15, floor: 10, target: 1.4 }, 1.5, false],
    ["a throughput at its target", { ours: 20, floor: 15, target: 0.75, better: "more" as const }, 0.75, true],
    ["a throughput below it", { ours: 20, floor: 10, target: 0.75, better: "more" as const }, 0.5, false],
    ["a ratio that is no quotient of two times", { ours: 1, floor: 4, target: 0.25, better: "more" as const, ratio: 0.25 }, 0.25, true],
    ["no target", { ours: 20, floor: 10 }, 2, undefined],
  ])("%s", (_, { ours, floor, ...rest }, ratio, met) => {
    const found = row({ ...facts, ours: counted(ours), floor: counted(floor), ...rest });
    expect([found.ratio, found.met]).toEqual([ratio, met]);
  });
});
