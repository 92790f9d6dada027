import { AssertionError } from "node:assert";
import { describe, expect, it } from "vitest";
import { isAixgoError } from "../src/index.ts";
import { runRuntimeCases, runtimeCases } from "../src/testing.ts";
import { runtimeMutants } from "./runtime-mutants.ts";

describe("the suite finds what each mutant breaks", () => {
  for (const { name, mustFail, create } of runtimeMutants) {
    it(name, { timeout: 120_000 }, async () => {
      const failed = (await runRuntimeCases(create, { only: mustFail, timeoutMs: 800 })).filter(({ passed }) => !passed);
      expect(failed.map(({ id }) => id).toSorted()).toEqual([...mustFail].toSorted());
      // By what the mutant did or threw, not by a fault of the suite.
      for (const { id, error } of failed)
        expect(error instanceof AssertionError || isAixgoError(error), `${id}: ${String(error)}`).toBe(true);
    });
  }
});

it("names of mutants and ids of cases are unique, and every area is failed by a mutant", () => {
  const ids = runtimeCases.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(runtimeMutants.map(({ name }) => name)).size).toBe(runtimeMutants.length);
  const areas = (of: readonly string[]): string[] => [...new Set(of.map((id) => id.slice(0, id.indexOf("/"))))].toSorted();
  expect(areas(runtimeMutants.flatMap(({ mustFail }) => mustFail))).toEqual(areas(ids));
});
it("runRuntimeCases refuses an id that is no case's", async () => {
  await expect(runRuntimeCases(runtimeMutants[0]?.create as never, { only: ["call/typo"] })).rejects.toThrow("call/typo");
});
