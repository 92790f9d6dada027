import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRuntime, MAX_WAITING_SENDS, METRIC, type Metrics, type Runtime, type RuntimeOptions, textOf } from "../src/index.ts";
import { errorOf, settle } from "./support.ts";

async function runtimeOf(options: RuntimeOptions): Promise<Runtime> {
  const runtime = createRuntime(options).register("a", () => "x");
  await runtime.start();
  return runtime;
}

describe("a mailbox", () => {
  it("refuses senders with OVERLOADED rather than keep more than 4,096 of them", async () => {
    const runtime = await runtimeOf({ mailboxCapacity: 1, sendTimeoutMs: 60_000 });
    await runtime.send("a", "first");
    const waiting = Array.from({ length: MAX_WAITING_SENDS }, (_, n) => runtime.send("a", String(n)));
    await settle();
    expect(runtime.mailboxStats("a").waiting).toBe(MAX_WAITING_SENDS);
    expect(await errorOf(runtime.send("a", "one too many"))).toMatchObject({ code: "OVERLOADED", retryable: true });
    expect(runtime.mailboxStats("a").refused).toBe(1);
    const outcomes = Promise.allSettled(waiting);
    await runtime.stop();
    expect(new Set((await outcomes).map(({ status }) => status))).toEqual(new Set(["rejected"]));
  });
  it("refuses senders with OVERLOADED rather than keep more bytes of theirs than it may hold itself", async () => {
    const runtime = await runtimeOf({ mailboxMaxBytes: 1_000, sendTimeoutMs: 60_000 });
    const half = "x".repeat(400);
    await runtime.send("a", half);
    await runtime.send("a", half);
    const waiting = [runtime.send("a", half), runtime.send("a", half)];
    await settle();
    expect(runtime.mailboxStats("a")).toMatchObject({ depth: 2, waiting: 2, maxBytes: 1_000 });
    const error = await errorOf(runtime.send("a", half));
    expect(error).toMatchObject({ code: "OVERLOADED", retryable: true });
    expect(error.message).toMatch(/2 sends with 9\d\d bytes wait/);
    for await (const _ of runtime.receive("a")) break;
    await waiting[0];
    // What one of them held may be held again.
    const third = runtime.send("a", half);
    await settle();
    expect(runtime.mailboxStats("a")).toMatchObject({ depth: 2, waiting: 2 });
    const outcomes = Promise.allSettled([waiting[1], third]);
    await runtime.stop();
    expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(
      await errorOf(
        createRuntime({ mailboxMaxBytes: 1 })
          .register("b", () => "x")
          .send("b", "x"),
      ),
    ).toMatchObject({ code: "NOT_STARTED" });
  });
  it("weighs all that a message holds: text in bytes, names, nested data, metadata", async () => {
    const runtime = await runtimeOf({});
    const weigh = async (message: Parameters<Runtime["send"]>[1]): Promise<number> => {
      await runtime.send("a", message);
      const { bytes } = runtime.mailboxStats("a");
      for await (const _ of runtime.receive("a")) break;
      return bytes;
    };
    const base = await weigh({ id: "m", role: "user", parts: [] });
    expect(await weigh({ id: "m", role: "user", parts: [{ type: "text", text: "é".repeat(500) }] })).toBeGreaterThan(base + 1_000);
    const data = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`${n}`.repeat(100), [true, null, n]]));
    expect(await weigh({ id: "m", role: "user", parts: [{ type: "data-x", data }] })).toBeGreaterThan(base + 1_000 + 30);
    expect(await weigh({ id: "m", role: "user", parts: [], metadata: { note: "x".repeat(700) } })).toBeGreaterThan(base + 700);
    await runtime.stop();
  });
  it("counts what happens by agent and outcome, and logs what was dropped without its content", async () => {
    const lines: string[] = [];
    const logged: string[] = [];
    const metrics: Metrics = {
      count: (name, by, labels) => lines.push(`${name} +${by} ${Object.values(labels).join(" ")}`),
      observe() {},
    };
    const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const runtime = await runtimeOf({
      metrics,
      logger: { debug() {}, info: log, warn: log, error: log },
      mailboxCapacity: 2,
      sendTimeoutMs: 5,
    });
    await runtime.send("a", "secret 1");
    await runtime.send("a", "secret 2");
    await errorOf(runtime.send("a", "secret 3"));
    for await (const _ of runtime.receive("a")) break;
    await runtime.stop();
    expect(lines).toEqual([
      `${METRIC.mailSent} +1 a ok`,
      `${METRIC.mailSent} +1 a ok`,
      `${METRIC.mailSent} +1 a TIMEOUT`,
      `${METRIC.mailReceived} +1 a`,
      `${METRIC.mailDropped} +1 a`,
    ]);
    expect(logged).toEqual([expect.stringContaining('{"agent":"a","messages":1}')]);
    expect(logged.join()).not.toContain("secret");
  });
  it("names at most five of those whom a broadcast did not reach, and has them all in its details", async () => {
    const runtime = createRuntime({ mailboxCapacity: 1, sendTimeoutMs: 5 });
    for (let n = 0; n < 8; n += 1) runtime.register(`a${n}`, () => "x");
    await runtime.start();
    await runtime.broadcast("fills them");
    const error = await errorOf(runtime.broadcast("too much"));
    expect(error.message).toMatch(/8 of 8 agents.*"a4" \(TIMEOUT\), and 3 more/);
    expect((error.details as { failed: unknown[] }).failed).toHaveLength(8);
    expect((error.cause as AggregateError).errors.map((each: { code: string }) => each.code)).toEqual(Array(8).fill("TIMEOUT"));
  });
  it("read by a loop that a late agent's start began inside a call is not that call's work: the limit stays true", async () => {
    let working = 0;
    let most = 0;
    const work = async (): Promise<string> => {
      most = Math.max(most, (working += 1));
      await settle();
      working -= 1;
      return "x";
    };
    const runtime = createRuntime({ maxConcurrentCalls: 1 })
      .register("other", work)
      .register("outer", async (_input, context) => {
        await context.call("late", "x");
        return work();
      });
    await runtime.start();
    runtime.register({
      name: "late",
      execute: () => "x",
      async start(signal) {
        void (async () => {
          for await (const _ of runtime.receive("late", { signal }));
        })();
      },
    });
    await Promise.all([runtime.call("outer", "x"), runtime.call("other", "x"), runtime.call("other", "x")]);
    expect(most).toBe(1);
    await runtime.stop();
  });
  it("next() called ahead is answered in order", async () => {
    const runtime = await runtimeOf({});
    const reader = runtime.receive("a")[Symbol.asyncIterator]();
    const three = Promise.all([reader.next(), reader.next(), reader.next()]);
    for (const text of ["1", "2", "3"]) await runtime.send("a", text);
    expect((await three).map(({ value }) => textOf(value))).toEqual(["1", "2", "3"]);
  });
  it("property: whatever order of sends, cancels and receives, what was acknowledged arrives once, in order, and nothing else", async () => {
    const step = fc.oneof(
      fc.constant("send" as const),
      fc.constant("send and cancel" as const),
      fc.constant("receive" as const),
      fc.constant("receive ahead" as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, mailboxCapacity) => {
        const runtime = await runtimeOf({ mailboxCapacity, sendTimeoutMs: 60_000 });
        const reader = runtime.receive("a")[Symbol.asyncIterator]();
        const acknowledged: string[] = [];
        const got: string[] = [];
        const take = async (): Promise<void> => {
          const { done, value } = await reader.next();
          if (done !== true) got.push(textOf(value));
        };
        const pending: Promise<unknown>[] = [];
        for (const [index, kind] of steps.entries()) {
          const text = String(index);
          if (kind === "send")
            pending.push(
              runtime.send("a", text).then(
                () => acknowledged.push(text),
                () => {},
              ),
            );
          else if (kind === "send and cancel") {
            const caller = new AbortController();
            pending.push(
              runtime.send("a", text, { signal: caller.signal }).then(
                () => acknowledged.push(text),
                () => {},
              ),
            );
            await settle();
            caller.abort();
          } else if (kind === "receive ahead") pending.push(take());
          else {
            await settle();
            if (runtime.mailboxStats("a").depth > 0) await take();
          }
        }
        // Makes room for all who still wait, and takes the rest.
        for (let rest = 0; rest <= steps.length; rest += 1) {
          await settle();
          if (runtime.mailboxStats("a").depth > 0) await take();
        }
        await runtime.stop();
        await Promise.all(pending);
        expect(got).toEqual(acknowledged.toSorted((x, y) => Number(x) - Number(y)));
        expect(runtime.mailboxStats("a")).toMatchObject({ depth: 0, waiting: 0 });
      }),
      { numRuns: 60 },
    );
  });
});
