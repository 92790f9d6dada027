import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AgentContext,
  AixgoError,
  createRuntime,
  type Execute,
  type Json,
  type MessageInput,
  type Runtime,
  type RuntimeOptions,
  textOf,
  userMessage,
} from "../src/index.ts";
import { collect, errorOf, gate, settle } from "./support.ts";

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

describe("call", () => {
  it.each<[string, Execute]>([
    ["a value", () => "answer"],
    ["a promise", async () => "answer"],
    [
      "a message",
      () => ({
        role: "assistant",
        parts: [
          { type: "text", text: "ans" },
          { type: "text", text: "wer" },
        ],
      }),
    ],
    ["a message with usage", async () => ({ message: "answer", usage: { inputTokens: 1 } })],
    [
      "a generator",
      async function* () {
        yield { type: "text-delta", text: "ans" };
        return "answer";
      },
    ],
  ])("answers with what an agent returns as %s", async (_name, execute) => {
    const reply = await (await runtimeOf(execute)).call("agent", "q");
    expect(reply).toMatchObject({ text: "answer", message: { role: "assistant" } });
    expect(reply.message.id).toMatch(/^[\w-]{16}$/);
    expect(reply.turn).toBeUndefined();
  });
  it("passes usage on", async () => {
    const runtime = await runtimeOf(() => ({ message: "a", usage: { inputTokens: 3, outputTokens: 4 } }));
    expect((await runtime.call("agent", "q")).usage).toEqual({ inputTokens: 3, outputTokens: 4 });
  });
  it("gives the agent a message with id and time, the caller's if there are some, and none of the caller's objects", async () => {
    const seen: unknown[] = [];
    const runtime = await runtimeOf((input) => (seen.push(input), "ok"));
    const mine = userMessage("b");
    await runtime.call("agent", "a");
    await runtime.call("agent", mine);
    expect(seen[0]).toMatchObject({
      role: "user",
      parts: [{ type: "text", text: "a" }],
      id: expect.any(String),
      timestamp: expect.any(String),
    });
    expect(seen[1]).toEqual(mine);
    expect(seen[1]).not.toBe(mine);
  });
  it("an agent that returns its input answers with a message of its own", async () => {
    const mine = userMessage("same");
    const reply = await (await runtimeOf((input) => input)).call("agent", mine);
    expect(reply.text).toBe("same");
    expect(reply.message.id).not.toBe(mine.id);
  });
  it("without a session has no history, steps of its own only, and state for the time of the call", async () => {
    const seen: Json[] = [];
    const runtime = await runtimeOf(async function* (_input, context) {
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
    });
    await runtime.call("agent", "q");
    await runtime.call("agent", "q");
    expect(seen.slice(0, 6)).toEqual([0, 0, "none", true, { a: 1 }, ["step"]]);
    expect(seen.slice(6)).toEqual(seen.slice(0, 6));
  });
  it("lets the agent take the methods out of its context", async () => {
    const runtime = await runtimeOf(async (_input, { emit, setState, getState, agentName }) => {
      await setState("s");
      await emit({ type: "text-delta", text: "x" });
      return `${agentName} ${JSON.stringify(await getState())}`;
    });
    expect((await runtime.call("agent", "q")).text).toBe(`agent "s"`);
  });
  it("checks in this order: options, started, agent, ready, input", async () => {
    const idle = createRuntime();
    expect((await errorOf(idle.call("none", 5 as never, { timeoutMs: -1 }))).code).toBe("INVALID_OPTION");
    expect((await errorOf(idle.call("none", 5 as never))).code).toBe("NOT_STARTED");
    await idle.start();
    expect((await errorOf(idle.call("none", 5 as never))).code).toBe("AGENT_NOT_FOUND");
    idle.register({ name: "lazy", ready: () => false, execute: () => "x" });
    expect((await errorOf(idle.call("lazy", 5 as never))).code).toBe("NOT_STARTED");
    idle.register("eager", () => "x");
    expect((await errorOf(idle.call("eager", 5 as never))).code).toBe("INVALID_INPUT");
  });
  it.each<[string, object]>([
    ["timeoutMs", { timeoutMs: 0 }],
    ["timeoutMs", { timeoutMs: 2 ** 31 }],
    ["signal", { signal: {} }],
    ["principal", { principal: { id: "" } }],
    ["principal", { principal: { id: "a", roles: "admin" } }],
    ["retries", { retries: 2 }],
    ["turnKey", { turnKey: "k" }],
  ])("refuses the option %s of %j by its name", async (name, options) => {
    const error = await errorOf((await runtimeOf(() => "x")).call("agent", "q", options));
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringContaining(`"${name}"`)]);
  });
});

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
  it("that does not wait for what it asked of its context leaves no unhandled rejection", async () => {
    const runtime = await runtimeOf((_input, context) => {
      void context.emit({ type: "nonsense" } as never);
      void context.setState(1n as never);
      void context.call("nobody", "x");
      return "fine";
    });
    expect((await runtime.call("agent", "q")).text).toBe("fine");
  });
});

describe("cancel and timeout", () => {
  const deaf: Execute = () => new Promise(() => {});

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
  it("an agent that ignores its signal cannot hold its caller: CANCELLED by the caller, TIMEOUT by time", async () => {
    const runtime = await runtimeOf(deaf);
    const caller = new AbortController();
    const cancelled = errorOf(runtime.call("agent", "q", { signal: caller.signal }));
    await settle();
    caller.abort();
    expect((await cancelled).code).toBe("CANCELLED");
    expect(await errorOf(runtime.call("agent", "q", { timeoutMs: 10 }))).toMatchObject({ code: "TIMEOUT", retryable: true });
  });
  it("the shorter of the runtime's and the call's timeout counts", async () => {
    const strict = await runtimeOf(deaf, { timeoutMs: 10 });
    expect((await errorOf(strict.call("agent", "q", { timeoutMs: 60_000 }))).message).toContain("10 ms");
    const lenient = await runtimeOf(deaf, { timeoutMs: 60_000 });
    expect((await errorOf(lenient.call("agent", "q", { timeoutMs: 10 }))).message).toContain("10 ms");
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
  it("a signal asked for after the abort is aborted", async () => {
    const go = gate();
    const seen = gate<boolean>();
    const runtime = await runtimeOf(async (_input, context) => {
      await go.promise;
      seen.open(context.signal.aborted);
      return "late";
    });
    await errorOf(runtime.call("agent", "q", { timeoutMs: 5 }));
    go.open();
    expect(await seen.promise).toBe(true);
  });
  it("the late result of an abandoned agent is ignored, its late rejection is not unhandled, its late requests are refused", async () => {
    const go = gate();
    const refused = gate<AixgoError[]>();
    const runtime = await runtimeOf(async (_input, context) => {
      await go.promise;
      refused.open(
        await Promise.all([
          errorOf(context.emit({ type: "text-delta", text: "x" })),
          errorOf(context.setState(1)),
          errorOf(context.call("agent", "x")),
          errorOf(context.history()),
        ]),
      );
      throw new Error("late");
    });
    expect((await errorOf(runtime.call("agent", "q", { timeoutMs: 5 }))).code).toBe("TIMEOUT");
    go.open();
    expect((await refused.promise).map((error) => error.code)).toEqual(["TIMEOUT", "TIMEOUT", "TIMEOUT", "TIMEOUT"]);
  });
  it("runs the finally blocks of a generator, whatever they yield or throw", async () => {
    const ended = gate();
    const runtime = await runtimeOf(async function* () {
      try {
        for (;;) {
          await settle();
          yield { type: "text-delta", text: "." };
        }
      } finally {
        yield { type: "text-delta", text: "bye" };
        ended.open();
        throw new Error("in finally"); // oxlint-disable-line no-unsafe-finally
      }
    });
    expect((await errorOf(runtime.call("agent", "q", { timeoutMs: 10 }))).code).toBe("TIMEOUT");
    await ended.promise;
  });
  it("a generator that yields without ever waiting cannot starve its own timeout", async () => {
    const runtime = await runtimeOf(async function* () {
      for (;;) yield { type: "text-delta", text: "." };
    });
    expect((await errorOf(runtime.call("agent", "q", { timeoutMs: 20 }))).code).toBe("TIMEOUT");
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
  it("an abandoned agent keeps its slot until it has ended, and the wait can be cancelled", async () => {
    const go = gate<string>();
    let runs = 0;
    const runtime = await runtimeOf(() => ((runs += 1) === 1 ? go.promise : "second"), { maxConcurrentCalls: 1 });
    expect((await errorOf(runtime.call("agent", "q", { timeoutMs: 5 }))).code).toBe("TIMEOUT");
    const caller = new AbortController();
    const impatient = errorOf(runtime.call("agent", "q", { signal: caller.signal }));
    const patient = runtime.call("agent", "q", { timeoutMs: 60_000 });
    await settle();
    expect(runs).toBe(1);
    caller.abort();
    expect((await impatient).code).toBe("CANCELLED");
    go.open("late");
    expect((await patient).text).toBe("second");
  });
  it("waiting for a slot is not the agent's time", async () => {
    const go = gate<string>();
    let runs = 0;
    const runtime = await runtimeOf(() => ((runs += 1) === 1 ? go.promise : "quick"), { maxConcurrentCalls: 1 });
    const first = runtime.call("agent", "q");
    const second = runtime.call("agent", "q", { timeoutMs: 30 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    go.open("slow");
    expect((await Promise.all([first, second])).map((reply) => reply.text)).toEqual(["slow", "quick"]);
  });
  it("a call that fails, in whatever way, gives its slot back", async () => {
    const runtime = await runtimeOf(
      (input) => {
        if (textOf(input) === "throw") throw new Error("x");
        return textOf(input) === "bad" ? (5 as never) : "ok";
      },
      { maxConcurrentCalls: 1 },
    );
    for (const input of ["throw", "bad", "throw"]) await errorOf(runtime.call("agent", input));
    await errorOf(runtime.call("agent", 5 as never));
    await errorOf(runtime.call("agent", "q", { signal: AbortSignal.abort() }));
    expect((await runtime.call("agent", "fine")).text).toBe("ok");
  });
});

describe("context.call", () => {
  it("lesson: nested calls with a limit of 1 do not deadlock, through context.call and through runtime.call", async () => {
    const runtime: Runtime = createRuntime({ maxConcurrentCalls: 1, timeoutMs: 10_000 })
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
    expect(replies.map((reply) => reply.text)).toEqual(["<a1><a2><3>", "<b1><b2><3>", "<c1><c2><3>"]);
  });
  it("work left behind by a call takes a slot of its own afterwards", async () => {
    let running = 0;
    let most = 0;
    const go = gate();
    const left = gate<string>();
    const runtime: Runtime = createRuntime({ maxConcurrentCalls: 1 })
      .register("work", async () => {
        most = Math.max(most, (running += 1));
        await settle();
        running -= 1;
        return "w";
      })
      .register("parent", () => {
        void go.promise.then(() => runtime.call("work", "x")).then((reply) => left.open(reply.text), left.fail);
        return "gone";
      });
    await runtime.start();
    await runtime.call("parent", "x");
    go.open();
    await Promise.all([left.promise, runtime.call("work", "x"), runtime.call("work", "x")]);
    expect(most).toBe(1);
  });
  it("inherits principal and cancel; another principal is refused", async () => {
    const ada = { id: "ada", tenantId: "t" };
    let inner: AgentContext | undefined;
    const runtime = createRuntime()
      .register("inner", (_input, context) => ((inner = context), new Promise(() => {})))
      .register("outer", async (_input, context) => {
        expect((await errorOf(context.call("inner", "x", { principal: { id: "eve" } }))).code).toBe("INVALID_OPTION");
        return (await context.call("inner", "x")).message;
      });
    await runtime.start();
    const caller = new AbortController();
    const outcome = errorOf(runtime.call("outer", "x", { principal: ada, signal: caller.signal }));
    await settle();
    expect(inner?.principal).toEqual(ada);
    caller.abort();
    expect((await outcome).code).toBe("CANCELLED");
    expect(inner?.signal.aborted).toBe(true);
  });
  it("is bounded by the caller's deadline and by its own, whichever is first", async () => {
    const seen: string[] = [];
    const runtime = createRuntime()
      .register("deaf", () => new Promise(() => {}))
      .register("outer", async (_input, context) => {
        const error = await errorOf(context.call("deaf", "x", { timeoutMs: 5 }));
        seen.push(error.code, String(context.signal.aborted));
        return (await context.call("deaf", "x", { timeoutMs: 60_000 })).message;
      });
    await runtime.start();
    expect((await errorOf(runtime.call("outer", "x", { timeoutMs: 50 }))).code).toBe("TIMEOUT");
    expect(seen).toEqual(["TIMEOUT", "false"]);
  });
  it("gives the callee its own state and no history", async () => {
    const runtime = createRuntime()
      .register("inner", async (_input, context) =>
        JSON.stringify([(await context.getState()) ?? null, await context.history(), context.session ?? null]),
      )
      .register("outer", async (_input, context) => {
        await context.setState("outer's");
        return (await context.call("inner", "x", { history: true })).text;
      });
    await runtime.start();
    expect((await runtime.call("outer", "x")).text).toBe("[null,[],null]");
  });
  it("ends an endless recursion with LIMIT_EXCEEDED", async () => {
    const runtime = await runtimeOf(async (_input, context) => (await context.call("agent", "again")).text);
    expect((await errorOf(runtime.call("agent", "x"))).code).toBe("LIMIT_EXCEEDED");
  });
});
