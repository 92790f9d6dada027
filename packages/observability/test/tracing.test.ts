import { createReActAgent, tool } from "@aixgo/agents";
import { createScriptedModel } from "@aixgo/agents/testing";
import { AixgoError, createRuntime, type Execute, type Runtime, withTracing } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type SessionManager } from "@aixgo/session";
import { SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AlwaysOffSampler, BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createOpenTelemetryTracing, type OpenTelemetryTracingOptions, withOpenTelemetry } from "../src/opentelemetry.ts";
import { plantedSecret, randomOf } from "./secrets.ts";
import { traced, type Traced, unregister, useContextManager } from "./telemetry-sdk.ts";

useContextManager();
const open: (Runtime | SessionManager)[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  unregister();
});

/** A helper with a tool that asks another agent, and whoever else is given. */
async function helperOf(
  sdk: Traced,
  options: OpenTelemetryTracingOptions = {},
  others: Record<string, Execute> = {},
): Promise<{ runtime: Runtime; sessions: SessionManager }> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const runtime = createRuntime(
    { sessions, maxConcurrentCalls: 2 },
    withTracing(createOpenTelemetryTracing({ tracer: sdk.tracer, ...options })),
  );
  const lookUp = tool({
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }, context) => (await context.call("weather", city)).text,
  });
  const model = createScriptedModel([
    { toolCalls: [{ toolName: "look_up", input: { city: "Paris" }, toolCallId: "c1" }], usage: { inputTokens: 20, outputTokens: 5 } },
    { text: "It rains in Paris.", usage: { inputTokens: 40, outputTokens: 6 } },
  ]);
  runtime
    .register(createReActAgent({ name: "helper", model, instructions: "Be brief.", tools: { look_up: lookUp } }))
    .register("weather", (input) => `rain in ${input.parts[0]?.type === "text" ? input.parts[0].text : ""}`);
  for (const [name, execute] of Object.entries(others)) runtime.register(name, execute);
  await runtime.start();
  open.push(runtime, sessions);
  return { runtime, sessions };
}

const TREE = [
  "invoke_agent helper",
  "invoke_agent helper > aixgo.turn open",
  "invoke_agent helper > aixgo.turn history",
  "invoke_agent helper > chat scripted-model",
  "invoke_agent helper > aixgo.turn append",
  "invoke_agent helper > execute_tool look_up",
  "invoke_agent helper > execute_tool look_up > invoke_agent weather",
  "invoke_agent helper > aixgo.turn append",
  "invoke_agent helper > chat scripted-model",
  "invoke_agent helper > aixgo.turn complete",
];

describe("a turn of an agent with tools", () => {
  it("is one trace: calls, requests, tools, sub-calls and the store, each under what caused it", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(sdk);
    const session = await sessions.create("helper");
    await sdk.within("POST /chat", () => runtime.callWithSession("helper", "Weather?", session.id));
    expect(sdk.tree()).toEqual(["POST /chat", ...TREE.map((path) => `POST /chat > ${path}`)]);
    expect(new Set(sdk.spans().map((span) => span.spanContext().traceId)).size).toBe(1);
    expect(sdk.spans().every(({ status }) => status.code === SpanStatusCode.UNSET)).toBe(true);
  });

  it("has the attributes of the conventions", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(sdk);
    const session = await sessions.create("helper");
    const reply = await runtime.callWithSession("helper", "Weather?", session.id);
    const [call, opened, , chat, , ran] = sdk.spans();
    expect([call?.kind, call?.attributes]).toEqual([
      SpanKind.INTERNAL,
      {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "helper",
        "gen_ai.conversation.id": session.id,
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.output_tokens": 11,
        "aixgo.call.kind": "session",
        "aixgo.turn.id": reply.turn?.id,
        "aixgo.turn.replayed": false,
      },
    ]);
    expect(opened?.attributes).toMatchObject({ "aixgo.turn.step": "open", "aixgo.turn.attempt": 1, "gen_ai.conversation.id": session.id });
    expect([chat?.kind, chat?.attributes]).toEqual([
      SpanKind.CLIENT,
      {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted-model",
        "gen_ai.agent.name": "helper",
        "gen_ai.conversation.id": session.id,
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.response.finish_reasons": ["tool-calls"],
      },
    ]);
    expect([ran?.kind, ran?.attributes]).toEqual([
      SpanKind.INTERNAL,
      {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.agent.name": "helper",
        "gen_ai.conversation.id": session.id,
      },
    ]);
  });

  it("streamed it is the same trace, also if the reader reads elsewhere", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(sdk);
    const session = await sessions.create("helper");
    const stream = await sdk.within("POST /chat", async () => runtime.streamWithSession("helper", "Weather?", session.id));
    await sdk.within("reader", async () => {
      for await (const event of stream) expect(event.type).toBeTypeOf("string");
    });
    expect(sdk.tree().filter((path) => path !== "reader")).toEqual(["POST /chat", ...TREE.map((path) => `POST /chat > ${path}`)]);
  });

  it("that is answered from the log says so", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(sdk);
    const session = await sessions.create("helper");
    for (let n = 0; n < 2; n += 1) await runtime.callWithSession("helper", "Weather?", session.id, { turnKey: "k" });
    const [again, opened, ...rest] = sdk.spans().slice(TREE.length);
    expect(again?.attributes["aixgo.turn.replayed"]).toBe(true);
    expect(opened?.attributes["aixgo.turn.replayed"]).toBe(true);
    expect(rest).toEqual([]);
  });

  it("many at once stay apart", async () => {
    const sdk = traced();
    const nested: Execute = async (input, context) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return (await context.call("weather", input)).text;
    };
    const { runtime } = await helperOf(sdk, {}, { a: nested, b: nested });
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => sdk.within(`request ${n}`, () => runtime.callParallel(["a", "b"], `city ${n}`))),
    );
    const tree = sdk.tree();
    for (let n = 0; n < 20; n += 1)
      expect(tree.filter((path) => path.startsWith(`request ${n} >`)).toSorted()).toEqual(
        ["a", "a > invoke_agent weather", "b", "b > invoke_agent weather"].map((path) => `request ${n} > invoke_agent ${path}`),
      );
    expect(tree).toHaveLength(100);
  });
});

describe("content", () => {
  it("is on no span, event or status unless it is asked for", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(
      sdk,
      {},
      {
        quoting: (input) => {
          throw new Error(`I cannot read ${JSON.stringify(input.parts)}`);
        },
        custom: (input) => {
          throw new AixgoError("MY_CODE", `not this: ${JSON.stringify(input.parts)}`);
        },
      },
    );
    const session = await sessions.create("helper");
    await runtime.callWithSession("helper", "Weather?", session.id);
    for (const agent of ["quoting", "custom"]) await runtime.call(agent, "the Weather secret").catch(() => {});
    const said = JSON.stringify(sdk.spans().map(({ name, attributes, events, status }) => [name, attributes, events, status]));
    for (const word of ["Weather", "Paris", "rain", "Be brief"]) expect(said).not.toContain(word);
    expect(said).toContain("MY_CODE");
  });

  it("when asked for is written by the conventions", async () => {
    const sdk = traced();
    const { runtime, sessions } = await helperOf(sdk, { captureContent: true });
    const session = await sessions.create("helper");
    await runtime.callWithSession("helper", "Weather?", session.id);
    const read = (span: number, attribute: string): unknown => JSON.parse(String(sdk.spans()[span]?.attributes[attribute]));
    expect(read(0, "gen_ai.input.messages")).toEqual([{ role: "user", parts: [{ type: "text", content: "Weather?" }] }]);
    expect(read(0, "gen_ai.output.messages")).toEqual([{ role: "assistant", parts: [{ type: "text", content: "It rains in Paris." }] }]);
    expect(read(3, "gen_ai.system_instructions")).toEqual([{ type: "text", content: "Be brief." }]);
    expect(read(3, "gen_ai.output.messages")).toEqual([
      { role: "assistant", parts: [{ type: "tool_call", id: "c1", name: "look_up", arguments: { city: "Paris" } }] },
    ]);
    expect(read(5, "gen_ai.tool.call.arguments")).toEqual({ city: "Paris" });
    expect(read(5, "gen_ai.tool.call.result")).toBe("rain in Paris");
    expect(read(8, "gen_ai.input.messages")).toMatchObject([
      { role: "user" },
      { role: "assistant" },
      { role: "tool", parts: [{ type: "tool_call_response", id: "c1" }] },
    ]);
  });

  it("when asked for holds none of 1,000 planted secrets", async () => {
    const sdk = traced();
    const echo: Execute = async (input, context) => {
      await context.observe?.({ type: "tool", tool: "t", toolCallId: "c" }, async (running) => {
        running.content("input", () => ({ deep: [input.parts], password: input.metadata?.["secret"] }));
      });
      if (input.metadata?.["fails"] === true) throw new Error(JSON.stringify(input.parts));
      return input;
    };
    const { runtime } = await helperOf(sdk, { captureContent: true }, { echo });
    const random = randomOf(11);
    const planted = Array.from({ length: 1000 }, (_, index) => plantedSecret(index, random));
    for (const [index, { text, secret }] of planted.entries())
      await runtime
        .call("echo", { role: "user", parts: [{ type: "text", text: `see ${text}` }], metadata: { secret, fails: index % 5 === 0 } })
        .catch(() => {});
    const said = JSON.stringify(sdk.spans().map(({ attributes, events, status }) => [attributes, events, status]));
    expect(planted.filter(({ secret }) => said.includes(secret))).toEqual([]);
    expect(said.split("[redacted]").length).toBeGreaterThan(2000);
  });

  it("never holds a file's bytes, and is bounded: the last messages that fit", async () => {
    const sdk = traced();
    const { runtime } = await helperOf(sdk, { captureContent: true, maxContentBytes: 2000 }, { many: (input) => input });
    const png = Buffer.from("secret bytes").toString("base64");
    await runtime.call("many", {
      role: "user",
      parts: [
        { type: "file", mediaType: "image/png", url: `data:image/png;base64,${png}` },
        { type: "file", mediaType: "application/pdf", url: "https://x.test/a.pdf" },
      ],
    });
    await runtime.call("many", {
      role: "user",
      parts: Array.from({ length: 50 }, () => ({ type: "text" as const, text: "x".repeat(100) })),
    });
    const [files, many] = sdk.spans().map(({ attributes }) => String(attributes["gen_ai.input.messages"]));
    expect(files).not.toContain(png);
    expect(JSON.parse(files ?? "")).toMatchObject([
      {
        parts: [
          { type: "blob", mime_type: "image/png", modality: "image" },
          { type: "uri", uri: "https://x.test/a.pdf", modality: "document" },
        ],
      },
    ]);
    expect(Buffer.byteLength(many ?? "")).toBeLessThan(2100);
    expect(JSON.parse(many ?? "")).toEqual([{ role: "system", parts: [{ type: "omitted", count: 1 }] }]);
  });
});

describe("errors", () => {
  const failing: Record<string, Execute> = {
    broken: () => {
      throw new Error("token=hunter2 and what the user wrote");
    },
    late: (_input, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
    outer: async (_input, context) => (await context.call("broken", "x")).text,
  };

  it("have their code on every span that they pass, and their words only where these are names and limits", async () => {
    const sdk = traced();
    const { runtime } = await helperOf(sdk, {}, failing);
    await runtime.call("outer", "x").catch(() => {});
    await runtime.call("late", "x", { timeoutMs: 5 }).catch(() => {});
    await runtime.call("nobody", "x").catch(() => {});
    const shown = sdk
      .spans()
      .map(({ name, status, attributes, events }) => [
        name,
        status.code === SpanStatusCode.ERROR ? (status.message ?? "") : "not failed",
        attributes["error.type"],
        events.map((event) => event.attributes?.["exception.type"]),
      ]);
    expect(shown).toEqual([
      ["invoke_agent outer", "", "AGENT_FAILED", ["AGENT_FAILED"]],
      ["invoke_agent broken", "", "AGENT_FAILED", ["AGENT_FAILED"]],
      ["invoke_agent late", 'agent "late" did not answer within 5 ms', "TIMEOUT", ["TIMEOUT"]],
      ["invoke_agent (unknown)", 'there is no agent "nobody"', "AGENT_NOT_FOUND", ["AGENT_NOT_FOUND"]],
    ]);
  });

  it("have redacted words where content is captured, and never a stack", async () => {
    const sdk = traced();
    const { runtime } = await helperOf(sdk, { captureContent: true }, failing);
    await runtime.call("broken", "x").catch(() => {});
    const [span] = sdk.spans();
    expect(span?.status.message).toContain("token=[redacted]");
    expect(JSON.stringify([span?.events, span?.status])).not.toContain("hunter2");
    expect(span?.events[0]?.attributes?.["exception.stacktrace"]).toBeUndefined();
  });

  it("of tools: what the tool threw by its name, what the model sent wrong by a code; the call goes on", async () => {
    const sdk = traced();
    const runtime = createRuntime(withTracing(createOpenTelemetryTracing({ tracer: sdk.tracer }))).register(
      createReActAgent({
        name: "helper",
        model: createScriptedModel([
          {
            toolCalls: [
              { toolName: "t", input: { n: 1 } },
              { toolName: "t", input: { n: "x" } },
            ],
          },
          "sorry",
        ]),
        tools: { t: tool({ inputSchema: z.object({ n: z.number() }), execute: () => Promise.reject(new RangeError("the user's words")) }) },
      }),
    );
    open.push(runtime);
    await runtime.start();
    await runtime.call("helper", "x");
    const tools = sdk.spans().filter(({ name }) => name === "execute_tool t");
    expect(tools.map(({ attributes, status }) => [attributes["error.type"], status.code, status.message])).toEqual([
      ["RangeError", SpanStatusCode.ERROR, undefined],
      ["INVALID_INPUT", SpanStatusCode.ERROR, undefined],
    ]);
    expect(sdk.spans()[0]?.status.code).toBe(SpanStatusCode.UNSET);
  });
});

describe("a tool that needs approval", () => {
  it("waits without an error; resumed, allowed or denied, it says which", async () => {
    const sdk = traced();
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    const runtime = createRuntime({ sessions }, withTracing(createOpenTelemetryTracing({ tracer: sdk.tracer })));
    const asks = { toolCalls: [{ toolName: "pay", input: {}, toolCallId: "c1" }] };
    runtime.register(
      createReActAgent({
        name: "clerk",
        model: createScriptedModel([asks, "paid", asks, "not paid"]),
        tools: { pay: tool({ inputSchema: z.object({}), needsApproval: true, execute: () => "done" }) },
      }),
    );
    open.push(runtime, sessions);
    await runtime.start();
    for (const decision of [true, false]) {
      const session = await sessions.create("clerk");
      const waiting = await runtime.callWithSession("clerk", "pay", session.id);
      const [request] = waiting.turn?.requests ?? [];
      await runtime.resume(session.id, request?.requestId ?? "", decision);
    }
    const said = sdk
      .spans()
      .filter(({ name }) => !name.startsWith("chat") && !/(?:history|append)$/.test(name))
      .map(({ name, attributes, status }) =>
        [name, attributes["aixgo.outcome"], attributes["error.type"], status.code].filter((each) => each !== undefined).join(" "),
      );
    const suspended = ["invoke_agent clerk suspended 0", "aixgo.turn open 0", "execute_tool pay suspended 0", "aixgo.turn suspend 0"];
    const resumed = (ran: string): string[] => ["invoke_agent clerk 0", "aixgo.turn open 0", ran, "aixgo.turn complete 0"];
    expect(said).toEqual([...suspended, ...resumed("execute_tool pay 0"), ...suspended, ...resumed("execute_tool pay denied 0")]);
  });
});

describe("the tracer", () => {
  it("is that of the provider which is registered, also later", async () => {
    const runtime = createRuntime(withOpenTelemetry()).register("echo", () => "x");
    open.push(runtime);
    await runtime.start();
    await runtime.call("echo", "x");
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    await runtime.call("echo", "x");
    const [span, ...rest] = exporter.getFinishedSpans();
    expect([span?.name, span?.instrumentationScope.name, span?.instrumentationScope.schemaUrl, rest.length]).toEqual([
      "invoke_agent echo",
      "@aixgo/observability",
      "https://opentelemetry.io/schemas/1.41.0",
      0,
    ]);
  });

  it("of a trace that is not sampled is told nothing, and content is not read", async () => {
    const sdk = traced(new AlwaysOffSampler());
    let reads = 0;
    const { runtime } = await helperOf(
      sdk,
      { captureContent: true },
      {
        reading: async (_input, context) => {
          await context.observe?.({ type: "tool", tool: "t", toolCallId: "c" }, async (running) =>
            running.content("input", () => (reads += 1)),
          );
          return "x";
        },
      },
    );
    expect((await runtime.call("reading", "x")).text).toBe("x");
    expect([reads, sdk.spans()]).toEqual([0, []]);
  });

  it.each<[OpenTelemetryTracingOptions, string]>([
    [{ tracer: {} as never }, '"tracer" must be an object with startActiveSpan'],
    [{ captureContent: "yes" as never }, '"captureContent" must be true or false'],
    [{ maxContentBytes: -1 }, '"maxContentBytes" must be a whole number of at least 1'],
    [{ sampler: 1 } as never, 'there is no option "sampler"; known are tracer, captureContent, maxContentBytes'],
  ])("is refused with %j", (options, problem) => {
    expect(() => createOpenTelemetryTracing(options)).toThrow(problem);
    expect(() => withOpenTelemetry(options)).toThrow(problem.split(";")[0]);
  });
});
