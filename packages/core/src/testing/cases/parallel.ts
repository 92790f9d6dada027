import assert from "node:assert/strict";
import type { Message } from "../../message.ts";
import { textOf } from "../../message.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, heeding, settle, until } from "../waiting.ts";

const codeOf = (outcome: PromiseSettledResult<unknown> | undefined): string =>
  outcome?.status === "rejected" ? String((outcome.reason as { code?: unknown }).code) : "fulfilled";

export const parallelCases: readonly RuntimeCase[] = [
  runtimeCase("parallel/outcomes", "results and errors by name; one that fails harms no other", async ({ started }) => {
    const runtime = await started({
      good: (input) => `${textOf(input)}!`,
      bad: () => {
        throw new Error("boom");
      },
      asleep: { name: "asleep", ready: () => false, execute: () => "x" },
    });
    const outcomes = await runtime.callParallel(["good", "bad", "ghost", "asleep"], "hi");
    assert.deepEqual(Object.keys(outcomes), ["good", "bad", "ghost", "asleep"]);
    const { good } = outcomes;
    assert.ok(good?.status === "fulfilled");
    assert.equal(good.value.text, "hi!");
    assert.deepEqual(
      [codeOf(outcomes["bad"]), codeOf(outcomes["ghost"]), codeOf(outcomes["asleep"])],
      ["AGENT_FAILED", "AGENT_NOT_FOUND", "NOT_STARTED"],
    );
    assert.deepEqual(await runtime.callParallel([], "hi"), {});
  }),
  runtimeCase("parallel/at-once", "the agents work at once, on one message with one id, each on its own copy", async ({ started }) => {
    const seen: Message[] = [];
    const all = gate();
    const execute = async (input: Message): Promise<string> => {
      seen.push(input);
      if (seen.length === 3) all.open();
      await all.promise;
      return "x";
    };
    const runtime = await started({ a: execute, b: execute, c: execute });
    await runtime.callParallel(["a", "b", "c"], "hi");
    assert.equal(new Set(seen.map(({ id }) => id)).size, 1);
    assert.equal(new Set(seen.map(({ timestamp }) => timestamp)).size, 1);
    assert.equal(new Set(seen).size, 3);
  }),
  runtimeCase("parallel/request", "what is wrong with the request rejects it, and no agent runs", async ({ started }) => {
    let runs = 0;
    const runtime = await started({ a: () => `${(runs += 1)}`, b: () => `${(runs += 1)}` });
    assert.match((await rejection(runtime.callParallel(["a", "b", "a"], "x"), "INVALID_INPUT")).message, /"a" is named twice/);
    await rejection(runtime.callParallel("a" as never, "x"), "INVALID_INPUT");
    await rejection(runtime.callParallel([5 as never], "x"), "INVALID_INPUT");
    await rejection(runtime.callParallel(["a"], 5 as never), "INVALID_INPUT");
    await rejection(runtime.callParallel(["a"], "x", { timeoutMs: -1 }), "INVALID_OPTION");
    await rejection(runtime.callParallel(["a"], "x", { turnKey: "k" } as never), "INVALID_OPTION");
    await rejection(runtime.callParallel(["a"], "x", { signal: AbortSignal.abort() }), "CANCELLED");
    assert.equal(runs, 0);
  }),
  runtimeCase("parallel/cancel", "one cancel and one timeout for all; what was answered before it stays answered", async ({ started }) => {
    const began = gate();
    let running = 0;
    const waits = (signal: AbortSignal): Promise<never> => {
      if ((running += 1) === 2) began.open();
      return heeding(signal);
    };
    const runtime = await started({ quick: () => "x", a: (_input, { signal }) => waits(signal), b: (_input, { signal }) => waits(signal) });
    const caller = new AbortController();
    const cancelled = runtime.callParallel(["a", "b"], "x", { signal: caller.signal });
    await began.promise;
    caller.abort();
    assert.deepEqual(Object.values(await cancelled).map(codeOf), ["CANCELLED", "CANCELLED"]);
    const late = await runtime.callParallel(["quick", "a", "b"], "x", { timeoutMs: 500 });
    assert.deepEqual(Object.values(late).map(codeOf), ["fulfilled", "TIMEOUT", "TIMEOUT"]);
  }),
  runtimeCase(
    "parallel/waiting",
    "its timeout is the time of all: who still waits for a slot then is a TIMEOUT too",
    async ({ started, never }) => {
      let runs = 0;
      const execute = (): Promise<never> => ((runs += 1), never());
      const runtime = await started({ a: execute, b: execute }, { maxConcurrentCalls: 1 });
      const outcomes = await runtime.callParallel(["a", "b"], "x", { timeoutMs: 50 });
      assert.deepEqual(Object.values(outcomes).map(codeOf), ["TIMEOUT", "TIMEOUT"]);
      assert.equal(runs, 1);
    },
  ),
  runtimeCase(
    "parallel/limit",
    "respects maxConcurrentCalls, and does not deadlock inside a call with a limit of 1",
    async ({ create }) => {
      let running = 0;
      let most = 0;
      const runtime: Runtime = await create({ maxConcurrentCalls: 1, timeoutMs: 30_000 });
      for (const name of ["a", "b", "c"]) {
        runtime.register(name, async () => {
          most = Math.max(most, (running += 1));
          await settle();
          running -= 1;
          return name;
        });
      }
      runtime.register("outer", async () =>
        Object.values(await runtime.callParallel(["a", "b", "c"], "x"))
          .map(codeOf)
          .join(),
      );
      await runtime.start();
      assert.deepEqual(Object.values(await runtime.callParallel(["a", "b", "c"], "x")).map(codeOf), [
        "fulfilled",
        "fulfilled",
        "fulfilled",
      ]);
      assert.equal(most, 1);
      const replies = await Promise.all([runtime.call("outer", "x"), runtime.call("outer", "x")]);
      assert.deepEqual(
        replies.map(({ text }) => text),
        ["fulfilled,fulfilled,fulfilled", "fulfilled,fulfilled,fulfilled"],
      );
    },
  ),
  runtimeCase("parallel/principal", "hands the principal to each", async ({ started }) => {
    const seen: unknown[] = [];
    const runtime = await started({
      a: (_input, { principal }) => (seen.push(principal?.id), "x"),
      b: (_input, { principal }) => (seen.push(principal?.id), "x"),
    });
    await runtime.callParallel(["a", "b"], "x", { principal: { id: "ada" } });
    await until("both ran", () => seen.length === 2);
    assert.deepEqual(seen, ["ada", "ada"]);
  }),
];
