import { expect, it } from "vitest";
import { blocksOf } from "../readme-blocks.mjs";

it("finds the TypeScript blocks of a page, and what is to be done with each", () => {
  const page = [
    "text",
    "```ts",
    "one",
    "```",
    "```sh",
    "npm",
    "```",
    "```ts run",
    "two",
    "```",
    "~~~typescript",
    "three",
    "~~~",
    "```ts continue",
    "four",
    "```",
    "````md",
    "```ts",
    "not code",
    "```",
    "````",
    "```ts file=a-b.ts",
    "five",
    "```",
  ].join("\n");
  expect(blocksOf("p.md", page)).toEqual([
    { file: "p.md", line: 2, code: "one", runs: false, name: undefined },
    { file: "p.md", line: 8, code: "two", runs: true, name: undefined },
    { file: "p.md", line: 11, code: "three\nfour", runs: false, name: undefined },
    { file: "p.md", line: 22, code: "five", runs: false, name: "a-b.ts" },
  ]);
});

it.each([
  ["```ts ignore\nx\n```", "p.md:1: a code block may be marked"],
  ["```ts file=../x.ts\nx\n```", "p.md:1: a code block may be marked"],
  ["```ts continue\nx\n```", "p.md:1: there is no block before"],
  ["```ts\nx\n", "p.md:1: the code block is never closed"],
])("%j is refused, so that no block slips through", (page, problem) => {
  expect(() => blocksOf("p.md", page)).toThrow(problem);
});
