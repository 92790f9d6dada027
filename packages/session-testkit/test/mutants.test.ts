import { AssertionError } from "node:assert";
import { isAixgoError } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { cases, mutants, runCases } from "../src/index.ts";
import { expiringFixture } from "../src/mutants/expiring.ts";
import { failingOverFixture } from "../src/mutants/failing-over.ts";
import { memoryFixture } from "./memory-fixture.ts";

describe("the kit finds what each mutant breaks", () => {
  for (const { name, mustFail, create } of mutants) {
    it(name, async () => {
      const failed = (await runCases(create(), { only: mustFail, timeoutMs: 15_000 })).filter(({ passed }) => !passed);
      expect(failed.map(({ id }) => id).toSorted()).toEqual([...mustFail].toSorted());
      // By what the mutant did or threw, not by a fault of the kit or by waiting.
      for (const { id, error } of failed)
        expect(error instanceof AssertionError || isAixgoError(error), `${id}: ${String(error)}`).toBe(true);
    });
  }
});

it("names of mutants and ids of cases are unique", () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

it("every case that runs in one process is failed by a mutant", () => {
  const found = new Set(mutants.flatMap(({ mustFail }) => mustFail));
  const alone = [memoryFixture("memory"), expiringFixture("expiring"), failingOverFixture("failing over")];
  const unproven = cases.filter(({ id, needs }) => alone.some((one) => needs?.(one) === undefined) && !found.has(id));
  expect(unproven.map(({ id }) => id)).toEqual([]);
});
