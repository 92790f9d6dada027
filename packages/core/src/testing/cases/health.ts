import assert from "node:assert/strict";
import type { Agent } from "../../agent.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, until } from "../waiting.ts";

export const healthCases: readonly RuntimeCase[] = [
  runtimeCase("ready/false", "an agent that is not ready refuses calls with a retryable error and does not run", async ({ started }) => {
    let ready: boolean | Promise<boolean> = false;
    let runs = 0;
    const runtime = await started({ a: { name: "a", ready: () => ready, execute: () => `${(runs += 1)}` } });
    assert.equal((await rejection(runtime.call("a", "x"), "NOT_STARTED")).retryable, true);
    ready = Promise.resolve(false);
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
    assert.equal(runs, 0);
    ready = Promise.resolve(true);
    assert.equal((await runtime.call("a", "x")).text, "1");
  }),
  runtimeCase(
    "ready/broken",
    "a `ready` that throws is AGENT_FAILED; one that never answers is bounded by the call's timeout",
    async ({ started, never }) => {
      const agent: Agent = { name: "a", execute: () => "x" };
      const runtime = await started({
        throws: {
          ...agent,
          ready: () => {
            throw new Error("broken");
          },
        },
        hangs: { ...agent, ready: () => never() },
      });
      await rejection(runtime.call("throws", "x"), "AGENT_FAILED");
      await rejection(runtime.call("hangs", "x", { timeoutMs: 20 }), "TIMEOUT");
    },
  ),
  runtimeCase(
    "health/states",
    "health names every agent with its state and its calls, through the life of the runtime",
    async ({ create }) => {
      const runtime = await create();
      const up = gate();
      const answer = gate<string>();
      let ready = false;
      runtime.register({ name: "slow", start: () => up.promise, execute: () => answer.promise, ready: () => ready });
      assert.deepEqual(await runtime.health(), { status: "idle", ready: false, agents: { slow: { status: "stopped", calls: 0 } } });
      const starting = runtime.start();
      await until("it starts", () => true);
      assert.deepEqual(await runtime.health(), { status: "starting", ready: false, agents: { slow: { status: "starting", calls: 0 } } });
      up.open();
      await starting;
      assert.deepEqual(await runtime.health(), { status: "started", ready: false, agents: { slow: { status: "not-ready", calls: 0 } } });
      ready = true;
      const running = runtime.call("slow", "x");
      for (let n = 0; n < 1_000 && (await runtime.health()).agents["slow"]?.calls !== 1; n += 1);
      assert.deepEqual(await runtime.health(), { status: "started", ready: true, agents: { slow: { status: "ready", calls: 1 } } });
      const stopping = runtime.stop();
      assert.equal((await runtime.health()).status, "stopping");
      answer.open("x");
      await running;
      await stopping;
      assert.equal((await runtime.health()).status, "idle");
    },
  ),
  runtimeCase(
    "health/broken",
    "a `ready` that throws or never answers is a problem by its code, and keeps nobody waiting",
    async ({ started, never }) => {
      const agent: Agent = { name: "a", execute: () => "x" };
      const runtime = await started({
        fine: () => "x",
        throws: {
          ...agent,
          ready: () => {
            throw new Error("password is hunter2");
          },
        },
        hangs: { ...agent, ready: () => never() },
      });
      const health = await runtime.health({ timeoutMs: 20 });
      assert.equal(health.ready, false);
      assert.deepEqual(health.agents, {
        fine: { status: "ready", calls: 0 },
        throws: { status: "not-ready", calls: 0, problem: "AGENT_FAILED" },
        hangs: { status: "not-ready", calls: 0, problem: "TIMEOUT" },
      });
      await rejection(runtime.health({ timeoutMs: 0 }), "INVALID_OPTION");
    },
  ),
  runtimeCase("health/late", "an agent registered late is stopped until its first call starts it", async ({ started }) => {
    const runtime = await started({});
    runtime.register({ name: "late", start: async () => {}, execute: () => "x" });
    assert.equal((await runtime.health()).agents["late"]?.status, "stopped");
    await runtime.call("late", "x");
    assert.equal((await runtime.health()).agents["late"]?.status, "ready");
  }),
];
