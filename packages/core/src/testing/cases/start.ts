import assert from "node:assert/strict";
import type { Agent } from "../../agent.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, heeding, settle, until } from "../waiting.ts";

const echo: Agent = { name: "echo", execute: () => "x" };

/** An agent that tells what is done to it. */
function told(name: string, events: string[], more: Partial<Agent> = {}): Agent {
  return {
    ...echo,
    name,
    start: async () => void events.push(`start ${name}`),
    stop: async () => void events.push(`stop ${name}`),
    ...more,
  };
}

export const startCases: readonly RuntimeCase[] = [
  runtimeCase("start/before", "before it every call is NOT_STARTED and no agent runs; after it calls are answered", async ({ create }) => {
    let ran = false;
    const runtime = (await create()).register("a", () => ((ran = true), "x"));
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
    await rejection(runtime.call("nobody", "x"), "NOT_STARTED");
    await rejection(runtime.callParallel(["a"], "x"), "NOT_STARTED");
    assert.equal(ran, false);
    await runtime.start();
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "x");
  }),
  runtimeCase("start/at-once", "starts all agents at once; concurrent starts are one", async ({ create }) => {
    const both = gate();
    let begun = 0;
    const start = async (): Promise<void> => {
      if ((begun += 1) === 2) both.open();
      await both.promise;
    };
    const runtime = (await create()).register({ ...echo, name: "a", start }).register({ ...echo, name: "b", start });
    await Promise.all([runtime.start(), runtime.start()]);
    assert.equal(begun, 2);
  }),
  runtimeCase("start/failure", "that fails stops what had started, names the agent, and may be tried again", async ({ create }) => {
    const events: string[] = [];
    let broken = true;
    const runtime = (await create()).register(told("good", events)).register(
      told("bad", events, {
        start: async () => {
          await until("the other started", () => events.length > 0);
          if (broken) throw new Error("no model");
        },
      }),
    );
    const error = await rejection(runtime.start(), "AGENT_FAILED");
    assert.match(error.message, /"bad".*no model/);
    assert.deepEqual(events, ["start good", "stop good"]);
    await rejection(runtime.call("good", "x"), "NOT_STARTED");
    broken = false;
    await runtime.start();
    assert.equal((await runtime.call("good", "x")).text, "x");
  }),
  runtimeCase("start/bounded", "is bounded by agentStartTimeoutMs, and tells the agent by its signal", async ({ create, never }) => {
    let seen: AbortSignal | undefined;
    const runtime = (await create({ agentStartTimeoutMs: 20 })).register({ ...echo, start: (signal) => ((seen = signal), never()) });
    assert.match((await rejection(runtime.start(), "TIMEOUT")).message, /"echo"/);
    assert.equal(seen?.aborted, true);
  }),
  runtimeCase("start/aborted", "is aborted by its signal, stopping what had started", async ({ create, never }) => {
    const events: string[] = [];
    const caller = new AbortController();
    const runtime = (await create()).register(told("quick", events)).register(told("slow", events, { start: never }));
    const starting = rejection(runtime.start({ signal: caller.signal }), "CANCELLED");
    await until("one started", () => events.length === 1);
    caller.abort();
    await starting;
    assert.deepEqual(events, ["start quick", "stop quick"]);
    await rejection(runtime.start({ signal: caller.signal }), "CANCELLED");
  }),
  runtimeCase(
    "start/signal",
    "the signal given to an agent's start outlives the start, and aborts when the agent stops",
    async ({ create }) => {
      let life: AbortSignal | undefined;
      const caller = new AbortController();
      const runtime = (await create()).register({ ...echo, start: async (signal) => void (life = signal) });
      await runtime.start({ signal: caller.signal });
      caller.abort();
      await settle();
      assert.equal(life?.aborted, false);
      assert.equal((await runtime.call("echo", "x")).text, "x");
      await runtime.stop();
      assert.equal(life?.aborted, true);
    },
  ),
  runtimeCase(
    "start/late",
    "an agent registered later is started by its first call, once, and again if that failed",
    async ({ started }) => {
      let starts = 0;
      const runtime = await started({});
      runtime.register({
        ...echo,
        start: async () => {
          starts += 1;
          await settle();
          if (starts === 1) throw new Error("not yet");
        },
      });
      await Promise.all([rejection(runtime.call("echo", "x"), "AGENT_FAILED"), rejection(runtime.call("echo", "x"), "AGENT_FAILED")]);
      assert.equal(starts, 1);
      await Promise.all([runtime.call("echo", "x"), runtime.call("echo", "x")]);
      assert.equal(starts, 2);
    },
  ),
  runtimeCase("start/late-bounded", "of a late agent is bounded, and aborts the signal it was given", async ({ started, never }) => {
    let life: AbortSignal | undefined;
    const runtime = await started({}, { agentStartTimeoutMs: 10 });
    runtime.register({ ...echo, start: (signal) => ((life = signal), never()) });
    await rejection(runtime.call("echo", "x"), "TIMEOUT");
    assert.equal(life?.aborted, true);
  }),
  runtimeCase("start/unregistered", "does not fail because of an agent that is unregistered meanwhile", async ({ create }) => {
    const began = gate();
    const runtime = (await create()).register(echo).register({ ...echo, name: "slow", start: (signal) => (began.open(), heeding(signal)) });
    const starting = runtime.start();
    await began.promise;
    assert.equal(await runtime.unregister("slow"), true);
    await starting;
    assert.equal((await runtime.call("echo", "x")).text, "x");
  }),
];
