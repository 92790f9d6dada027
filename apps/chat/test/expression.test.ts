import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, ExpressionError } from "../src/tools/expression.ts";

const CHARACTERS = "0123456789.eE+-*/%^(), sqrtpimax".split("");

describe("evaluate", () => {
  it.each<[string, number]>([
    ["1+2*3", 7],
    ["(1+2)*3", 9],
    ["10-4-3", 3],
    ["100/10/5", 2],
    ["2^3^2", 512],
    ["2**10", 1024],
    ["-2^2", -4],
    ["(-2)^2", 4],
    ["2^-1", 0.5],
    ["--3", 3],
    ["2--3", 5],
    ["7%3", 1],
    ["0.1+0.2", 0.3],
    [".5*4", 2],
    ["1e3+1", 1001],
    ["1.5E-2*100", 1.5],
    ["sqrt(16)+abs(-3)", 7],
    ["max(1, 2, 3)-min(4,5)", -1],
    ["round(2.5)", 3],
    ["2*pi/pi", 2],
    ["ln(e)", 1],
    [" 1 +\t2 ", 3],
    ["0*-1", 0],
  ])("%s = %d", (text, value) => {
    expect(evaluate(text)).toBe(value);
  });

  it.each([
    ["", /empty/],
    ["   ", /empty/],
    ["1/0", /division by zero/],
    ["1%0", /division by zero/],
    ["1+", /ends too early/],
    ["(1", /"\)" is missing/],
    ["1)", /"\)" was not expected/],
    ["2(3)", /"\(" was not expected/],
    ["*2", /"\*" was not expected/],
    ["x+1", /"x" is not known/],
    ["constructor", /not known/],
    ["__proto__", /is no number/],
    ["toString()", /not known/],
    ["sqrt 4", /in parentheses/],
    ["sqrt(1,2)", /takes 1 values/],
    ["sqrt(-1)", /not a real number/],
    ["10^400", /too large/],
    ["1+\u{1F642}", /is no number/],
    ["process.exit(1)", /not known|is no number/],
    ["(".repeat(500) + "1" + ")".repeat(400), /nested more than/],
    ["1".repeat(2_000), /1000 characters/],
    ["2^".repeat(300) + "2", /nested more than/],
  ])("refuses %s", (text, problem) => {
    expect(() => evaluate(text)).toThrow(ExpressionError);
    expect(() => evaluate(text)).toThrow(problem);
  });

  it("works out what a tree of sums and products is", () => {
    interface Tree {
      readonly text: string;
      readonly value: number;
    }
    const number = fc.integer({ min: 0, max: 99 }).map((value): Tree => ({ text: String(value), value }));
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        number,
        fc.tuple(tie("tree"), tie("tree")).map(([a, b]): Tree => ({ text: `(${a.text} + ${b.text})`, value: a.value + b.value })),
        fc.tuple(tie("tree"), number).map(([a, b]): Tree => ({ text: `(${a.text}-${b.text})`, value: a.value - b.value })),
        fc.tuple(tie("tree"), number).map(([a, b]): Tree => ({ text: `${a.text} *${b.text}`, value: a.value * b.value })),
        tie("tree").map((inner): Tree => ({ text: `(-(${inner.text}))`, value: -inner.value })),
      ),
    }));
    fc.assert(
      fc.property(tree, ({ text, value }) => {
        expect(evaluate(text)).toBeCloseTo(value, 6);
      }),
    );
  });

  it("answers any text with a number or an ExpressionError", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...CHARACTERS) }), (text) => {
        try {
          expect(Number.isFinite(evaluate(text))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(ExpressionError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
