import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createRuntime, type Runtime } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type SessionManager } from "@aixgo/session";
import { context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withOpenTelemetry } from "../src/opentelemetry.ts";

const exporter = new InMemorySpanExporter();
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
});
afterAll(() => {
  context.disable();
  propagation.disable();
  trace.disable();
});

let sessions: SessionManager;
let runtime: Runtime;
/** What an agent's own request would carry on. */
let carried: string[];
beforeEach(async () => {
  exporter.reset();
  carried = [];
  const note = (): void => {
    const headers: Record<string, string> = {};
    propagation.inject(context.active(), headers);
    carried.push(headers["traceparent"] ?? "");
  };
  sessions = createSessionManager({ backend: createMemoryBackend() });
  runtime = createRuntime({ sessions }, withOpenTelemetry())
    .register("fetcher", () => {
      note();
      return "x";
    })
    .register("asker", async (_input, { call }) => {
      note();
      return (await call("fetcher", "x")).text;
    })
    .register("speaker", async function* () {
      note();
      yield { type: "text-delta", text: "a" } as const;
      await new Promise((resolve) => setTimeout(resolve, 1));
      note();
      return "a";
    })
    .register("clerk", async (_input, { suspend, session }) => {
      note();
      await suspend({ requestId: `${session?.turnId ?? ""}/ok`, reason: "may I?" });
      note();
      return "done";
    });
  await runtime.start();
});
afterEach(async () => {
  await runtime.stop();
  await sessions.close();
});

const trace32 = (n: number): string => n.toString(16).padStart(32, "a");
const parent16 = (n: number): string => n.toString(16).padStart(16, "b");
const traceparent = (n: number, flags = "01"): string => `00-${trace32(n)}-${parent16(n)}-${flags}`;
const caller = (header: string) => propagation.extract(ROOT_CONTEXT, { traceparent: header, tracestate: "vendor=1" });
const named = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);

/** The call's span is the child of the nth caller's, and what its agent sends on is of that span, at each point. */
function expectChild(name: string, n: number, sent: readonly string[]): void {
  const [span, ...others] = named(name).filter((each) => each.spanContext().traceId === trace32(n));
  expect([others.length, span?.parentSpanContext?.spanId, span?.parentSpanContext?.isRemote]).toEqual([0, parent16(n), true]);
  expect(span?.spanContext().traceState?.serialize()).toBe("vendor=1");
  expect(new Set(sent)).toEqual(new Set([`00-${trace32(n)}-${span?.spanContext().spanId ?? ""}-01`]));
}

describe("a caller's traceparent", () => {
  it("is the parent of a call; an agent's own requests and sub-calls carry the trace on", async () => {
    await context.with(caller(traceparent(1)), () => runtime.call("asker", "x"));
    expectChild("invoke_agent asker", 1, carried.slice(0, 1));
    const [asker, fetcher] = [named("invoke_agent asker")[0], named("invoke_agent fetcher")[0]];
    expect(fetcher?.parentSpanContext?.spanId).toBe(asker?.spanContext().spanId);
    expect(carried[1]).toBe(`00-${trace32(1)}-${fetcher?.spanContext().spanId ?? ""}-01`);
  });

  it("is the parent of a stream, wherever that is read", async () => {
    const session = await sessions.create("speaker");
    const asks = [() => runtime.stream("speaker", "x"), () => runtime.streamWithSession("speaker", "x", session.id)];
    for (const [index, ask] of asks.entries()) {
      carried = [];
      const stream = context.with(caller(traceparent(index + 1)), ask);
      await context.with(caller(traceparent(9)), () => stream.toResponse().text());
      expectChild("invoke_agent speaker", index + 1, carried);
      expect(carried).toHaveLength(2);
    }
    expect(exporter.getFinishedSpans().some((span) => span.spanContext().traceId === trace32(9))).toBe(false);
  });

  it("is that of who resumes for a turn that goes on, not of who asked first", async () => {
    for (const [asked, resumed] of [
      [1, 2],
      [3, 4],
    ] as const) {
      const session = await sessions.create("clerk");
      carried = [];
      const waiting = await context.with(caller(traceparent(asked)), () => runtime.callWithSession("clerk", "x", session.id));
      expectChild("invoke_agent clerk", asked, carried);
      const [request] = waiting.turn?.requests ?? [];
      carried = [];
      await context.with(caller(traceparent(resumed)), async () =>
        resumed === 2
          ? runtime.resume(session.id, request?.requestId ?? "", true)
          : runtime.streamResume(session.id, request?.requestId ?? "", true).reply,
      );
      expectChild("invoke_agent clerk", resumed, carried);
      expect(carried).toHaveLength(2);
    }
  });

  it("of many at once stays each with its own", async () => {
    const numbers = Array.from({ length: 50 }, (_, index) => index + 1);
    await Promise.all(numbers.map((n) => context.with(caller(traceparent(n)), () => runtime.call("asker", "x"))));
    for (const n of numbers) {
      const [span] = named("invoke_agent asker").filter((each) => each.parentSpanContext?.spanId === parent16(n));
      expect(span?.spanContext().traceId).toBe(trace32(n));
    }
    expect(new Set(carried).size).toBe(100);
  });

  it("that is not sampled is passed on as not sampled; one that is none begins a new trace", async () => {
    await context.with(caller(traceparent(1, "00")), () => runtime.call("fetcher", "x"));
    expect(exporter.getFinishedSpans()).toEqual([]);
    expect(carried[0]).toMatch(new RegExp(`^00-${trace32(1)}-[0-9a-f]{16}-00$`));
    await context.with(caller("00-not-one"), () => runtime.call("fetcher", "x"));
    expect(named("invoke_agent fetcher").map((span) => span.parentSpanContext)).toEqual([undefined]);
  });

  it("comes in and goes out over HTTP", async () => {
    const server = createServer((request, response) => {
      void context
        .with(propagation.extract(ROOT_CONTEXT, request.headers), () => runtime.call("asker", "x"))
        .then((reply) => response.end(reply.text));
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      expect(
        await (await fetch(`http://127.0.0.1:${port}`, { headers: { traceparent: traceparent(7), tracestate: "vendor=1" } })).text(),
      ).toBe("x");
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    }
    expectChild("invoke_agent asker", 7, carried.slice(0, 1));
  });
});
