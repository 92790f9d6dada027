import assert from "node:assert/strict";
import type { Agent } from "../../agent.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, settle, until } from "../waiting.ts";

function told(name: string, events: string[], more: Partial<Agent> = {}): Agent {
  return {
    name,
    execute: () => name,
    start: async () => void events.push(`start ${name}`),
    stop: async () => void events.push(`stop ${name}`),
    ...more,
  };
}

export const phaseCases: readonly RuntimeCase[] = [
  runtimeCase("phases/order", "an agent starts after all that it needs; one that is not named starts first", async ({ create }) => {
    const events: string[] = [];
    const runtime = await create();
    for (const name of ["app", "free", "cache", "store"]) runtime.register(told(name, events));
    await runtime.startPhased({ app: ["cache", "store"], cache: ["store"] });
    assert.deepEqual(events.toSorted(), ["start app", "start cache", "start free", "start store"]);
    const at = (name: string): number => events.indexOf(`start ${name}`);
    assert.ok(at("store") < at("cache") && at("cache") < at("app") && at("free") < at("cache"), events.join(", "));
    assert.equal((await runtime.call("app", "x")).text, "app");
  }),
  runtimeCase(
    "phases/ready",
    "a phase waits until the agents of the one before it are ready, and asks them as often as it takes",
    async ({ create }) => {
      const events: string[] = [];
      let asked = 0;
      const runtime = await create();
      runtime.register(told("app", events)).register(
        told("store", events, {
          ready() {
            asked += 1;
            if (asked < 4) return asked % 2 === 0 ? Promise.resolve(false) : false;
            events.push("store is ready");
            return true;
          },
        }),
      );
      await runtime.startPhased({ app: ["store"] });
      assert.deepEqual(events.slice(0, 3), ["start store", "store is ready", "start app"]);
    },
  ),
  runtimeCase("phases/at-once", "agents of one phase start at once", async ({ create }) => {
    const both = gate();
    let begun = 0;
    const start = async (): Promise<void> => {
      if ((begun += 1) === 2) both.open();
      await both.promise;
    };
    const runtime = (await create())
      .register(told("a", [], { start }))
      .register(told("b", [], { start }))
      .register(told("c", []));
    await runtime.startPhased({ c: ["a", "b"] });
    assert.equal(begun, 2);
  }),
  runtimeCase("phases/signal", "lesson: no agent is cancelled because its phase ended", async ({ create }) => {
    const lives: AbortSignal[] = [];
    const start = async (signal: AbortSignal): Promise<void> => void lives.push(signal);
    const caller = new AbortController();
    const runtime = (await create()).register(told("a", [], { start })).register(told("b", [], { start }));
    await runtime.startPhased({ b: ["a"] }, { signal: caller.signal });
    caller.abort();
    await settle();
    assert.deepEqual(
      lives.map((life) => life.aborted),
      [false, false],
    );
    await runtime.stop();
    assert.deepEqual(
      lives.map((life) => life.aborted),
      [true, true],
    );
  }),
  runtimeCase("phases/uses", "while a phase starts, the agents of the phases before it can be called", async ({ create }) => {
    let answer = "";
    const runtime: Runtime = await create();
    runtime
      .register("store", () => "42")
      .register(
        told("app", [], {
          start: async () => {
            await rejection(runtime.call("app", "x"), "NOT_STARTED");
            answer = (await runtime.call("store", "x")).text;
          },
        }),
      );
    await runtime.startPhased({ app: ["store"] });
    assert.equal(answer, "42");
  }),
  runtimeCase("phases/cycle", "a cycle is INVALID_INPUT, named, and nothing starts", async ({ create }) => {
    const events: string[] = [];
    const runtime = await create();
    for (const name of ["a", "b", "c", "d"]) runtime.register(told(name, events));
    const error = await rejection(runtime.startPhased({ d: ["a"], a: ["b"], b: ["c"], c: ["a"] }), "INVALID_INPUT");
    assert.match(error.message, /a → b → c → a/);
    assert.match((await rejection(runtime.startPhased({ a: ["a"] }), "INVALID_INPUT")).message, /"a" depends on itself/);
    assert.deepEqual(events, []);
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
  }),
  runtimeCase("phases/unknown", "an unknown name, on either side, is AGENT_NOT_FOUND with that name", async ({ create }) => {
    const runtime = (await create()).register(told("a", []));
    assert.match((await rejection(runtime.startPhased({ a: ["ghost"] }), "AGENT_NOT_FOUND")).message, /"a" needs "ghost"/);
    assert.match((await rejection(runtime.startPhased({ ghost: ["a"] }), "AGENT_NOT_FOUND")).message, /"ghost"/);
    for (const bad of [null, [], "a", { a: "b" }, { a: [5] }, { a: null }]) {
      await rejection(runtime.startPhased(bad as never), "INVALID_INPUT");
    }
    await rejection(runtime.startPhased({}, { after: 1 } as never), "INVALID_OPTION");
  }),
  runtimeCase("phases/failure", "a failure stops what was started, the last phase first, and may be tried again", async ({ create }) => {
    const events: string[] = [];
    let broken = true;
    const runtime = await create();
    runtime
      .register(told("a", events))
      .register(told("b", events))
      .register(
        told("c", events, {
          start: async () => {
            if (broken) throw new Error("no disk");
          },
        }),
      );
    const dependencies = { b: ["a"], c: ["b"] };
    assert.match((await rejection(runtime.startPhased(dependencies), "AGENT_FAILED")).message, /"c".*no disk/);
    assert.deepEqual(events, ["start a", "start b", "stop b", "stop a"]);
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
    broken = false;
    await runtime.startPhased(dependencies);
    assert.equal((await runtime.call("c", "x")).text, "c");
  }),
  runtimeCase("phases/never-ready", "an agent that never gets ready is named, and stopped with the others", async ({ create }) => {
    const events: string[] = [];
    const runtime = await create({ agentStartTimeoutMs: 60 });
    runtime
      .register(told("a", events))
      .register(told("b", events, { ready: () => false }))
      .register(told("c", events));
    const error = await rejection(runtime.startPhased({ b: ["a"], c: ["b"] }), "TIMEOUT");
    assert.match(error.message, /"b" was not ready within 60 ms/);
    assert.deepEqual(events, ["start a", "start b", "stop b", "stop a"]);
  }),
  runtimeCase("phases/hanging-ready", "an agent whose `ready` never answers, or throws, is named too", async ({ create, never }) => {
    const runtime = await create({ agentStartTimeoutMs: 60 });
    runtime.register(told("hangs", [], { ready: () => never() }));
    assert.match((await rejection(runtime.startPhased({}), "TIMEOUT")).message, /"hangs"/);
    await runtime.unregister("hangs");
    runtime.register(
      told("throws", [], {
        ready: () => {
          throw new Error("broken");
        },
      }),
    );
    assert.match((await rejection(runtime.startPhased({}), "AGENT_FAILED")).message, /"throws"/);
  }),
  runtimeCase("phases/aborted", "is aborted by its signal and by stop, while an agent is waited for", async ({ create }) => {
    for (const how of ["signal", "stop"]) {
      const events: string[] = [];
      const caller = new AbortController();
      const runtime = (await create()).register(told("a", events)).register(told("b", events, { ready: () => false }));
      const starting = rejection(runtime.startPhased({ b: ["a"] }, { signal: caller.signal }), "CANCELLED");
      await until("the second phase began", () => events.includes("start b"));
      if (how === "signal") caller.abort();
      else await runtime.stop();
      await starting;
      assert.deepEqual(events, ["start a", "start b", "stop b", "stop a"], how);
    }
  }),
  runtimeCase("phases/stop", "stop goes through the phases in reverse", async ({ create }) => {
    const events: string[] = [];
    const runtime = await create();
    for (const name of ["c", "b", "a"]) runtime.register(told(name, events));
    await runtime.startPhased({ b: ["a"], c: ["b"] });
    await runtime.stop();
    assert.deepEqual(events, ["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
    // A plain start knows nothing of earlier phases.
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "a");
  }),
];
