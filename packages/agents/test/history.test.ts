import type { HistoryOptions, Message, Part } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { estimateTokens } from "../src/index.ts";
import { type HistoryBudget, readHistory, withinBudget } from "../src/history.ts";
import { message } from "./harness.ts";

const call = (id: string): Part => ({ type: "tool-call", toolCallId: id, toolName: "t", input: {} });
const result = (id: string): Part => ({ type: "tool-result", toolCallId: id, toolName: "t", output: { type: "text", value: "r" } });
const step = (id: string): Message[] => [message("assistant", [call(id)]), message("tool", [result(id)])];
const turn = (text: string, ...steps: readonly Message[]): Message[] => [
  message("user", text),
  ...steps,
  message("assistant", `re ${text}`),
];

/** A session's history as the contract has it. */
function reader(messages: readonly Message[]) {
  const reads: HistoryOptions[] = [];
  return {
    reads,
    signal: new AbortController().signal,
    history: async (options: HistoryOptions = {}) => {
      reads.push(options);
      const chosen = messages.filter(({ role }) => options.roles === undefined || options.roles.includes(role));
      if (options.last === undefined || options.last >= chosen.length) return chosen;
      let start = chosen.length - options.last;
      while (start > 0 && chosen[start]?.role === "tool") start -= 1;
      return chosen.slice(start);
    },
  };
}

describe("the budget of the history", () => {
  it("without limits is everything, in one read", async () => {
    const all = [...turn("a"), ...turn("b")];
    const source = reader(all);
    expect(await readHistory(source, {})).toEqual(all);
    expect(source.reads).toHaveLength(1);
  });

  it("keeps the newest whole turns", () => {
    const [a, b, c] = [turn("a"), turn("b", ...step("1")), turn("c")];
    const all = [...a, ...b, ...c];
    expect(withinBudget(all, { maxMessages: 8 })).toEqual(all);
    expect(withinBudget(all, { maxMessages: 7 })).toEqual([...b, ...c]);
    expect(withinBudget(all, { maxMessages: 5 })).toEqual(c);
  });

  it("keeps the question and the newest steps of a newest turn that does not fit", () => {
    const long = turn("q", ...step("1"), ...step("2"));
    expect(withinBudget([...turn("old"), ...long], { maxMessages: 4 })).toEqual([long[0], ...long.slice(3)]);
    expect(withinBudget(long, { maxMessages: 3 })).toEqual([long[0], long[5]]);
    expect(withinBudget(long, { maxMessages: 1 })).toEqual([]);
  });

  it("never cuts system messages, which do not count", async () => {
    const all = [message("system", "rule"), ...turn("a"), ...turn("b"), ...turn("c")];
    expect(withinBudget(all, { maxMessages: 2 })).toEqual([all[0], ...all.slice(5)]);
    expect(await readHistory(reader(all), { maxMessages: 2 })).toEqual([all[0], ...all.slice(5)]);
    expect(await readHistory(reader(all), { maxMessages: 0 })).toEqual([all[0]]);
    expect(await readHistory(reader(all), { maxTokens: 0 })).toEqual([all[0]]);
  });

  it("reads of a long history not much more than it keeps", async () => {
    const all = Array.from({ length: 5_000 }, (_, index) => turn(`question ${index}`)).flat();
    for (const budget of [{ maxMessages: 20 }, { maxTokens: 200 }]) {
      const source = reader(all);
      const kept = await readHistory(source, budget);
      expect(kept).toEqual(withinBudget(all, budget));
      expect(source.reads.filter(({ last }) => last === undefined)).toEqual([{ roles: ["system"], signal: source.signal }]);
      expect(Math.max(...source.reads.map(({ last }) => last ?? 0))).toBeLessThanOrEqual(64);
    }
  });

  it("finds the question of a newest turn that is longer than the first read", async () => {
    const long = turn("question", ...Array.from({ length: 100 }, (_, index) => step(String(index))).flat());
    const kept = await readHistory(reader([...turn("old"), ...long]), { maxMessages: 6 });
    expect(kept[0]).toEqual(long[0]);
    expect(kept.slice(1)).toEqual(long.slice(-5));
  });

  it("read in pieces is what it is of the whole; kept in order, whole steps, within limits", async () => {
    const anyTurn = fc
      .tuple(fc.string({ maxLength: 60 }), fc.integer({ min: 0, max: 60 }), fc.boolean())
      .map(([text, steps, ruled]) => [
        ...(ruled ? [message("system", "rule")] : []),
        ...turn(text, ...Array.from({ length: steps }, (_, index) => step(String(index))).flat()),
      ]);
    const limit = fc.option(fc.integer({ min: 0, max: 400 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(anyTurn, { maxLength: 8 }), limit, limit, async (turns, maxMessages, maxTokens) => {
        const budget: HistoryBudget = {
          ...(maxMessages === undefined ? {} : { maxMessages }),
          ...(maxTokens === undefined ? {} : { maxTokens: maxTokens * 10 }),
        };
        const all = turns.flat();
        const kept = await readHistory(reader(all), budget);
        const spoken = kept.filter(({ role }) => role !== "system");
        expect(spoken).toEqual(withinBudget(all, budget).filter(({ role }) => role !== "system"));
        expect(kept.length - spoken.length).toBe(all.filter(({ role }) => role === "system").length);
        expect(spoken.length).toBeLessThanOrEqual(maxMessages ?? Infinity);
        expect(spoken.reduce((sum, each) => sum + estimateTokens(each), 0)).toBeLessThanOrEqual(budget.maxTokens ?? Infinity);
        const places = spoken.map((each) => all.indexOf(each));
        expect(places).toEqual(places.toSorted((a, b) => a - b));
        expect(new Set(places).size).toBe(places.length);
        if (spoken.length > 0) expect(spoken[0]?.role).toBe("user");
        spoken.forEach(({ role, parts }, index) => {
          if (role === "assistant" && parts[0]?.type === "tool-call") expect(spoken[index + 1]?.role).toBe("tool");
          if (role === "tool") expect(spoken[index - 1]?.parts[0]?.type).toBe("tool-call");
        });
      }),
      { numRuns: 200 },
    );
  });

  it("estimates a quarter of the characters, and a fixed cost for files whatever their length", () => {
    expect(estimateTokens({ parts: [{ type: "text", text: "x".repeat(400) }] })).toBe(104);
    const file = (url: string): number => estimateTokens({ parts: [{ type: "file", mediaType: "image/png", url }] });
    expect(file(`data:image/png;base64,${"A".repeat(1_000_000)}`)).toBe(file("https://example.com/a.png"));
    expect(estimateTokens({ parts: [result("a")] })).toBeGreaterThan(4);
    expect(estimateTokens({ parts: [{ type: "data-x", data: "x".repeat(400) }] })).toBe(4);
  });
});
