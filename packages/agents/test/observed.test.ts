import { AsyncLocalStorage } from "node:async_hooks";
import { createRuntime, type Json, METRIC, type Metrics, SPAN, type Tracing } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type LanguageModel, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";

interface Span {
  readonly name: string;
  readonly parent: string | undefined;
  readonly facts: Record<string, Json>;
  ended: string | undefined;
}

function recorder(): Tracing & { readonly spans: Span[]; current(): string | undefined } {
  const spans: Span[] = [];
  const storage = new AsyncLocalStorage<string>();
  return {
    spans,
    current: () => storage.getStore(),
    async span(name, attributes, body) {
      const span: Span = { name, parent: storage.getStore(), facts: { ...attributes }, ended: undefined };
      spans.push(span);
      try {
        const set = (more: Record<string, Json>): void => void Object.assign(span.facts, more);
        const result = await storage.run(name, () => body({ set, content() {} }));
        span.ended = "ok";
        return result;
      } catch (error) {
        span.ended = (error as { code?: string }).code ?? (error as Error).name;
        throw error;
      }
    },
  };
}

const search = tool({
  inputSchema: z.object({ query: z.string() }),
  execute: ({ query }) => {
    if (query === "boom") throw new RangeError("no");
    return `found ${query}`;
  },
});
const asks = (query: Json, toolName = "search") => ({
  toolCalls: [{ toolName, input: { query }, toolCallId: "c1" }],
  usage: { inputTokens: 5, outputTokens: 3 },
});

async function run(model: LanguageModel, tracing: Tracing, metrics?: Metrics): Promise<string> {
  const runtime = createRuntime({ tracing, ...(metrics === undefined ? undefined : { metrics }) }).register(
    createReActAgent({ name: "helper", model, tools: { search } }),
  );
  await runtime.start();
  try {
    return (await runtime.call("helper", "go")).text;
  } finally {
    await runtime.stop();
  }
}
const shown = ({ name, parent, ended }: Span): string => `${name} in ${parent} ${ended}`;

describe("what an agent does is observed", () => {
  it("each request to the model and each run of a tool, with its usage, under the call", async () => {
    const tracing = recorder();
    const lines: string[] = [];
    const metrics: Metrics = {
      count: (name, by, labels) => void lines.push(`${name} +${by} ${Object.values(labels).join(" ")}`),
      observe: (name, value, labels) => void (name === METRIC.modelTokens && lines.push(`${name} ${value} ${labels["type"]}`)),
    };
    expect(
      await run(createScriptedModel([asks("x"), { text: "done", usage: { inputTokens: 9, outputTokens: 1 } }]), tracing, metrics),
    ).toBe("done");
    expect(tracing.spans.map(shown)).toEqual([
      "aixgo.call in undefined ok",
      "aixgo.model in aixgo.call ok",
      "aixgo.tool in aixgo.call ok",
      "aixgo.model in aixgo.call ok",
    ]);
    const facts = { agent: "helper", provider: "scripted", model: "scripted-model" };
    expect(tracing.spans.filter(({ name }) => name === SPAN.model).map(({ facts }) => facts)).toEqual([
      { ...facts, inputTokens: 5, outputTokens: 3, finishReason: "tool-calls" },
      { ...facts, inputTokens: 9, outputTokens: 1, finishReason: "stop" },
    ]);
    expect(tracing.spans[2]?.facts).toEqual({ agent: "helper", tool: "search", toolCallId: "c1" });
    expect(lines).toContain("aixgo.model.count +1 helper scripted scripted-model ok");
    expect(lines).toContain("aixgo.model.tokens 9 input");
    expect(lines).toContain("aixgo.tool.count +1 helper search ok");
  });

  it("the request is made within the span of its model", async () => {
    const tracing = recorder();
    let within: string | undefined;
    const inner = createScriptedModel(["hi"]);
    const model: LanguageModel = { ...inner, doStream: (options) => ((within = tracing.current()), inner.doStream(options)) };
    await run(model, tracing);
    expect(within).toBe(SPAN.model);
  });

  it.each<[string, Json, string, string | undefined]>([
    ["throws", "boom", "RangeError", undefined],
    ["is given what it cannot take", 7, "ok", "INVALID_INPUT"],
  ])("a tool that %s fails its span alone: the model is told, the call goes on", async (_name, query, ended, outcome) => {
    const tracing = recorder();
    expect(await run(createScriptedModel([asks(query), "sorry"]), tracing)).toBe("sorry");
    const span = tracing.spans.find(({ name }) => name === SPAN.tool);
    expect([span?.ended, span?.facts["outcome"]]).toEqual([ended, outcome]);
    expect(tracing.spans[0]?.ended).toBe("ok");
  });

  it("a tool that does not exist has no span: its name is the model's, not ours", async () => {
    const tracing = recorder();
    await run(createScriptedModel([asks("x", "made_up"), "sorry"]), tracing);
    expect(tracing.spans.map(({ name }) => name)).not.toContain(SPAN.tool);
  });

  it.each<[string, LanguageModel]>([
    ["refuses", createScriptedModel([{ error: new Error("no quota") }])],
    [
      "breaks off",
      createScriptedModel([
        {
          stream: [
            { type: "text-delta", id: "1", delta: "a" },
            { type: "error", error: new Error("lost") },
          ],
        },
      ]),
    ],
  ])("a model that %s ends its span with the error that the call has", async (_name, model) => {
    const tracing = recorder();
    await expect(run(model, tracing)).rejects.toMatchObject({ code: "AGENT_FAILED" });
    expect(tracing.spans.map(shown)).toEqual(["aixgo.call in undefined AGENT_FAILED", "aixgo.model in aixgo.call AGENT_FAILED"]);
  });

  it("a reader that leaves in the middle of an answer ends the model's span as well", async () => {
    const tracing = recorder();
    const model = createScriptedModel([{ text: Array.from({ length: 200 }, () => "word "), delayMs: 2 }]);
    const runtime = createRuntime({ tracing }).register(createReActAgent({ name: "helper", model }));
    await runtime.start();
    const stream = runtime.stream("helper", "go");
    for await (const event of stream) if (event.type === "text-delta") break;
    await stream.reply.catch(() => {});
    await runtime.stop();
    const span = tracing.spans.find(({ name }) => name === SPAN.model);
    expect(span?.ended === "ok" ? span.facts["outcome"] : span?.ended).toBe("CANCELLED");
  });
});
