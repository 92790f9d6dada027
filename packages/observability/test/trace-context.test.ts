import { createRuntime, type Execute, type Runtime, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type SessionManager } from "@aixgo/session";
import { context, propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withOpenTelemetry } from "../src/opentelemetry.ts";
import { traced, type Traced, unregister, useContextManager } from "./telemetry-sdk.ts";

useContextManager();
const open: (Runtime | SessionManager)[] = [];
beforeEach(() => void propagation.setGlobalPropagator(new W3CTraceContextPropagator()));
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  propagation.disable();
  unregister();
});

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

/** What a server does with a request that names its trace. */
function request<T>(handler: () => T, traceId = TRACE): T {
  const headers = { traceparent: `00-${traceId}-${PARENT}-01`, tracestate: "vendor=1" };
  return context.with(propagation.extract(context.active(), headers), handler);
}

async function serving(agent: Execute): Promise<{ sdk: Traced; runtime: Runtime; sessions: SessionManager }> {
  const sdk = traced();
  trace.setGlobalTracerProvider(sdk.provider);
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const runtime = createRuntime(withSessionManager(sessions), withOpenTelemetry()).register("a", agent);
  await runtime.start();
  open.push(runtime, sessions);
  return { sdk, runtime, sessions };
}

/** The call's span, whatever else there is. */
function callsOf(sdk: Traced): { trace: string; parent: string | undefined; id: string; state: string | undefined }[] {
  return sdk
    .spans()
    .filter(({ name }) => name === "invoke_agent a")
    .map((span) => ({
      trace: span.spanContext().traceId,
      parent: span.parentSpanContext?.spanId,
      id: span.spanContext().spanId,
      state: span.spanContext().traceState?.serialize(),
    }));
}

describe("the trace of a request, by W3C headers", () => {
  it("goes on in a call, a stream, a turn, and in the request that an agent makes", async () => {
    const sent: string[] = [];
    const { sdk, runtime, sessions } = await serving(() => {
      const headers: Record<string, string> = {};
      propagation.inject(context.active(), headers);
      sent.push(String(headers["traceparent"]));
      return "x";
    });
    const { id } = await sessions.create("a");
    await request(() => runtime.call("a", "q"));
    // Read outside of the request, as a response is.
    const stream = request(() => runtime.stream("a", "q"));
    await stream.toResponse().text();
    await request(() => runtime.callWithSession("a", "q", id));
    const calls = callsOf(sdk);
    expect(calls).toHaveLength(3);
    for (const call of calls) expect(call).toMatchObject({ trace: TRACE, parent: PARENT, state: "vendor=1" });
    expect(sent).toEqual(calls.map((call) => `00-${TRACE}-${call.id}-01`));
  });

  it("is that of the answer when a suspended turn goes on: the question was another request", async () => {
    const other = TRACE.replace("0af7", "ffff");
    const { sdk, runtime, sessions } = await serving(async (_input, context) =>
      JSON.stringify(await context.suspend({ requestId: "r", reason: "?" })),
    );
    const { id } = await sessions.create("a");
    await request(() => runtime.callWithSession("a", "q", id));
    await request(() => runtime.resume(id, "r", true), other);
    expect(callsOf(sdk).map((call) => [call.trace, call.parent])).toEqual([
      [TRACE, PARENT],
      [other, PARENT],
    ]);
  });

  it("that is not one begins a trace of its own", async () => {
    const { sdk, runtime } = await serving(() => "x");
    await context.with(propagation.extract(context.active(), { traceparent: "00-zz-yy-01" }), () => runtime.call("a", "q"));
    const [call] = callsOf(sdk);
    expect(call?.parent).toBeUndefined();
    expect(call?.trace).toMatch(/^[0-9a-f]{32}$/);
  });
});
