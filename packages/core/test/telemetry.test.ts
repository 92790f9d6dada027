import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import {
  CALL_SPAN,
  createRuntime,
  type Json,
  METRIC,
  type Metrics,
  type Runtime,
  type RuntimeOptions,
  SPAN,
  type Tracing,
  withLogger,
  withMetrics,
  withTracing,
} from "../src/index.ts";
import { collect, errorOf, gate, observedHost, settle } from "./support.ts";

interface Recorded extends Metrics {
  readonly lines: string[];
  readonly active: () => number;
}
function recorded(): Recorded {
  const lines: string[] = [];
  let active = 0;
  return {
    lines,
    active: () => active,
    count(name, by, labels) {
      if (name === METRIC.active) active += by;
      else lines.push(`${name} +${by} ${Object.values(labels).join(" ")}`);
    },
    observe(name, value, labels) {
      expect(value).toBeGreaterThanOrEqual(0);
      lines.push(`${name} ${Object.values(labels).join(" ")}`);
    },
  };
}
async function runtimeOf(options: RuntimeOptions): Promise<Runtime> {
  const runtime = createRuntime(options)
    .register("echo", () => "x")
    .register("bad", () => {
      throw new Error("boom");
    })
    .register("outer", async (_input, context) => (await context.call("echo", "x")).text);
  await runtime.start();
  return runtime;
}

describe("metrics", () => {
  it("count and time each call once, by agent, kind and outcome, with and without a session", async () => {
    const metrics = recorded();
    const runtime = await runtimeOf({ metrics, sessions: observedHost() });
    await runtime.call("echo", "x");
    await collect(runtime.stream("echo", "x"));
    await runtime.callWithSession("echo", "x", "s1");
    await collect(runtime.streamWithSession("echo", "x", "s1"));
    await errorOf(runtime.call("bad", "x"));
    await runtime.call("outer", "x");
    await runtime.callParallel(["echo"], "x");
    expect(metrics.lines.filter((line) => line.startsWith(METRIC.count))).toEqual([
      "aixgo.call.count +1 echo call ok",
      "aixgo.call.count +1 echo stream ok",
      "aixgo.call.count +1 echo session ok",
      "aixgo.call.count +1 echo session-stream ok",
      "aixgo.call.count +1 bad call AGENT_FAILED",
      "aixgo.call.count +1 echo nested ok",
      "aixgo.call.count +1 outer call ok",
      "aixgo.call.count +1 echo parallel ok",
    ]);
    expect(metrics.lines.filter((line) => line.startsWith(METRIC.durationMs))).toHaveLength(8);
    expect(metrics.active()).toBe(0);
  });
  it("names that no agent has do not become labels", async () => {
    const metrics = recorded();
    const runtime = await runtimeOf({ metrics });
    await errorOf(runtime.call(`made-up-${Math.random()}`, "x"));
    expect(metrics.lines[0]).toBe("aixgo.call.count +1 (unknown) call AGENT_NOT_FOUND");
  });
  it("an abandoned agent is counted, and active until it has ended", async () => {
    const metrics = recorded();
    const go = gate<string>();
    const runtime = createRuntime(withMetrics(metrics)).register("slow", () => go.promise);
    await runtime.start();
    await errorOf(runtime.call("slow", "x", { timeoutMs: 5 }));
    await settle();
    expect(metrics.lines).toContain("aixgo.call.abandoned +1 slow call");
    expect(metrics.active()).toBe(1);
    go.open("late");
    await settle();
    expect(metrics.active()).toBe(0);
  });
  it("an agent that heeds its signal is not counted as abandoned", async () => {
    const metrics = recorded();
    const runtime = createRuntime(withMetrics(metrics)).register("good", async (_input, { signal }) => {
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
      return "never";
    });
    await runtime.start();
    await errorOf(runtime.call("good", "x", { timeoutMs: 5 }));
    await settle();
    expect(metrics.lines.join()).not.toContain(METRIC.abandoned);
    expect(metrics.active()).toBe(0);
  });
});

describe("tracing", () => {
  it("puts a span around every path, without content", async () => {
    const spans: { name: string; attributes: Record<string, Json> }[] = [];
    const tracing: Tracing = { span: (name, attributes, body) => (spans.push({ name, attributes }), body()) };
    const runtime = await runtimeOf({ tracing, sessions: observedHost() });
    await runtime.call("outer", "secret");
    await runtime.callWithSession("echo", "secret", "s1");
    await runtime.callParallel(["echo"], "secret");
    expect(spans).toEqual([
      { name: CALL_SPAN, attributes: { agent: "outer", kind: "call" } },
      { name: CALL_SPAN, attributes: { agent: "echo", kind: "nested" } },
      { name: CALL_SPAN, attributes: { agent: "echo", kind: "session", session: "s1" } },
      { name: SPAN.turn, attributes: { agent: "echo", session: "s1", step: "open" } },
      { name: SPAN.turn, attributes: { agent: "echo", session: "s1", step: "complete" } },
      { name: CALL_SPAN, attributes: { agent: "echo", kind: "parallel" } },
    ]);
  });
  it("the span of a sub-call lies in its caller's, through context.call and through callParallel", async () => {
    const current = new AsyncLocalStorage<string>();
    const lines: string[] = [];
    const tracing: Tracing = {
      span(_name, { agent }, body) {
        const path = `${current.getStore() ?? ""}/${agent as string}`;
        lines.push(path);
        return current.run(path, body);
      },
    };
    const runtime: Runtime = createRuntime({ tracing, maxConcurrentCalls: 1 })
      .register("leaf", () => "x")
      .register("middle", async (_input, context) => (await context.call("leaf", "x")).text)
      .register("outer", async (_input, context) => {
        await context.call("middle", "x");
        await runtime.callParallel(["leaf"], "x");
        return "x";
      });
    await runtime.start();
    await runtime.call("outer", "x");
    expect(lines).toEqual(["/outer", "/outer/middle", "/outer/middle/leaf", "/outer/leaf"]);
  });
  it.each<[string, Tracing["span"]]>([
    [
      "throws before the body",
      () => {
        throw new Error("down");
      },
    ],
    [
      "throws after it began",
      (_name, _attributes, body) => {
        void body();
        throw new Error("down");
      },
    ],
    [
      "rejects without calling it",
      async () => {
        throw new Error("down");
      },
    ],
    [
      "rejects after it",
      async (_name, _attributes, body) => {
        await body();
        throw new Error("down");
      },
    ],
    [
      "calls it later",
      async (_name, _attributes, body) => {
        await settle();
        return body();
      },
    ],
    [
      "calls it twice",
      async (_name, _attributes, body) => {
        await body();
        return body();
      },
    ],
    ["returns something else", (async () => "nonsense") as never],
    ["returns nothing", (() => undefined) as never],
  ])("a tracer that %s changes nothing: the agent runs once", async (_name, span) => {
    let runs = 0;
    const runtime = createRuntime(withTracing({ span }))
      .register("a", () => `run ${(runs += 1)}`)
      .register("bad", () => {
        throw new Error("boom");
      });
    await runtime.start();
    expect((await runtime.call("a", "x")).text).toBe("run 1");
    expect((await errorOf(runtime.call("bad", "x"))).code).toBe("AGENT_FAILED");
    await settle();
    expect(runs).toBe(1);
  });
});

it("metrics and loggers that throw break no call, and no slot is lost", async () => {
  const fail = (): never => {
    throw new Error("telemetry is down");
  };
  const runtime = await runtimeOf({
    metrics: { count: fail, observe: fail },
    logger: { debug: fail, info: fail, warn: fail, error: fail },
    maxConcurrentCalls: 1,
  });
  for (let n = 0; n < 3; n += 1) {
    expect((await runtime.call("outer", "x")).text).toBe("x");
    expect((await errorOf(runtime.call("bad", "x"))).code).toBe("AGENT_FAILED");
  }
});

it("content of messages is never logged", async () => {
  const logged: string[] = [];
  const log = (fields: object, message: string): void => void logged.push(JSON.stringify([fields, message]));
  const runtime = createRuntime(withLogger({ debug: log, info: log, warn: log, error: log })).register("leaky", async (_input, context) => {
    void context.emit({ type: "message", message: { role: "secret-role", parts: [] } as never });
    throw new Error("the secret is 42");
  });
  await runtime.start();
  await errorOf(runtime.call("leaky", "my secret"));
  expect(logged.length).toBeGreaterThan(0);
  expect(logged.join("\n")).not.toContain("secret");
});
