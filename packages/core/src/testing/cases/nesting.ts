import assert from "node:assert/strict";
import type { AgentContext } from "../../agent.ts";
import { textOf } from "../../message.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { collect, rejection } from "../outcome.ts";
import { gate, heeding, settle, until } from "../waiting.ts";

export const nestingCases: readonly RuntimeCase[] = [
  runtimeCase(
    "nested/limit-of-one",
    "lesson: nested calls with a limit of 1 do not deadlock, through context.call and through the runtime",
    async ({ create }) => {
      const runtime: Runtime = await create({ maxConcurrentCalls: 1, timeoutMs: 30_000 });
      runtime
        .register("leaf", (input) => `<${textOf(input)}>`)
        .register("inner", async (input, context) => (await context.call("leaf", textOf(input))).text)
        .register("outer", async (input, context) => {
          const [a, b] = await Promise.all([context.call("inner", `${textOf(input)}1`), runtime.call("inner", `${textOf(input)}2`)]);
          const streamed = runtime.stream("inner", "3");
          await collect(streamed);
          return a.text + b.text + (await streamed.reply).text;
        });
      await runtime.start();
      const replies = await Promise.all(["a", "b", "c"].map((input) => runtime.call("outer", input)));
      assert.deepEqual(
        replies.map((reply) => reply.text),
        ["<a1><a2><3>", "<b1><b2><3>", "<c1><c2><3>"],
      );
    },
  ),
  runtimeCase("nested/left-behind", "work left behind by a call takes a slot of its own afterwards", async ({ create }) => {
    let running = 0;
    let most = 0;
    const go = gate();
    const left = gate<string>();
    const runtime: Runtime = await create({ maxConcurrentCalls: 1 });
    runtime
      .register("work", async () => {
        most = Math.max(most, (running += 1));
        await settle();
        running -= 1;
        return "w";
      })
      .register("parent", () => {
        void go.promise.then(() => runtime.call("work", "x")).then((reply) => left.open(reply.text), left.open);
        return "gone";
      });
    await runtime.start();
    await runtime.call("parent", "x");
    go.open();
    const [text] = await Promise.all([left.promise, runtime.call("work", "x"), runtime.call("work", "x")]);
    assert.equal(text, "w");
    assert.equal(most, 1);
  }),
  runtimeCase("nested/inherits", "a sub-call inherits principal and cancel; another principal is refused", async ({ started }) => {
    const ada = { id: "ada", tenantId: "t" };
    let inner: AgentContext | undefined;
    let refusal = "";
    const runtime = await started({
      inner: (_input, context) => ((inner = context), heeding(context.signal)),
      outer: async (_input, context) => {
        refusal = (await rejection(context.call("inner", "x", { principal: { id: "eve" } }))).code;
        return (await context.call("inner", "x")).message;
      },
    });
    const caller = new AbortController();
    const outcome = rejection(runtime.call("outer", "x", { principal: ada, signal: caller.signal }), "CANCELLED");
    await until("the inner agent runs", () => inner !== undefined);
    assert.equal(refusal, "INVALID_OPTION");
    assert.deepEqual(inner?.principal, ada);
    caller.abort();
    await outcome;
    await until("the inner agent is told", () => inner?.signal.aborted === true);
  }),
  runtimeCase(
    "nested/deadline",
    "a sub-call is bounded by its caller's deadline and by its own, whichever is first",
    async ({ started, never }) => {
      const seen: string[] = [];
      const runtime = await started({
        deaf: never,
        outer: async (_input, context) => {
          const error = await rejection(context.call("deaf", "x", { timeoutMs: 5 }));
          seen.push(error.code, String(context.signal.aborted));
          return (await context.call("deaf", "x", { timeoutMs: 60_000 })).message;
        },
      });
      await rejection(runtime.call("outer", "x", { timeoutMs: 300 }), "TIMEOUT");
      assert.deepEqual(seen, ["TIMEOUT", "false"]);
    },
  ),
  runtimeCase("nested/own-state", "a sub-call has state of its own, and no history that was not lent", async ({ started }) => {
    const runtime = await started({
      inner: async (_input, context) =>
        JSON.stringify([(await context.getState()) ?? null, await context.history(), context.session ?? null]),
      outer: async (_input, context) => {
        await context.setState("outer's");
        return (await context.call("inner", "x", { history: true })).text;
      },
    });
    assert.equal((await runtime.call("outer", "x")).text, "[null,[],null]");
  }),
  runtimeCase("nested/endless", "an endless recursion ends with LIMIT_EXCEEDED", async ({ started }) => {
    const runtime = await started({ a: async (_input, context) => (await context.call("a", "again")).text });
    await rejection(runtime.call("a", "x"), "LIMIT_EXCEEDED");
  }),
];
