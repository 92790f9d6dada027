import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createRuntime, METRIC, type Metrics, withMetrics } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import fc from "fast-check";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { METRICS } from "../src/index.ts";
import { createPrometheusMetrics, type PrometheusOptions } from "../src/prometheus.ts";
import { readExposition, sortedLabels } from "./exposition.ts";

async function scrape(text: () => string, contentType: string): Promise<{ readonly body: string; readonly type: string | null }> {
  const server = createServer((_request, response) => void response.writeHead(200, { "content-type": contentType }).end(text()));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
    return { body: await response.text(), type: response.headers.get("content-type") };
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("a runtime's metrics", () => {
  it("are scraped over HTTP as a Prometheus server reads them", async () => {
    const metrics = createPrometheusMetrics();
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withMetrics(metrics), { sessions })
      .register("echo", async (_input, context) => {
        await context.observe?.({ type: "model", provider: "acme", model: "m" }, async (running) =>
          running.note({ usage: { inputTokens: 100, outputTokens: 3 } }),
        );
        await context.observe?.({ type: "tool", tool: "search", toolCallId: "c" }, async () => {});
        return "x";
      })
      .register("bad", () => {
        throw new Error("boom");
      });
    await runtime.start();
    const session = await sessions.create("echo");
    for (let n = 0; n < 3; n += 1) await runtime.callWithSession("echo", "x", session.id);
    await runtime.call("bad", "x").catch(() => {});
    await runtime.send("echo", "x");

    const { body, type } = await scrape(() => metrics.text(), metrics.contentType);
    expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
    const { families, value, samples } = readExposition(body);
    expect(families.get("aixgo_call_total")?.type).toBe("counter");
    expect(value("aixgo_call_total", { agent: "echo", kind: "session", outcome: "ok" })).toBe(3);
    expect(value("aixgo_call_total", { agent: "bad" })).toBe(1);
    expect(families.get("aixgo_call_active")?.type).toBe("gauge");
    expect(value("aixgo_call_active", { agent: "echo" })).toBe(0);
    expect(value("aixgo_call_duration_seconds_count", { agent: "echo" })).toBe(3);
    expect(value("aixgo_call_duration_seconds_bucket", { agent: "bad", outcome: "AGENT_FAILED", le: "+Inf" })).toBe(1);
    expect(samples.filter(({ name, labels }) => name === "aixgo_call_duration_seconds_bucket" && labels["agent"] === "echo")).toHaveLength(
      16,
    );
    expect(value("aixgo_model_tokens_sum", { type: "input" })).toBe(300);
    expect(value("aixgo_model_tokens_sum", { type: "output" })).toBe(9);
    expect(value("aixgo_tool_total", { tool: "search" })).toBe(3);
    expect(value("aixgo_mail_sent_total", { agent: "echo" })).toBe(1);
    expect(value("aixgo_turn_duration_seconds_count", { step: "open" })).toBe(3);
    expect(value("aixgo_turn_duration_seconds_count", { step: "complete" })).toBe(3);
    await sessions.close();
  });

  it("are all in the table, each of them shown under one name", () => {
    expect(METRICS.map(({ name }) => name).sort()).toEqual(Object.values(METRIC).sort());
    const metrics = createPrometheusMetrics();
    for (const { name, kind, labels } of METRICS) {
      const values = Object.fromEntries(labels.map((label) => [label, "x"]));
      if (kind === "histogram") metrics.observe(name, 1, values);
      else metrics.count(name, 1, values);
    }
    const { families } = readExposition(metrics.text());
    expect([...families.values()]).toEqual(METRICS.map(({ kind, description }) => ({ type: kind, help: description })));
  });
});

describe("the text format", () => {
  it("is empty before anything was measured", () => expect(createPrometheusMetrics().text()).toBe(""));

  it("counts buckets cumulatively, in seconds; a bound takes in its own value", () => {
    const metrics = createPrometheusMetrics({ buckets: [0.1, 1, 10] });
    for (const ms of [50, 100, 101, 1000, 9999, 10_099]) metrics.observe("job_ms", ms, {});
    expect(metrics.text().split("\n").slice(2, -1)).toEqual([
      'job_seconds_bucket{le="0.1"} 2',
      'job_seconds_bucket{le="1"} 4',
      'job_seconds_bucket{le="10"} 5',
      'job_seconds_bucket{le="+Inf"} 6',
      "job_seconds_sum 21.349",
      "job_seconds_count 6",
    ]);
  });

  it("gives back any label and any count", () => {
    const label = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom('a"b', "a\\", "\\n", "a\nb", '\\"', "}", "a,b=c", "#", "é", "日本"),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(label, label, fc.nat({ max: 1e9 })), { minLength: 1, maxLength: 20 }), (given) => {
        const metrics = createPrometheusMetrics();
        const sums = new Map<string, number>();
        const shown = (text: string): string =>
          text
            .toString()
            .slice(0, 256)
            .replaceAll(/\p{Surrogate}/gu, "\ufffd");
        for (const [agent, kind, by] of given) {
          metrics.count("c", by, { agent, kind });
          const key = JSON.stringify([shown(agent), shown(kind)]);
          sums.set(key, (sums.get(key) ?? 0) + by);
        }
        const read = readExposition(metrics.text()).samples.map(
          ({ labels, value }) => [JSON.stringify([labels["agent"] ?? "", labels["kind"] ?? ""]), value] as const,
        );
        expect(new Map(read)).toEqual(sums);
      }),
      { numRuns: 200 },
    );
  });

  it("the same labels in another order are one series; an empty one is none", () => {
    const metrics = createPrometheusMetrics();
    metrics.count("c", 1, { a: "1", b: "2" });
    metrics.count("c", 1, { b: "2", a: "1" });
    metrics.count("c", 1, { b: "2", a: "1", c: "" });
    expect(metrics.text()).toContain('c_total{a="1",b="2"} 3\n');
  });

  it("names and labels that are not the format's become so, without taking its own", () => {
    const metrics = createPrometheusMetrics({ prefix: "my_" });
    metrics.observe("2.fast-and é", 1, { le: "x", __name__: "y", "a-b": "z", "1st": "w" });
    const text = metrics.text();
    readExposition(text);
    expect(text).toContain('my__2_fast_and___count{_1st="w",_le="x",_name__="y",a_b="z"} 1');
  });

  it("no more than maxSeries sets of labels are held; what comes then is counted as (other), and the sum stays right", () => {
    const metrics = createPrometheusMetrics({ maxSeries: 10 });
    for (let n = 0; n < 10_000; n += 1) {
      metrics.count(METRIC.count, 1, { agent: `a${n}`, kind: "call", outcome: "ok" });
      metrics.observe(METRIC.durationMs, 1, { agent: `a${n}`, kind: "call", outcome: "ok" });
    }
    const { samples, value } = readExposition(metrics.text());
    const counts = samples.filter(({ name }) => name === "aixgo_call_total");
    expect(counts).toHaveLength(11);
    expect(counts.at(-1)).toMatchObject({ value: 9990, labels: { agent: "(other)", kind: "(other)", outcome: "(other)" } });
    expect(counts.reduce((sum, { value: each }) => sum + each, 0)).toBe(10_000);
    expect(value("aixgo_call_duration_seconds_count", { agent: "(other)" })).toBe(9990);
    // One that had a series of its own keeps it.
    metrics.count(METRIC.count, 1, { agent: "a3", kind: "call", outcome: "ok" });
    expect(metrics.text()).toContain('aixgo_call_total{agent="a3",kind="call",outcome="ok"} 2');
  });

  it("label names made of data do not fill the memory either", () => {
    const metrics = createPrometheusMetrics({ maxSeries: 5 });
    for (let n = 0; n < 1000; n += 1) metrics.count("c", 1, { [`l${n}`]: "x" });
    const { samples } = readExposition(metrics.text());
    expect(samples.length).toBeLessThan(30);
    expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(1000);
  });

  it("says the same as the reference client, of whatever was measured", async () => {
    const label = fc.constantFrom("a", "b", 'q"', "back\\slash", "new\nline");
    const use = fc.oneof(
      fc.record({ kind: fc.constant("counter" as const), by: fc.nat({ max: 1e6 }), label }),
      fc.record({ kind: fc.constant("gauge" as const), by: fc.integer({ min: -1e6, max: 1e6 }), label }),
      fc.record({ kind: fc.constant("histogram" as const), by: fc.double({ noNaN: true, min: 0, max: 100 }), label }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(use, { minLength: 1, maxLength: 50 }), async (uses) => {
        const buckets = [0.1, 1, 10, 50];
        const metrics = createPrometheusMetrics({ buckets, gauges: ["g"] });
        const registers = [new Registry()];
        const reference = {
          counter: new Counter({ name: "c_total", help: "c", labelNames: ["l"], registers }),
          gauge: new Gauge({ name: "g", help: "g", labelNames: ["l"], registers }),
          histogram: new Histogram({ name: "h", help: "h", labelNames: ["l"], buckets, registers }),
        };
        for (const { kind, by, label: l } of uses) {
          if (kind === "histogram") {
            metrics.observe("h", by, { l });
            reference.histogram.observe({ l }, by);
          } else {
            metrics.count(kind === "counter" ? "c" : "g", by, { l });
            reference[kind].inc({ l }, by);
          }
        }
        const lines = (text: string): string[] =>
          readExposition(text)
            .samples.map(({ name, labels, value }) => JSON.stringify([name, sortedLabels(labels), value]))
            .sort();
        const expected = await registers[0]?.metrics();
        // The reference ends its text without an empty line between its metrics and the end.
        expect(lines(metrics.text())).toEqual(lines((expected ?? "").replaceAll("\n\n", "\n")));
      }),
      { numRuns: 100 },
    );
  });
});

describe("what is wrong is refused by name", () => {
  it.each<[PrometheusOptions, string]>([
    [{ prefix: "1x" }, '"prefix" must be 1 to 64 letters'],
    [{ buckets: [] }, '"buckets" must be an array of 1 to 100 rising numbers'],
    [{ buckets: [1, 1] }, '"buckets"'],
    [{ tokenBuckets: [1, Infinity] }, '"tokenBuckets"'],
    [{ maxSeries: 0 }, '"maxSeries" must be a whole number of at least 1'],
    [{ gauges: "x" as never }, '"gauges" must be an array of names'],
    [{ colour: 1 } as never, 'there is no option "colour"'],
  ])("%j", (options, problem) => {
    let message = "";
    try {
      createPrometheusMetrics(options);
    } catch (error) {
      expect(error).toMatchObject({ code: "INVALID_OPTION" });
      message = (error as Error).message;
    }
    expect(message).toContain(problem);
  });

  it.each<[string, (metrics: Metrics) => void]>([
    ["a counter only rises", (metrics) => metrics.count("c", -1, {})],
    ["a counter only rises", (metrics) => metrics.count(METRIC.count, -1, {})],
    ["is no number", (metrics) => metrics.count("c", NaN, {})],
    ["is no number", (metrics) => metrics.observe("h", Infinity, {})],
    ["it is a counter: count it", (metrics) => (metrics.count("c", 1, {}), metrics.observe("c", 1, {}))],
    ["it is a histogram: observe it", (metrics) => metrics.count(METRIC.durationMs, 1, {})],
    ["another metric is shown as a_sum already", (metrics) => (metrics.observe("a", 1, {}), metrics.observe("a.sum", 1, {}))],
    ["another metric is shown as a_sum already", (metrics) => (metrics.observe("a.sum", 1, {}), metrics.observe("a", 1, {}))],
    ["another metric is shown as a_b_total already", (metrics) => (metrics.count("a.b", 1, {}), metrics.count("a_b", 1, {}))],
  ])("%s", (problem, use) => {
    expect(() => use(createPrometheusMetrics())).toThrow(problem);
  });

  it("names made of data: 500 metrics are held", () => {
    const metrics = createPrometheusMetrics();
    for (let n = 0; n < 500; n += 1) metrics.count(`c${n}`, 1, {});
    expect(() => metrics.count("c500", 1, {})).toThrow("names must not be made of data");
    metrics.count("c0", 1, {});
    expect(metrics.text()).toContain("c0_total 2\n");
  });

  it("a gauge of the application's own may fall", () => {
    const metrics = createPrometheusMetrics({ gauges: ["app.open"] });
    metrics.count("app.open", 2, {});
    metrics.count("app.open", -3, {});
    expect(metrics.text()).toContain("# TYPE app_open gauge\napp_open -1\n");
  });
});
