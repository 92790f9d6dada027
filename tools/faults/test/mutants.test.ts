import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { applied, MUTANTS } from "../src/mutation/mutants.ts";

it.each(MUTANTS)('the mutant "$name" changes code that is there', ({ changes }) => {
  for (const change of changes) {
    const source = readFileSync(new URL(`../../../packages/${change.file}`, import.meta.url), "utf8");
    expect(applied(source, [change])).not.toBe(source);
  }
});

it("a mutant of code that has moved on is refused", () => {
  const change = { file: "a.js", from: "one", to: "two" };
  expect(() => applied("three", [change])).toThrow("a.js does not hold exactly once: one");
  expect(() => applied("one one", [change])).toThrow("does not hold exactly once");
  expect(applied("a one b", [change])).toBe("a two b");
});

it("docs/reliability.md names each mutant with its row", () => {
  const page = readFileSync(new URL("../../../docs/reliability.md", import.meta.url), "utf8");
  for (const { name, row } of MUTANTS.filter((mutant) => !mutant.breaks.startsWith("nothing")))
    expect(page).toMatch(new RegExp(`\\| ${row} \\|[^\\n]*${name}`));
});
