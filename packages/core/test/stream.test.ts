import { describe, expect, it } from "vitest";
import { type AgentEvent, createRuntime, type Execute, type Runtime, textOf } from "../src/index.ts";
import { MAX_KEPT_BYTES, MAX_KEPT_EVENTS } from "../src/reply-stream.ts";
import { collect, errorOf, gate, settle } from "./support.ts";

async function runtimeOf(execute: Execute): Promise<Runtime> {
  const runtime = createRuntime().register("agent", execute);
  await runtime.start();
  return runtime;
}
const shown = (event: AgentEvent): string =>
  event.type === "message" ? `[${textOf(event.message as never)}]` : "text" in event ? event.text : event.type;
const delta = (text: string): AgentEvent => ({ type: "text-delta", text });

describe("stream", () => {
  it("shows what a sub-call shows where it is asked to, but not the messages of its own", async () => {
    const inner: Execute = async function* (_input, context) {
      yield delta("in");
      yield { type: "data-progress", data: 1 };
      await context.emit({ type: "message", message: "inner's step" });
      return "inner's answer";
    };
    const outer: Execute = async (_input, context) => {
      await context.call("inner", "x");
      await context.call("inner", "x", { show: false });
      return (await context.call("inner", "x", { show: true })).text;
    };
    await using runtime = createRuntime()
      .register("inner", inner)
      .register("outer", outer)
      .register("outmost", async (_input, context) => (await context.call("outer", "x", { show: true })).text);
    await runtime.start();
    for (const agent of ["outer", "outmost"])
      expect((await collect(runtime.stream(agent, "q"))).map(shown)).toEqual(["in", "data-progress", "[inner's answer]"]);
    // Without a reader it goes nowhere.
    expect((await runtime.call("outer", "q")).text).toBe("inner's answer");
    const wrong = runtime.call("outmost", "q", { show: true } as never);
    expect((await errorOf(wrong)).code).toBe("INVALID_OPTION");
  });
  it("shows events as they happen, the answer last, with rising cursors", async () => {
    const go = gate();
    const runtime = await runtimeOf(async function* (_input, context) {
      yield delta("a");
      yield { type: "data-progress", data: { done: 1 } };
      await go.promise;
      await context.emit({ type: "reasoning-delta", text: "b" });
      yield { type: "message", message: "step" };
      return "answer";
    });
    const stream = runtime.stream("agent", "q");
    const events: (AgentEvent & { cursor: string })[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type === "data-progress") go.open();
    }
    expect(events.map(shown)).toEqual(["a", "data-progress", "b", "[step]", "[answer]"]);
    expect(events.map((event) => event.cursor)).toEqual(["1", "2", "3", "4", "5"]);
    expect(events.at(-1)).toMatchObject({ message: (await stream.reply).message });
  });
  it("shows it again, last, if other messages came after it or it was changed", async () => {
    const runtime = await runtimeOf(async function* (input) {
      const part = { type: "text" as const, text: "first" };
      const answer = { role: "assistant" as const, parts: [part] };
      yield { type: "message", message: answer };
      if (textOf(input) === "change") part.text = "changed";
      else yield { type: "message", message: "between" };
      return answer;
    });
    expect((await collect(runtime.stream("agent", "later"))).map(shown)).toEqual(["[first]", "[between]", "[first]"]);
    expect((await collect(runtime.stream("agent", "change"))).map(shown)).toEqual(["[first]", "[changed]"]);
  });
  it("an attentive reader misses nothing of a generator that never waits", async () => {
    const runtime = await runtimeOf(async function* () {
      for (let n = 0; n < 50_000; n += 1) yield delta(String(n));
      return "end";
    });
    const events = await collect(runtime.stream("agent", "q"));
    expect(events.length).toBe(50_001);
    expect(events.at(-2)).toMatchObject({ text: "49999", cursor: "50000" });
  });
  it("for a reader that lags keeps a bounded number of deltas and every message", async () => {
    const runtime = await runtimeOf(async function* () {
      for (let n = 0; n < MAX_KEPT_EVENTS * 3; n += 1) {
        yield delta("x");
        if (n % 1_000 === 0) yield { type: "message", message: `m${n}` };
      }
      return "end";
    });
    const stream = runtime.stream("agent", "q");
    await stream.reply;
    const events = await collect(stream);
    expect(events.filter((event) => event.type === "text-delta").length).toBe(MAX_KEPT_EVENTS);
    expect(events.filter((event) => event.type === "message").length).toBe(Math.ceil((MAX_KEPT_EVENTS * 3) / 1_000) + 1);
    expect(Number(events.at(-1)?.cursor)).toBeGreaterThan(events.length);
  });
  it("bounds what lags by its size too, and takes deltas in again when the reader has caught up", async () => {
    const go = gate();
    const big = "x".repeat(MAX_KEPT_BYTES / 4);
    const runtime = await runtimeOf(async function* () {
      for (let n = 0; n < 10; n += 1) yield delta(big);
      await go.promise;
      yield delta("after");
      return "end";
    });
    const stream = runtime.stream("agent", "q");
    await settle();
    const texts: string[] = [];
    for await (const event of stream) {
      texts.push(shown(event).slice(0, 5));
      if (texts.length === 2) go.open();
    }
    expect(texts).toEqual(["xxxxx", "xxxxx", "after", "[end]"]);
  });
  it("gives a reader that caught up its whole room again", async () => {
    const rounds = [gate(), gate()];
    const runtime = await runtimeOf(async function* () {
      for (const round of rounds) {
        for (let n = 0; n < 3; n += 1) yield delta("x".repeat(MAX_KEPT_BYTES / 4));
        yield { type: "message", message: "round" };
        await round.promise;
      }
      return "end";
    });
    const iterator = runtime.stream("agent", "q")[Symbol.asyncIterator]();
    for (const round of rounds) {
      await settle();
      const seen = [await iterator.next(), await iterator.next(), await iterator.next()];
      expect(seen.map(({ value }) => (value as AgentEvent).type)).toEqual(["text-delta", "text-delta", "message"]);
      round.open();
    }
    expect((await iterator.next()).value).toMatchObject({ type: "message" });
  });
});

describe("the end of a stream", () => {
  const failing: Execute = async function* () {
    yield delta("a");
    throw new Error("boom");
  };
  it("is the error of the reply, after the events, for each reader once", async () => {
    const stream = (await runtimeOf(failing)).stream("agent", "q");
    const read = async (): Promise<unknown[]> => {
      const seen: unknown[] = [];
      const iterator = stream[Symbol.asyncIterator]();
      seen.push((await iterator.next()).value?.type);
      seen.push(await errorOf(iterator.next()), (await iterator.next()).done);
      return seen;
    };
    const error = await errorOf(stream.reply);
    for (const seen of await Promise.all([read(), read()])) expect(seen).toEqual(["text-delta", error, true]);
  });
  it("next() called ahead is answered in order", async () => {
    const runtime = await runtimeOf(async function* () {
      await settle();
      yield delta("a");
      return "b";
    });
    const iterator = runtime.stream("agent", "q")[Symbol.asyncIterator]();
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
    expect(results.map(({ done, value }) => (done === true ? "end" : shown(value as AgentEvent)))).toEqual(["a", "[b]", "end", "end"]);
  });
});

describe("after its end", () => {
  it("an abandoned agent's late events are not shown", async () => {
    const go = gate();
    const runtime = await runtimeOf(async function* () {
      yield delta("a");
      await go.promise;
      yield delta("late");
      return "x";
    });
    const stream = runtime.stream("agent", "q", { timeoutMs: 10 });
    await errorOf(stream.reply);
    go.open();
    await settle();
    const seen: string[] = [];
    await errorOf(
      (async () => {
        for await (const event of stream) seen.push(shown(event));
      })(),
    );
    expect(seen).toEqual(["a"]);
  });
});
