import { AssertionError } from "node:assert";
import { describe, expect, it } from "vitest";
import { cases, runCases, testBackend } from "../src/index.ts";
import { memoryFixture } from "./memory-fixture.ts";
import {
  blind,
  cached,
  deaf,
  eager,
  early,
  eternal,
  hasty,
  hoarding,
  inPrivate,
  newestWins,
  ownClock,
  piecemeal,
  presentOnly,
  remote,
  trusting,
} from "./remote-fixtures.ts";

// What a mutant whose clock is wrong compares with, in its children too.
process.env["AIXGO_TESTKIT_RIGHT_NOW"] = String(Date.now() - Number(process.hrtime.bigint() / 1_000_000n));

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
  { fixture: trusting, mustFail: ["processes/paused-holder"] },
  { fixture: inPrivate, mustFail: ["processes/deleted-under-writer", "processes/deleted-while-created"] },
  { fixture: eager, mustFail: ["processes/killed-creator", "processes/killed-rewriter"] },
  { fixture: piecemeal, mustFail: ["processes/killed-uploader"] },
  { fixture: ownClock, mustFail: ["clocks/lease"] },
  { fixture: newestWins, mustFail: ["clocks/appends"] },
  { fixture: presentOnly, mustFail: ["clocks/list"] },
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
    const { module: _, ...alone } = remote;
    const needing = cases.filter(({ needs }) => needs?.(remote) === undefined && needs?.(alone) !== undefined).map(({ id }) => id);
    expect(needing.length).toBeGreaterThan(15);
    expect(needing.filter((id) => !found.has(id))).toEqual([]);
  });
});

describe("a case that cannot be run is not skipped in silence", () => {
  const registered: string[] = [];
  const quiet = { describe: (_: string, body: () => void) => body(), it: (name: string) => void registered.push(name) };

  it("testBackend names it and the reason", () => {
    const { offers: _, remains: __, ...fixture } = memoryFixture("memory");
    const suite = testBackend(quiet, fixture);
    expect(suite.notApplicable.map(({ id }) => id)).toEqual(cases.filter(({ needs }) => needs !== undefined).map(({ id }) => id));
    for (const { id, reason } of suite.notApplicable)
      expect(reason).toMatch(/^(?:processes|clocks)\//.test(id) ? /module/ : /does not offer|the fixture has no /);
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
