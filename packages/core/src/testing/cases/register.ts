import assert from "node:assert/strict";
import type { Agent } from "../../agent.ts";
import { textOf } from "../../message.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection, thrown } from "../outcome.ts";
import { gate, until } from "../waiting.ts";

const echo: Agent = { name: "echo", execute: (input) => textOf(input) };

const REFUSED = [
  "",
  ".",
  "..",
  "-rf",
  ".hidden",
  "a/b",
  "a\\b",
  "C:",
  "CON",
  "nul.txt",
  "a\nb",
  "a\0b",
  "a\u202eb",
  "a\u200bb",
  "a\ud800",
  " a",
  "a ",
  "a.",
  "x".repeat(129),
  "e\u0301",
];
const ACCEPTED = ["a..b", "writer-2", "réviseur", "作家", "a b", "_x", "x".repeat(128), "console", "__proto__"];

export const registerCases: readonly RuntimeCase[] = [
  runtimeCase("register/forms", "takes an agent, or a name with an agent or a function; the registered name wins", async ({ create }) => {
    const runtime = await create();
    const same = runtime
      .register(echo)
      .register("other", echo)
      .register("fn", (input, context) => `${context.agentName}: ${input.role}`);
    assert.equal(same, runtime);
    assert.deepEqual(runtime.list(), ["echo", "other", "fn"]);
    assert.equal(runtime.get("echo")?.name, "echo");
    assert.equal(runtime.get("other")?.name, "other");
    assert.equal(runtime.get("fn")?.name, "fn");
    assert.equal(runtime.get("none"), undefined);
    await runtime.start();
    assert.equal((await runtime.call("fn", "x")).text, "fn: user");
    assert.equal((await runtime.call("other", "y")).text, "y");
  }),
  runtimeCase("register/twice", "a name that is taken is AGENT_EXISTS, and the first agent stays", async ({ create }) => {
    const runtime = (await create()).register("a", () => "first");
    thrown(() => runtime.register({ ...echo, name: "a" }), "AGENT_EXISTS");
    thrown(() => runtime.register("a", () => "second"), "AGENT_EXISTS");
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "first");
  }),
  runtimeCase("register/names", "a name that could not be part of a path, a key or a line is INVALID_INPUT", async ({ create }) => {
    const runtime = await create();
    for (const name of REFUSED) thrown(() => runtime.register(name, () => "x"), "INVALID_INPUT");
    assert.deepEqual(runtime.list(), []);
    for (const name of ACCEPTED) runtime.register(name, () => "x");
    assert.deepEqual(runtime.list(), ACCEPTED);
  }),
  runtimeCase("register/no-agent", "what is no agent is INVALID_INPUT at once, not when it is called", async ({ create }) => {
    const runtime = await create();
    const none = [undefined, null, {}, { name: "x" }, { name: 5, execute() {} }, { ...echo, start: 1 }, { ...echo, sessions: "maybe" }];
    for (const agent of none) thrown(() => runtime.register(agent as never), "INVALID_INPUT");
    thrown(() => runtime.register("x", 5 as never), "INVALID_INPUT");
  }),
  runtimeCase("register/class", "an agent that is an instance of a class keeps its `this` and its private fields", async ({ started }) => {
    class Counter implements Agent {
      readonly name = "counter";
      #count = 0;
      ready(): boolean {
        return this.#count < 2;
      }
      execute = (): string => String((this.#count += 1));
    }
    const runtime = await started({ renamed: new Counter() });
    assert.equal((await runtime.call("renamed", "")).text, "1");
    assert.equal((await runtime.call("renamed", "")).text, "2");
    await rejection(runtime.call("renamed", ""), "NOT_STARTED");
  }),
  runtimeCase("unregister/frees", "unregister says whether there was one, stops the agent, and frees the name", async ({ started }) => {
    const events: string[] = [];
    const told: Agent = { ...echo, start: async () => void events.push("start"), stop: async () => void events.push("stop") };
    const runtime = await started({ a: told });
    assert.equal(await runtime.unregister("b"), false);
    assert.equal(await runtime.unregister("a"), true);
    assert.equal(await runtime.unregister("a"), false);
    assert.deepEqual(events, ["start", "stop"]);
    await rejection(runtime.call("a", "x"), "AGENT_NOT_FOUND");
    runtime.register("a", () => "second");
    assert.equal((await runtime.call("a", "x")).text, "second");
  }),
  runtimeCase("unregister/running", "while a call runs lets it end, and stops the agent after it", async ({ started }) => {
    const events: string[] = [];
    const answer = gate<string>();
    const told: Agent = {
      name: "a",
      stop: async () => void events.push("stop"),
      execute: () => (events.push("run"), answer.promise),
    };
    const runtime = await started({ a: told });
    const running = runtime.call("a", "x");
    await until("the agent runs", () => events.length === 1);
    assert.equal(await runtime.unregister("a"), true);
    await rejection(runtime.call("a", "x"), "AGENT_NOT_FOUND");
    assert.deepEqual(events, ["run"]);
    answer.open("late");
    assert.equal((await running).text, "late");
    await until("the agent is stopped", () => events.includes("stop"));
  }),
  runtimeCase("unregister/refused", "does not wait for calls that ended before the agent ran", async ({ started }) => {
    const events: string[] = [];
    const busy = gate<string>();
    const told: Agent = { ...echo, ready: () => true, stop: async () => void events.push("stop") };
    const began = gate();
    const runtime = await started({ busy: () => (began.open(), busy.promise), a: told }, { maxConcurrentCalls: 1 });
    const running = runtime.call("busy", "x");
    await began.promise;
    const caller = new AbortController();
    const waiting = rejection(runtime.call("a", "x", { signal: caller.signal }), "CANCELLED");
    await rejection(runtime.call("a", 5 as never), "INVALID_INPUT");
    caller.abort();
    await waiting;
    await runtime.unregister("a");
    await until("the agent is stopped", () => events.includes("stop"));
    busy.open("x");
    await running;
  }),
  runtimeCase("unregister/self", "an agent may unregister itself from inside its call", async ({ create }) => {
    const runtime: Runtime = await create();
    runtime.register("self", async () => String(await runtime.unregister("self")));
    await runtime.start();
    assert.equal((await runtime.call("self", "x")).text, "true");
  }),
];
