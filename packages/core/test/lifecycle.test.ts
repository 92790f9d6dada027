import { describe, expect, it } from "vitest";
import { type Agent, type AixgoError, createRuntime, isAixgoError, type Runtime, withAgentStartTimeout } from "../src/index.ts";
import { errorOf, gate, settle } from "./support.ts";

const echo: Agent = { name: "echo", execute: (input) => ({ role: "assistant", parts: input.parts }) };

function codeOf(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (isAixgoError(error)) return error.code;
    throw error;
  }
  return "accepted";
}
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

describe("register", () => {
  it("takes an agent, or a name with an agent or a function; the registered name wins", async () => {
    const runtime = createRuntime()
      .register(echo)
      .register("other", echo)
      .register("fn", (input, context) => `${context.agentName}: ${input.role}`);
    expect(runtime.list()).toEqual(["echo", "other", "fn"]);
    expect(runtime.get("echo")).toBe(echo);
    expect(runtime.get("other")?.name).toBe("other");
    expect(runtime.get("fn")?.name).toBe("fn");
    expect(runtime.get("none")).toBeUndefined();
    await runtime.start();
    expect((await runtime.call("fn", "x")).text).toBe("fn: user");
    await runtime.stop();
  });
  it("keeps `this` and private fields of an agent that is an instance of a class", async () => {
    class Counter implements Agent {
      readonly name = "counter";
      #count = 0;
      ready(): boolean {
        return this.#count < 2;
      }
      execute = (): string => "unused";
      static make(): Agent {
        const counter = new Counter();
        counter.execute = () => String((counter.#count += 1));
        return counter;
      }
    }
    const runtime = createRuntime().register("renamed", Counter.make());
    await runtime.start();
    expect((await runtime.call("renamed", "")).text).toBe("1");
    expect(await runtime.get("renamed")?.ready?.()).toBe(true);
    await runtime.call("renamed", "");
    expect((await errorOf(runtime.call("renamed", ""))).code).toBe("NOT_STARTED");
  });
  it("refuses a name twice with AGENT_EXISTS", () => {
    const runtime = createRuntime().register(echo);
    expect(codeOf(() => runtime.register(echo))).toBe("AGENT_EXISTS");
    expect(codeOf(() => runtime.register("echo", () => "x"))).toBe("AGENT_EXISTS");
  });
  it.each([
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
  ])("refuses the name %j", (name) => {
    expect(codeOf(() => createRuntime().register(name, () => "x"))).toBe("INVALID_INPUT");
  });
  it.each(["a..b", "writer-2", "réviseur", "作家", "a b", "_x", "x".repeat(128), "console"])("accepts the name %j", (name) => {
    expect(
      createRuntime()
        .register(name, () => "x")
        .list(),
    ).toEqual([name]);
  });
  it.each([
    [undefined],
    [null],
    [{}],
    [{ name: "x" }],
    [{ name: 5, execute() {} }],
    [{ ...echo, start: 1 }],
    [{ ...echo, sessions: "maybe" }],
  ])("refuses %j as an agent", (agent) => {
    expect(codeOf(() => createRuntime().register(agent as never))).toBe("INVALID_INPUT");
  });
});

describe("start", () => {
  it("makes calls possible; before it they are NOT_STARTED, and the agent does not run", async () => {
    let ran = false;
    const runtime = createRuntime().register("a", () => ((ran = true), "x"));
    expect((await errorOf(runtime.call("a", "x"))).code).toBe("NOT_STARTED");
    expect((await errorOf(runtime.call("nobody", "x"))).code).toBe("NOT_STARTED");
    expect(ran).toBe(false);
    await runtime.start();
    await runtime.start();
    expect((await runtime.call("a", "x")).text).toBe("x");
  });
  it("starts all agents at once, and concurrent starts are one", async () => {
    const events: string[] = [];
    const both = gate();
    let begun = 0;
    const waits = async (): Promise<void> => {
      if ((begun += 1) === 2) both.open();
      await both.promise;
    };
    const runtime = createRuntime()
      .register(told("a", events, { start: waits }))
      .register(told("b", events, { start: waits }));
    await Promise.all([runtime.start(), runtime.start()]);
    expect(begun).toBe(2);
  });
  it("that fails stops those already started, rejects with the agent's name, and may be tried again", async () => {
    const events: string[] = [];
    let broken = true;
    const runtime = createRuntime()
      .register(told("good", events))
      .register(
        told("bad", events, {
          start: async () => {
            await settle();
            if (broken) throw new Error("no model");
          },
        }),
      );
    const error = await errorOf(runtime.start());
    expect([error.code, error.message]).toEqual(["AGENT_FAILED", expect.stringMatching(/"bad".*no model/)]);
    expect(events).toEqual(["start good", "stop good"]);
    expect((await errorOf(runtime.call("good", "x"))).code).toBe("NOT_STARTED");
    broken = false;
    await runtime.start();
    expect((await runtime.call("good", "x")).text).toBe("x");
  });
  it("is bounded by agentStartTimeoutMs, and tells the agent by its signal", async () => {
    let seen: AbortSignal | undefined;
    const runtime = createRuntime(withAgentStartTimeout(20)).register({
      ...echo,
      start: (signal) => ((seen = signal), new Promise(() => {})),
    });
    const error = await errorOf(runtime.start());
    expect([error.code, error.message]).toEqual(["TIMEOUT", expect.stringContaining('"echo"')]);
    expect(seen?.aborted).toBe(true);
  });
  it("is aborted by its signal, stopping what had started", async () => {
    const events: string[] = [];
    const caller = new AbortController();
    const runtime = createRuntime()
      .register(told("quick", events))
      .register(told("slow", events, { start: () => new Promise(() => {}) }));
    const starting = errorOf(runtime.start({ signal: caller.signal }));
    await settle();
    caller.abort();
    expect((await starting).code).toBe("CANCELLED");
    expect(events).toEqual(["start quick", "stop quick"]);
    expect((await errorOf(runtime.start({ signal: caller.signal }))).code).toBe("CANCELLED");
  });
  it("lesson: the signal given to an agent's start outlives the start, and aborts when the agent stops", async () => {
    let life: AbortSignal | undefined;
    const caller = new AbortController();
    const runtime = createRuntime().register({ ...echo, start: async (signal) => void (life = signal) });
    await runtime.start({ signal: caller.signal });
    caller.abort();
    await settle();
    expect(life?.aborted).toBe(false);
    expect((await runtime.call("echo", "x")).text).toBe("x");
    await runtime.stop();
    expect(life?.aborted).toBe(true);
  });
  it("starts an agent that was registered later before its first call, once, and again if that failed", async () => {
    let starts = 0;
    const runtime = createRuntime();
    await runtime.start();
    runtime.register({
      ...echo,
      start: async () => {
        starts += 1;
        await settle();
        if (starts === 1) throw new Error("not yet");
      },
    });
    const first = await Promise.all([errorOf(runtime.call("echo", "x")), errorOf(runtime.call("echo", "x"))]);
    expect(first.map((error) => error.code)).toEqual(["AGENT_FAILED", "AGENT_FAILED"]);
    expect(starts).toBe(1);
    await Promise.all([runtime.call("echo", "x"), runtime.call("echo", "x")]);
    expect(starts).toBe(2);
  });
  it("of a late agent that fails aborts the signal the agent was given", async () => {
    let life: AbortSignal | undefined;
    const runtime = createRuntime(withAgentStartTimeout(10));
    await runtime.start();
    runtime.register({ ...echo, start: (signal) => ((life = signal), new Promise(() => {})) });
    expect((await errorOf(runtime.call("echo", "x"))).code).toBe("TIMEOUT");
    expect(life?.aborted).toBe(true);
  });
  it("does not fail because of an agent that is unregistered meanwhile", async () => {
    const runtime = createRuntime()
      .register(echo)
      .register({ ...echo, name: "slow", start: () => new Promise(() => {}) });
    const starting = runtime.start();
    await settle();
    expect(await runtime.unregister("slow")).toBe(true);
    await starting;
    expect((await runtime.call("echo", "x")).text).toBe("x");
  });
});

describe("ready", () => {
  it("false refuses the call with a retryable error, and the agent does not run", async () => {
    let ready: boolean | Promise<boolean> = false;
    let runs = 0;
    const runtime = createRuntime().register({ name: "a", ready: () => ready, execute: () => `${(runs += 1)}` });
    await runtime.start();
    expect(await errorOf(runtime.call("a", "x"))).toMatchObject({ code: "NOT_STARTED", retryable: true });
    ready = Promise.resolve(false);
    expect((await errorOf(runtime.call("a", "x"))).code).toBe("NOT_STARTED");
    expect(runs).toBe(0);
    ready = Promise.resolve(true);
    expect((await runtime.call("a", "x")).text).toBe("1");
  });
  it("that throws is AGENT_FAILED; that never answers is bounded by the call's timeout", async () => {
    const runtime = createRuntime()
      .register({
        ...echo,
        name: "throws",
        ready: () => {
          throw new Error("broken");
        },
      })
      .register({ ...echo, name: "hangs", ready: () => new Promise<boolean>(() => {}) });
    await runtime.start();
    expect((await errorOf(runtime.call("throws", "x"))).code).toBe("AGENT_FAILED");
    expect((await errorOf(runtime.call("hangs", "x", { timeoutMs: 20 }))).code).toBe("TIMEOUT");
  });
});

describe("unregister", () => {
  it("says whether there was one, stops the agent, and frees the name", async () => {
    const events: string[] = [];
    const runtime = createRuntime().register(told("a", events));
    await runtime.start();
    expect(await runtime.unregister("b")).toBe(false);
    expect(await runtime.unregister("a")).toBe(true);
    expect(await runtime.unregister("a")).toBe(false);
    expect(events).toEqual(["start a", "stop a"]);
    expect((await errorOf(runtime.call("a", "x"))).code).toBe("AGENT_NOT_FOUND");
    runtime.register("a", () => "second");
    expect((await runtime.call("a", "x")).text).toBe("second");
  });
  it("lesson: while a call runs lets it end, and stops the agent after it", async () => {
    const events: string[] = [];
    const answer = gate<string>();
    const runtime = createRuntime().register(told("a", events, { execute: () => answer.promise }));
    await runtime.start();
    const running = runtime.call("a", "x");
    await settle();
    expect(await runtime.unregister("a")).toBe(true);
    expect((await errorOf(runtime.call("a", "x"))).code).toBe("AGENT_NOT_FOUND");
    expect(events).toEqual(["start a"]);
    answer.open("late");
    expect((await running).text).toBe("late");
    await runtime.stop();
    expect(events).toEqual(["start a", "stop a"]);
  });
  it("does not wait for calls that were refused or cancelled before the agent ran", async () => {
    const events: string[] = [];
    const busy = gate<string>();
    const runtime = createRuntime({ maxConcurrentCalls: 1 })
      .register("busy", () => busy.promise)
      .register(told("a", events, { ready: () => true }));
    await runtime.start();
    const running = runtime.call("busy", "x");
    await settle();
    const caller = new AbortController();
    const waiting = errorOf(runtime.call("a", "x", { signal: caller.signal }));
    await errorOf(runtime.call("a", 5 as never));
    await settle();
    caller.abort();
    await waiting;
    await runtime.unregister("a");
    expect(events).toEqual(["start a", "stop a"]);
    busy.open("x");
    await running;
  });
  it("by the agent itself, from inside its call, does not deadlock", async () => {
    const runtime: Runtime = createRuntime().register("self", async () => String(await runtime.unregister("self")));
    await runtime.start();
    expect((await runtime.call("self", "x")).text).toBe("true");
  });
});

describe("stop", () => {
  it("refuses new calls and lets running ones end", async () => {
    const events: string[] = [];
    const answer = gate<string>();
    const runtime = createRuntime().register(told("a", events, { execute: () => answer.promise }));
    await runtime.start();
    const running = runtime.call("a", "x");
    await settle();
    const stopping = runtime.stop();
    expect((await errorOf(runtime.call("a", "x"))).code).toBe("NOT_STARTED");
    expect(events).toEqual(["start a"]);
    answer.open("done");
    expect((await running).text).toBe("done");
    await stopping;
    expect(events).toEqual(["start a", "stop a"]);
  });
  it("lets a running call make the sub-calls it needs to end", async () => {
    const go = gate();
    const runtime: Runtime = createRuntime({ maxConcurrentCalls: 1 })
      .register(echo)
      .register("outer", async (_input, context) => {
        await go.promise;
        return `${(await context.call("echo", "a")).text}${(await runtime.call("echo", "b")).text}`;
      });
    await runtime.start();
    const running = runtime.call("outer", "x");
    await settle();
    const stopping = runtime.stop();
    go.open();
    expect((await running).text).toBe("ab");
    await stopping;
  });
  it("aborts what still runs after the grace, by signal and answer", async () => {
    let signal: AbortSignal | undefined;
    const runtime = createRuntime().register("a", (_input, context) => {
      signal = context.signal;
      return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal?.reason as Error)));
    });
    await runtime.start();
    const running = errorOf(runtime.call("a", "x"));
    await settle();
    await runtime.stop({ graceMs: 0 });
    expect((await running).code).toBe("CANCELLED");
    expect(signal?.aborted).toBe(true);
  });
  it("lesson: under load ends, and so does every call", async () => {
    const runtime = createRuntime({ maxConcurrentCalls: 3 }).register("a", async () => {
      await settle();
      return "x";
    });
    await runtime.start();
    const calls = Array.from({ length: 200 }, () =>
      runtime.call("a", "x").then(
        () => "ok",
        (error: AixgoError) => error.code,
      ),
    );
    await settle();
    await runtime.stop({ graceMs: 5 });
    const outcomes = await Promise.all(calls);
    expect(new Set([...outcomes, "ok", "CANCELLED"])).toEqual(new Set(["ok", "CANCELLED"]));
    expect(outcomes).toContain("ok");
  });
  it("is idempotent, joins a stop under way, and allows another start", async () => {
    const events: string[] = [];
    const runtime = createRuntime().register(told("a", events));
    await runtime.stop();
    await runtime.start();
    await Promise.all([runtime.stop(), runtime.stop(), runtime[Symbol.asyncDispose]()]);
    await runtime.stop();
    expect(events).toEqual(["start a", "stop a"]);
    await runtime.start();
    expect((await runtime.call("a", "x")).text).toBe("x");
    const [, restarted] = await Promise.all([runtime.stop(), runtime.start().then(() => runtime.call("a", "y"))]);
    expect(restarted.text).toBe("y");
  });
  it("lets a start that comes meanwhile wait until it is done", async () => {
    const events: string[] = [];
    const answer = gate<string>();
    const runtime = createRuntime().register(told("a", events, { execute: () => answer.promise }));
    await runtime.start();
    const running = runtime.call("a", "x");
    await settle();
    const stopping = runtime.stop();
    const starting = runtime.start();
    await settle();
    expect(events).toEqual(["start a"]);
    answer.open("x");
    await Promise.all([running, stopping, starting]);
    expect(events).toEqual(["start a", "stop a", "start a"]);
    expect((await runtime.call("a", "x")).text).toBe("x");
  });
  it("during a start aborts the start", async () => {
    const runtime = createRuntime().register({ ...echo, start: () => new Promise(() => {}) });
    const starting = errorOf(runtime.start());
    await settle();
    await runtime.stop();
    expect((await starting).code).toBe("CANCELLED");
  });
  it("goes on when an agent fails to stop, and logs it without content", async () => {
    const logged: string[] = [];
    const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const events: string[] = [];
    const runtime = createRuntime({ logger: { debug: log, info: log, warn: log, error: log } })
      .register({
        ...echo,
        stop: () => {
          throw new Error("stuck");
        },
      })
      .register(told("b", events));
    await runtime.start();
    await runtime.stop();
    expect(events).toEqual(["start b", "stop b"]);
    expect(logged).toEqual([expect.stringContaining("stuck")]);
  });
  it.each([[-1], [Number.NaN], ["5"], [Infinity]])("refuses graceMs %j", async (graceMs) => {
    expect((await errorOf(createRuntime().stop({ graceMs: graceMs as number }))).code).toBe("INVALID_OPTION");
  });
});
