import { AssertionError } from "node:assert";
import { describe, expect, it } from "vitest";
import { cases, runCases, testBackend } from "../src/index.ts";
import { memoryFixture } from "./memory-fixture.ts";
import { blind, cached, deaf, early, eternal, hasty, hoarding, remote } from "./remote-fixtures.ts";

testBackend({ describe, it }, remote);

/** What must fail on each broken store that several processes share. */
const broken = [
  { fixture: early, mustFail: ["processes/killed-writer"] },
  { fixture: blind, mustFail: ["processes/appenders", "processes/same-fence"] },
  { fixture: eternal, mustFail: ["processes/killed-holder"] },
  { fixture: cached, mustFail: ["processes/coherent", "processes/follow"] },
  { fixture: deaf, mustFail: ["processes/watch"] },
  { fixture: hoarding, mustFail: ["processes/blobs"] },
  { fixture: hasty, mustFail: ["processes/one-key"] },
] as const;

describe("the kit finds what is broken between processes", () => {
  for (const { fixture, mustFail } of broken) {
    it(
      fixture.name,
      async () => {
        const failed = (await runCases(fixture, { only: mustFail, timeoutMs: 60_000 })).filter(({ passed }) => !passed);
        expect(failed.map(({ id }) => id).toSorted()).toEqual([...mustFail].toSorted());
        // By what it did, not because a child could not be started.
        for (const { error } of failed) expect(error).toBeInstanceOf(AssertionError);
      },
      120_000,
    );
  }

  it("every case that needs processes is failed by one of them", () => {
    const found = new Set<string>(broken.flatMap(({ mustFail }) => mustFail));
    expect(
      cases.filter(({ id, needs }) => needs !== undefined && id.startsWith("processes/") && !found.has(id)).map(({ id }) => id),
    ).toEqual([]);
  });
});

describe("a case that cannot be run is not skipped in silence", () => {
  const registered: string[] = [];
  const quiet = { describe: (_: string, body: () => void) => body(), it: (name: string) => void registered.push(name) };

  it("testBackend names it and the reason", () => {
    const { offers: _, ...fixture } = memoryFixture("memory");
    const suite = testBackend(quiet, fixture);
    expect(suite.notApplicable.map(({ id }) => id)).toEqual(cases.filter(({ needs }) => needs !== undefined).map(({ id }) => id));
    for (const { id, reason } of suite.notApplicable) expect(reason).toMatch(id.startsWith("processes/") ? /module/ : /does not offer/);
    expect(suite.registered).toHaveLength(registered.length);
    expect(suite.registered.length + suite.notApplicable.length).toBe(cases.length);
  });

  it("a module for a store that no other process can open fails a case", async () => {
    const [result] = await runCases({ ...memoryFixture("memory"), module: import.meta.url }, { only: ["processes/declared"] });
    expect(result?.passed).toBe(false);
  });

  it("an unknown id is refused", async () => {
    await expect(runCases(memoryFixture("memory"), { only: ["no/such-case"] })).rejects.toThrow("no/such-case");
  });
});
