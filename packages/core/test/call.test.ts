import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AixgoError, createRuntime, type Execute, type MessageInput, type Runtime, type RuntimeOptions, textOf } from "../src/index.ts";
import { errorOf, gate, settle } from "./support.ts";

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await settle();
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

async function runtimeOf(execute: Execute, options: RuntimeOptions = {}): Promise<Runtime> {
  const runtime = createRuntime(options).register("agent", execute);
  await runtime.start();
  return runtime;
}

describe("a failing agent", () => {
  const secretive = {
    toString: () => {
      throw new Error("no");
    },
    get message() {
      throw new Error("no");
    },
  };
  it.each<[string, Execute]>([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    [
      "throws after a tick",
      async () => {
        await Promise.resolve();
        throw new Error("boom");
      },
    ],
    [
      "throws after a timer",
      async () => {
        await settle();
        throw new Error("boom");
      },
    ],
    [
      "throws in a generator",
      async function* () {
        yield { type: "text-delta", text: "a" };
        throw new Error("boom");
      },
    ],
    [
      "throws a string",
      () => {
        throw "boom";
      },
    ],
  ])("that %s is AGENT_FAILED with the agent's name and the cause", async (_name, execute) => {
    const error = await errorOf((await runtimeOf(execute)).call("agent", "q"));
    expect([error.code, error.message]).toEqual(["AGENT_FAILED", 'agent "agent" failed: boom']);
    expect(error.cause).toBeDefined();
  });
  it.each([
    [undefined],
    [null],
    [Symbol("s")],
    [secretive],
    [
      new Proxy(
        {},
        {
          getPrototypeOf() {
            throw new Error("no");
          },
        },
      ),
    ],
  ])("may throw anything", async (thrown) => {
    expect(
      (
        await errorOf(
          (
            await runtimeOf(() => {
              throw thrown;
            })
          ).call("agent", "q"),
        )
      ).code,
    ).toBe("AGENT_FAILED");
  });
  it("lets errors of ours pass as they are", async () => {
    const mine = new AixgoError("OVERLOADED", "model is busy", { details: { a: 1 } });
    expect(
      await errorOf(
        (
          await runtimeOf(() => {
            throw mine;
          })
        ).call("agent", "q"),
      ),
    ).toBe(mine);
  });
  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a number", 5],
    ["an object that is no message", { text: "x" }],
    ["a bad part", { role: "assistant", parts: [{ type: "image" }] }],
    ["a bad usage", { message: "x", usage: { inputTokens: "many" } }],
    ["usage without a message", { message: undefined, usage: {} }],
    ["a lone surrogate", "\ud800"],
  ])("that returns %s is AGENT_FAILED with INVALID_INPUT as its cause", async (_name, value) => {
    const error = await errorOf((await runtimeOf(() => value as MessageInput)).call("agent", "q"));
    expect(error.code).toBe("AGENT_FAILED");
    expect(error.cause).toMatchObject({ code: "INVALID_INPUT" });
  });
  it.each<[string, unknown]>([
    ["no object", 5],
    ["an unknown type", { type: "delta" }],
    ["a delta without text", { type: "text-delta" }],
    ["a bad message", { type: "message", message: { role: "x", parts: [] } }],
    ["data that is no JSON", { type: "data-x", data: 1n }],
  ])("that yields %s learns it at its yield, and is AGENT_FAILED unless it goes on", async (_name, event) => {
    const strict = await errorOf(
      (
        await runtimeOf(async function* () {
          yield event as never;
          return "x";
        })
      ).call("agent", "q"),
    );
    expect(strict).toMatchObject({ code: "AGENT_FAILED", cause: { code: "INVALID_INPUT" } });
    const lenient = await runtimeOf(async function* () {
      try {
        yield event as never;
      } catch {
        return "went on";
      }
      return "unnoticed";
    });
    expect((await lenient.call("agent", "q")).text).toBe("went on");
  });
});

describe("cancel and timeout", () => {
  it("an aborted signal refuses the call before the agent runs", async () => {
    let ran = false;
    const runtime = await runtimeOf(() => ((ran = true), "x"));
    const reason = new Error("never mind");
    expect(await errorOf(runtime.call("agent", "q", { signal: AbortSignal.abort(reason) }))).toMatchObject({
      code: "CANCELLED",
      cause: reason,
    });
    expect(ran).toBe(false);
  });
  it("the agent's signal carries the very error that the caller gets", async () => {
    let reason: unknown;
    const runtime = await runtimeOf(
      (_input, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => ((reason = signal.reason), reject(signal.reason as Error))),
        ),
    );
    const error = await errorOf(runtime.call("agent", "q", { timeoutMs: 10 }));
    expect(error.code).toBe("TIMEOUT");
    expect(reason).toBe(error);
  });
  it("leaves no listener on the caller's signal", async () => {
    const caller = new AbortController();
    const counts = { added: 0, removed: 0 };
    const { signal } = caller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => ((counts.added += 1), add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => ((counts.removed += 1), remove(...args));
    const runtime = await runtimeOf(() => "x");
    for (let n = 0; n < 20; n += 1) await runtime.call("agent", "q", { signal, timeoutMs: 1_000 });
    expect(counts).toEqual({ added: 20, removed: 20 });
  });
  it("leaves no timer behind", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    // Those of the tests before end by themselves, and must not end in between.
    for (const since = performance.now(); timers() > 0 && performance.now() - since < 20_000;) await settle();
    const before = timers();
    const held = gate<string>();
    const runtime = await runtimeOf((input) => (textOf(input) === "held" ? held.promise : "x"), { timeoutMs: 600_000 });
    const running = runtime.call("agent", "held");
    await settle();
    expect(timers()).toBe(before + 1);
    held.open("now");
    await running;
    await runtime.call("agent", "q");
    await errorOf(
      (
        await runtimeOf(
          () => {
            throw new Error("x");
          },
          { timeoutMs: 600_000 },
        )
      ).call("agent", "q"),
    );
    expect(timers()).toBe(before);
  });
});

describe("maxConcurrentCalls", () => {
  it("holds for calls and streams together; the others wait in order", async () => {
    let running = 0;
    let most = 0;
    const order: string[] = [];
    const runtime = await runtimeOf(
      async (input) => {
        most = Math.max(most, (running += 1));
        order.push(textOf(input));
        await settle();
        running -= 1;
        return "x";
      },
      { maxConcurrentCalls: 2 },
    );
    const names = Array.from({ length: 12 }, (_, n) => String(n));
    await Promise.all(names.map((name, n) => (n % 2 ? runtime.call("agent", name) : runtime.stream("agent", name).reply)));
    expect(most).toBe(2);
    expect(order).toEqual(names);
  });
});
