import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRuntime, isAixgoError } from "../src/index.ts";
import { planPhases } from "../src/phases.ts";
import { errorOf, gate, settle } from "./support.ts";

describe("the plan of phases", () => {
  it("property: every agent comes after all it needs, as early as it can; with a cycle it is refused with a cycle that is there", () => {
    const names = Array.from({ length: 12 }, (_, n) => `a${n}`);
    const edge = fc.tuple(fc.nat(11), fc.nat(11)).filter(([from, to]) => from !== to);
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 25 }), (edges) => {
        const needs: Record<string, string[]> = {};
        for (const [from, to] of edges) (needs[`a${from}`] ??= []).push(`a${to}`);
        let phases: readonly (readonly string[])[];
        try {
          phases = planPhases(needs, names);
        } catch (error) {
          if (!isAixgoError(error, "INVALID_INPUT")) throw error;
          const cycle = /: (.*)$/.exec(error.message.slice("startPhased: ".length))?.[1]?.split(" → ") ?? [];
          expect(cycle.length).toBeGreaterThanOrEqual(3);
          expect(cycle[0]).toBe(cycle.at(-1));
          for (const [index, name] of cycle.slice(1).entries()) expect(needs[cycle[index] as string]).toContain(name);
          return;
        }
        const phaseOf = new Map(phases.flatMap((phase, index) => phase.map((name): [string, number] => [name, index])));
        expect([...phaseOf.keys()].toSorted()).toEqual(names.toSorted());
        for (const name of names) {
          const latest = Math.max(-1, ...(needs[name] ?? []).map((needed) => phaseOf.get(needed) as number));
          expect(phaseOf.get(name)).toBe(latest + 1);
        }
      }),
      { numRuns: 500 },
    );
  });
  it("of a chain of 50,000 agents overflows no stack", () => {
    const names = Array.from({ length: 50_000 }, (_, n) => `a${n}`);
    const needs = Object.fromEntries(names.slice(0, -1).map((name, n) => [name, [`a${n + 1}`]]));
    expect(planPhases(needs, names)).toHaveLength(50_000);
    expect(() => planPhases({ ...needs, a49999: ["a0"] }, names)).toThrow(/a0 → a1 → .*… → .*a0$/);
  });
  it("takes the names of members of every object for what they are", () => {
    expect(planPhases(JSON.parse('{"__proto__":["constructor"]}') as never, ["constructor", "__proto__"])).toEqual([
      ["constructor"],
      ["__proto__"],
    ]);
  });
});

describe("startPhased", () => {
  it("joins a start under way, and is done at once when the runtime is started", async () => {
    const up = gate();
    const runtime = createRuntime()
      .register({ name: "a", execute: () => "x", start: () => up.promise })
      .register("b", () => "x");
    const starts = Promise.all([runtime.start(), runtime.startPhased({ b: ["a"] })]);
    await settle();
    up.open();
    await starts;
    await runtime.startPhased({ b: ["a"] });
    expect((await runtime.call("b", "x")).text).toBe("x");
  });
  it("that fails ends the calls which an earlier phase had admitted", async () => {
    const running = gate();
    const runtime = createRuntime();
    let outcome: Promise<unknown> | undefined;
    runtime
      .register(
        "store",
        (_input, { signal }) => (
          running.open(),
          new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))
        ),
      )
      .register({
        name: "app",
        execute: () => "x",
        async start() {
          outcome = errorOf(runtime.call("store", "x"));
          await running.promise;
          throw new Error("no disk");
        },
      });
    expect((await errorOf(runtime.startPhased({ app: ["store"] }))).code).toBe("AGENT_FAILED");
    expect(await outcome).toMatchObject({ code: "CANCELLED" });
  });
  it("leaves no timer behind, whether it succeeds, fails or is aborted", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    for (const since = performance.now(); timers() > 0 && performance.now() - since < 20_000;) await settle();
    const agent = { name: "a", execute: () => "x" };
    await createRuntime().register(agent).startPhased({});
    const caller = new AbortController();
    const runtime = createRuntime()
      .register({ ...agent, ready: () => false })
      .register({ ...agent, name: "b", ready: () => new Promise<boolean>(() => {}) });
    const starting = errorOf(runtime.startPhased({}, { signal: caller.signal }));
    await settle();
    expect(timers()).toBeGreaterThan(0);
    caller.abort();
    expect((await starting).code).toBe("CANCELLED");
    expect(timers()).toBe(0);
  });
});
