import assert from "node:assert/strict";
import type { Execute } from "../../agent.ts";
import { AixgoError } from "../../errors.ts";
import { type Json, type Message, type MessageInput, textOf, userMessage } from "../../message.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { settle } from "../waiting.ts";

const ANSWERS: Readonly<Record<string, Execute>> = {
  value: () => "answer",
  promise: async () => "answer",
  message: () => ({
    role: "assistant",
    parts: [
      { type: "text", text: "ans" },
      { type: "text", text: "wer" },
    ],
  }),
  usage: async () => ({ message: "answer", usage: { inputTokens: 3, outputTokens: 4 } }),
  generator: async function* () {
    yield { type: "text-delta", text: "ans" };
    return "answer";
  },
};

const FAILURES: Readonly<Record<string, Execute>> = {
  throws: () => {
    throw new Error("boom");
  },
  rejects: () => Promise.reject(new Error("boom")),
  later: async () => {
    await settle();
    throw new Error("boom");
  },
  generator: async function* () {
    yield { type: "text-delta", text: "a" };
    throw new Error("boom");
  },
  text: () => {
    throw "boom";
  },
};

const NO_ANSWERS: Readonly<Record<string, unknown>> = {
  nothing: undefined,
  null: null,
  number: 5,
  object: { text: "x" },
  part: { role: "assistant", parts: [{ type: "image" }] },
  usage: { message: "x", usage: { inputTokens: "many" } },
  "usage alone": { message: undefined, usage: {} },
  surrogate: "\ud800",
};

export const callCases: readonly RuntimeCase[] = [
  runtimeCase(
    "call/answers",
    "answers with what an agent returns: text, a message, a promise or a generator's end",
    async ({ started }) => {
      const runtime = await started(ANSWERS);
      for (const name of Object.keys(ANSWERS)) {
        const reply = await runtime.call(name, "q");
        assert.equal(reply.text, "answer", name);
        assert.equal(reply.message.role, "assistant", name);
        assert.notEqual(reply.message.id, "", name);
        assert.equal(reply.turn, undefined, name);
      }
      assert.deepEqual((await runtime.call("usage", "q")).usage, { inputTokens: 3, outputTokens: 4 });
    },
  ),
  runtimeCase(
    "call/input",
    "the agent is given a message with id and time, the caller's own if it has them, and none of the caller's objects",
    async ({ started }) => {
      const seen: Message[] = [];
      const runtime = await started({ a: (input) => (seen.push(input), "ok") });
      const mine = userMessage("b", { metadata: { k: [1, { deep: null }] } });
      await runtime.call("a", "text");
      await runtime.call("a", mine);
      assert.deepEqual([seen[0]?.role, seen[0]?.parts], ["user", [{ type: "text", text: "text" }]]);
      assert.ok(seen[0]?.id && seen[0].timestamp);
      assert.deepEqual(seen[1], mine);
      assert.notEqual(seen[1], mine);
    },
  ),
  runtimeCase("call/own-message", "an agent that returns its input answers with a message of its own", async ({ started }) => {
    const mine = userMessage("same");
    const reply = await (await started({ a: (input) => input })).call("a", mine);
    assert.equal(reply.text, "same");
    assert.notEqual(reply.message.id, mine.id);
  }),
  runtimeCase(
    "call/stateless",
    "without a session there is no history, steps are its own, and state lasts as long as the call",
    async ({ started }) => {
      const seen: Json[] = [];
      const runtime = await started({
        async *a(_input, context) {
          seen.push(
            (await context.history()).length,
            (await context.steps()).length,
            (await context.getState()) ?? "none",
            context.session === undefined,
          );
          await context.setState({ a: 1 });
          yield { type: "message", message: "step" };
          seen.push((await context.getState()) as Json, (await context.steps()).map(textOf));
          return "done";
        },
      });
      await runtime.call("a", "q");
      await runtime.call("a", "q");
      assert.deepEqual(seen.slice(0, 6), [0, 0, "none", true, { a: 1 }, ["step"]]);
      assert.deepEqual(seen.slice(6), seen.slice(0, 6));
    },
  ),
  runtimeCase("call/context", "the methods of the context may be taken out of it", async ({ started }) => {
    const runtime = await started({
      async a(_input, { emit, setState, getState, agentName }) {
        await setState("s");
        await emit({ type: "text-delta", text: "x" });
        return `${agentName} ${JSON.stringify(await getState())}`;
      },
    });
    assert.equal((await runtime.call("a", "q")).text, 'a "s"');
  }),
  runtimeCase("call/checks", "is checked in this order: options, started, agent, ready, input", async ({ create }) => {
    const runtime = await create();
    await rejection(runtime.call("none", 5 as never, { timeoutMs: -1 }), "INVALID_OPTION");
    await rejection(runtime.call("none", 5 as never), "NOT_STARTED");
    await runtime.start();
    await rejection(runtime.call("none", 5 as never), "AGENT_NOT_FOUND");
    runtime.register({ name: "lazy", ready: () => false, execute: () => "x" });
    await rejection(runtime.call("lazy", 5 as never), "NOT_STARTED");
    runtime.register("eager", () => "x");
    await rejection(runtime.call("eager", 5 as never), "INVALID_INPUT");
  }),
  runtimeCase("call/options", "refuses an option that is unknown or does not fit, by its name", async ({ started }) => {
    const runtime = await started({ a: () => "x" });
    const bad: [string, object][] = [
      ["timeoutMs", { timeoutMs: 0 }],
      ["timeoutMs", { timeoutMs: 2 ** 31 }],
      ["signal", { signal: {} }],
      ["principal", { principal: { id: "" } }],
      ["principal", { principal: { id: "a", roles: "admin" } }],
      ["retries", { retries: 2 }],
      ["turnKey", { turnKey: "k" }],
    ];
    for (const [name, options] of bad) {
      assert.match((await rejection(runtime.call("a", "q", options), "INVALID_OPTION")).message, new RegExp(`"${name}"`));
    }
  }),
  runtimeCase("call/principal", "the agent knows on whose behalf it works", async ({ started }) => {
    const ada = { id: "ada", tenantId: "t", roles: ["admin"] };
    const runtime = await started({ a: (_input, context) => JSON.stringify(context.principal ?? null) });
    assert.deepEqual(JSON.parse((await runtime.call("a", "q", { principal: ada })).text), ada);
    assert.equal((await runtime.call("a", "q")).text, "null");
  }),
  runtimeCase(
    "failure/thrown",
    "an agent that throws, in whatever way, is AGENT_FAILED with its name and what it said",
    async ({ started }) => {
      const runtime = await started(FAILURES);
      for (const name of Object.keys(FAILURES)) {
        assert.equal((await rejection(runtime.call(name, "q"), "AGENT_FAILED")).message, `agent "${name}" failed: boom`);
      }
    },
  ),
  runtimeCase("failure/ours", "an error of ours passes with its code, details and retryable", async ({ started }) => {
    const runtime = await started({
      a: () => {
        throw new AixgoError("OVERLOADED", "model is busy", { details: { a: 1 } });
      },
    });
    const error = await rejection(runtime.call("a", "q"), "OVERLOADED");
    assert.deepEqual([error.message, error.details, error.retryable], ["model is busy", { a: 1 }, true]);
  }),
  runtimeCase("failure/no-answer", "an agent that returns what is no message is AGENT_FAILED", async ({ started }) => {
    const agents = Object.entries(NO_ANSWERS).map(([name, value]): [string, Execute] => [name, () => value as MessageInput]);
    const runtime = await started(Object.fromEntries(agents));
    for (const [name] of agents) assert.match((await rejection(runtime.call(name, "q"), "AGENT_FAILED")).message, /invalid answer/);
  }),
  runtimeCase("failure/no-event", "an agent that yields what is no event learns it at its yield", async ({ started }) => {
    const events: unknown[] = [
      5,
      { type: "delta" },
      { type: "text-delta" },
      { type: "message", message: { role: "x", parts: [] } },
      { type: "data-x", data: 1n },
    ];
    const runtime = await started({
      async *strict(input) {
        yield events[Number(textOf(input))] as never;
        return "x";
      },
      async *lenient(input) {
        try {
          yield events[Number(textOf(input))] as never;
        } catch {
          return "went on";
        }
        return "unnoticed";
      },
    });
    for (const index of events.keys()) {
      await rejection(runtime.call("strict", String(index)), "AGENT_FAILED");
      assert.equal((await runtime.call("lenient", String(index))).text, "went on");
    }
  }),
  runtimeCase(
    "failure/floating",
    "what an agent asked of its context and did not wait for rejects unheard, and harms nothing",
    async ({ started }) => {
      const runtime = await started({
        a(_input, context) {
          void context.emit({ type: "nonsense" } as never);
          void context.setState(1n as never);
          void context.call("nobody", "x");
          return "fine";
        },
      });
      assert.equal((await runtime.call("a", "q")).text, "fine");
    },
  ),
];
