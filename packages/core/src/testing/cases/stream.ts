import assert from "node:assert/strict";
import type { AgentEvent, Execute } from "../../agent.ts";
import { textOf } from "../../message.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { collect, rejection } from "../outcome.ts";
import { type Gate, gate, settle } from "../waiting.ts";

const shown = (event: AgentEvent): string =>
  event.type === "message" ? `[${textOf(event.message as never)}]` : "text" in event ? event.text : event.type;
const delta = (text: string): AgentEvent => ({ type: "text-delta", text });

function endless(ended: Gate): Execute {
  return async function* () {
    try {
      for (;;) {
        yield delta(".");
        await settle();
      }
    } finally {
      ended.open();
    }
  };
}
const failing: Execute = async function* () {
  yield delta("a");
  throw new Error("boom");
};

export const streamCases: readonly RuntimeCase[] = [
  runtimeCase("stream/at-once", "starts at once, without a reader", async ({ started }) => {
    const began = gate();
    const stream = (await started({ a: () => (began.open(), "x") })).stream("a", "q");
    await began.promise;
    assert.equal((await stream.reply).text, "x");
  }),
  runtimeCase("stream/events", "shows events as they happen, the answer last, each with a cursor of its own", async ({ started }) => {
    const go = gate();
    const runtime = await started({
      async *a(_input, context) {
        yield delta("a");
        yield { type: "data-progress", data: { done: 1 } };
        await go.promise;
        await context.emit({ type: "reasoning-delta", text: "b" });
        yield { type: "message", message: "step" };
        return "answer";
      },
    });
    const stream = runtime.stream("a", "q");
    const events: (AgentEvent & { readonly cursor: string })[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type === "data-progress") go.open();
    }
    assert.deepEqual(events.map(shown), ["a", "data-progress", "b", "[step]", "[answer]"]);
    assert.equal(new Set(events.map(({ cursor }) => cursor)).size, 5);
    const last = events.at(-1);
    assert.ok(last?.type === "message");
    assert.deepEqual(last.message, (await stream.reply).message);
  }),
  runtimeCase(
    "stream/once",
    "does not show an answer twice that was yielded as a message already; if another came after it, it does",
    async ({ started }) => {
      const runtime = await started({
        async *a(input) {
          const answer = { role: "assistant" as const, parts: [{ type: "text" as const, text: "first" }] };
          yield { type: "message", message: answer };
          if (textOf(input) === "between") yield { type: "message", message: "between" };
          return answer;
        },
      });
      assert.deepEqual((await collect(runtime.stream("a", "q"))).map(shown), ["[first]"]);
      assert.deepEqual((await collect(runtime.stream("a", "between"))).map(shown), ["[first]", "[between]", "[first]"]);
    },
  ),
  runtimeCase("stream/readers", "every reader sees every event, also one that comes late or after the end", async ({ started }) => {
    const go = gate();
    const runtime = await started({
      async *a() {
        yield delta("a");
        await go.promise;
        yield delta("b");
        return "c";
      },
    });
    const stream = runtime.stream("a", "q");
    const early = collect(stream);
    await settle();
    const late = collect(stream);
    go.open();
    for (const events of [await early, await late, await collect(stream)]) assert.deepEqual(events.map(shown), ["a", "b", "[c]"]);
  }),
  runtimeCase("stream/slow", "for a reader that lags keeps every message, and a bounded number of deltas", async ({ started }) => {
    const runtime = await started({
      async *a() {
        for (let n = 0; n < 20_000; n += 1) {
          yield delta("x");
          if (n % 1_000 === 0) yield { type: "message", message: `m${n}` };
        }
        return "end";
      },
    });
    const stream = runtime.stream("a", "q");
    await stream.reply;
    const events = await collect(stream);
    assert.equal(events.filter((event) => event.type === "message").length, 21);
    assert.ok(events.length < 10_000, `${events.length} events were kept`);
  }),
  runtimeCase("stream/failure", "ends with the error of the reply, after the events, once; then it is at its end", async ({ started }) => {
    const stream = (await started({ a: failing })).stream("a", "q");
    const iterator = stream[Symbol.asyncIterator]();
    assert.equal((await iterator.next()).value?.type, "text-delta");
    const error = await rejection(iterator.next(), "AGENT_FAILED");
    assert.equal((await rejection(stream.reply)).code, error.code);
    assert.equal((await iterator.next()).done, true);
  }),
  runtimeCase("stream/unheard", "raises no unhandled rejection when nobody looks", async ({ started, create }) => {
    const runtime = await started({ a: failing });
    const streams = [runtime.stream("a", "q"), runtime.stream("nobody", "q"), (await create()).stream("a", "q", { timeoutMs: -1 })];
    await Promise.allSettled(streams.map((stream) => stream.reply));
    runtime.stream("a", "q");
    await settle();
  }),
  runtimeCase("stream/refusals", "refusals come through reply and iterator, never as an exception of stream()", async ({ create }) => {
    const stream = (await create()).stream("a", "q");
    await rejection(collect(stream), "NOT_STARTED");
    await rejection(stream.reply, "NOT_STARTED");
  }),
  runtimeCase("stream/leaving", "leaving the loop cancels a stateless call, and runs the agent's finally blocks", async ({ started }) => {
    const ended = gate();
    const stream = (await started({ a: endless(ended) })).stream("a", "q");
    for await (const _ of stream) break;
    await rejection(stream.reply, "CANCELLED");
    await ended.promise;
  }),
  runtimeCase("stream/other-readers", "leaving does not cancel while another loop reads", async ({ started }) => {
    const stream = (await started({ a: endless(gate()) })).stream("a", "q");
    const other = stream[Symbol.asyncIterator]();
    await other.next();
    for await (const _ of stream) break;
    await settle();
    assert.equal((await other.next()).done, false);
    await other.return?.();
    await rejection(stream.reply, "CANCELLED");
  }),
  runtimeCase(
    "stream/cancel",
    "cancel names its reason, resolves when the call has ended, and does nothing after that",
    async ({ started }) => {
      const runtime = await started({ endless: endless(gate()), quick: () => "x" });
      const stream = runtime.stream("endless", "q");
      await settle();
      await stream.cancel("changed my mind");
      assert.match((await rejection(stream.reply, "CANCELLED")).message, /changed my mind/);
      const done = runtime.stream("quick", "q");
      await done.reply;
      await done.cancel();
      assert.equal((await done.reply).text, "x");
    },
  ),
  runtimeCase("stream/response", "as a response it carries the events and ends by itself", async ({ started }) => {
    const runtime = await started({
      async *a() {
        yield delta("a");
        return "ab";
      },
    });
    const text = await runtime.stream("a", "q").toResponse({ format: "sse" }).text();
    assert.match(text, /event: text-delta[^]*event: message[^]*event: done/);
    assert.match(await runtime.stream("nobody", "q").toResponse({ format: "sse" }).text(), /event: error[^]*AGENT_NOT_FOUND/);
  }),
];
