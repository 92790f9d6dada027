import { createRuntime, METRIC, type Metrics, withMetrics } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { metrics as registered } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { METRICS } from "../src/index.ts";
import { createOpenTelemetryMetrics, withOpenTelemetry } from "../src/opentelemetry.ts";
import { measured } from "./telemetry-sdk.ts";

describe("through OpenTelemetry", () => {
  it("a runtime's metrics have the names, units and attributes of the conventions", async () => {
    const sdk = measured();
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withMetrics(createOpenTelemetryMetrics({ meter: sdk.provider.getMeter("test") })), { sessions })
      .register("echo", async (_input, context) => {
        await context.observe?.({ type: "model", provider: "openai.chat", model: "m" }, async (running) =>
          running.note({ usage: { inputTokens: 100, outputTokens: 3 } }),
        );
        return "x";
      })
      .register("bad", () => {
        throw new Error("boom");
      });
    await runtime.start();
    const session = await sessions.create("echo");
    await runtime.callWithSession("echo", "x", session.id);
    await runtime.call("bad", "x").catch(() => {});

    expect(await sdk.points("aixgo.call.count")).toEqual({
      unit: "{call}",
      points: [
        { value: 1, attributes: { "gen_ai.agent.name": "echo", "aixgo.call.kind": "session" } },
        { value: 1, attributes: { "gen_ai.agent.name": "bad", "aixgo.call.kind": "call", "error.type": "AGENT_FAILED" } },
      ],
    });
    expect((await sdk.points("aixgo.call.active"))?.points.map(({ value }) => value)).toEqual([0, 0]);
    const tokens = await sdk.points("gen_ai.client.token.usage");
    const model = {
      "gen_ai.agent.name": "echo",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "m",
      "gen_ai.operation.name": "chat",
    };
    expect(tokens?.unit).toBe("{token}");
    expect(tokens?.points).toMatchObject([
      { value: { sum: 100, count: 1 }, attributes: { ...model, "gen_ai.token.type": "input" } },
      { value: { sum: 3, count: 1 }, attributes: { ...model, "gen_ai.token.type": "output" } },
    ]);
    const duration = await sdk.points("gen_ai.client.operation.duration");
    expect(duration).toMatchObject({
      unit: "s",
      points: [
        {
          value: {
            count: 1,
            buckets: { boundaries: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] },
          },
          attributes: model,
        },
      ],
    });
    expect((await sdk.points("aixgo.turn.duration"))?.points.map(({ attributes }) => attributes["aixgo.turn.step"])).toEqual([
      "open",
      "complete",
    ]);
    await sessions.close();
    await sdk.provider.shutdown();
  });

  it("all of the table are exported, times in seconds", async () => {
    const sdk = measured();
    const metrics = createOpenTelemetryMetrics({ meter: sdk.provider.getMeter("test") });
    for (const { name, kind } of METRICS)
      if (kind === "histogram") metrics.observe(name, 1500, { agent: "a" });
      else metrics.count(name, 1, { agent: "a" });
    expect(await sdk.names()).toHaveLength(METRICS.length);
    expect((await sdk.points("aixgo.call.duration"))?.points[0]?.value).toMatchObject({ sum: 1.5 });
    await sdk.provider.shutdown();
  });

  it("the meter is that of the provider which is registered when a metric is first used", async () => {
    const runtime = createRuntime(withOpenTelemetry()).register("echo", () => "x");
    const sdk = measured();
    registered.setGlobalMeterProvider(sdk.provider);
    try {
      await runtime.start();
      await runtime.call("echo", "x");
      expect(await sdk.names()).toEqual(["aixgo.call.active", "aixgo.call.count", "aixgo.call.duration"]);
    } finally {
      registered.disable();
      await runtime.stop();
      await sdk.provider.shutdown();
    }
  });

  it("the meter is that of the provider which is registered, also after metrics were used", async () => {
    const runtime = createRuntime(withOpenTelemetry()).register("echo", () => "x");
    await runtime.start();
    await runtime.call("echo", "x");
    const sdk = measured();
    registered.setGlobalMeterProvider(sdk.provider);
    try {
      await runtime.call("echo", "x");
      expect((await sdk.points("aixgo.call.count"))?.points.map(({ value }) => value)).toEqual([1]);
      expect((await sdk.points("aixgo.call.active"))?.points.map(({ value }) => value)).toEqual([0]);
      expect(await sdk.names()).toContain("aixgo.call.duration");
    } finally {
      registered.disable();
      await runtime.stop();
      await sdk.provider.shutdown();
    }
  });

  it("metrics of the application's own keep name, labels and unit", async () => {
    const sdk = measured();
    const metrics = createOpenTelemetryMetrics({ meter: sdk.provider.getMeter("test"), gauges: ["app.open"] });
    metrics.count("app.open", -2, { agent: "a" });
    metrics.observe("app.size", 5, { outcome: "ok" });
    expect(await sdk.points("app.open")).toEqual({ unit: "1", points: [{ value: -2, attributes: { agent: "a" } }] });
    expect((await sdk.points("app.size"))?.points).toMatchObject([{ value: { sum: 5 }, attributes: { outcome: "ok" } }]);
    await sdk.provider.shutdown();
  });

  it.each<[string, (metrics: Metrics) => void]>([
    ["a counter only rises", (metrics) => metrics.count(METRIC.count, -1, {})],
    ["is a histogram: observe it", (metrics) => metrics.count(METRIC.durationMs, 1, {})],
    ["names must not be made of data", (metrics) => Array.from({ length: 501 }, (_, n) => metrics.count(`c${n}`, 1, {}))],
  ])("refuses by name: %s", async (problem, use) => {
    const sdk = measured();
    expect(() => use(createOpenTelemetryMetrics({ meter: sdk.provider.getMeter("test") }))).toThrow(problem);
    await sdk.provider.shutdown();
  });

  it("refuses what is no meter", () => {
    expect(() => createOpenTelemetryMetrics({ meter: {} as never })).toThrow('"meter" must be an object with createCounter');
  });
});
