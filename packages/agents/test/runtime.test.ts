import { createRuntime } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type LanguageModel, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";

describe("in a runtime, without a session", () => {
  it("streams deltas and steps in order, and replies with text and usage", async () => {
    const model = createScriptedModel([
      { text: "Hm.", toolCalls: [{ toolName: "t" }, { toolName: "t" }], usage: { inputTokens: 1, outputTokens: 1 } },
      { text: ["It ", "is 4."], usage: { inputTokens: 2, outputTokens: 1 } },
    ]);
    await using runtime = createRuntime();
    runtime.register(createReActAgent({ name: "a", model, tools: { t: tool({ inputSchema: z.object({}), execute: () => 2 }) } }));
    await runtime.start();
    const stream = runtime.stream("a", "2 + 2?");
    const seen: string[] = [];
    for await (const event of stream)
      seen.push(event.type === "message" && typeof event.message !== "string" ? event.message.role : event.type);
    expect(seen).toEqual(["text-delta", "assistant", "tool", "tool", "text-delta", "text-delta", "assistant"]);
    expect(await stream.reply).toMatchObject({ text: "It is 4.", usage: { inputTokens: 3, outputTokens: 2 } });
  });

  it("is stopped by the call's time, and its model hears of it", async () => {
    let heard: AbortSignal | undefined;
    const model: LanguageModel = {
      specificationVersion: "v3",
      provider: "p",
      modelId: "m",
      doStream: ({ abortSignal }: { abortSignal: AbortSignal }) => ((heard = abortSignal), new Promise(() => {})),
    };
    await using runtime = createRuntime();
    runtime.register(createReActAgent({ name: "a", model }));
    await runtime.start();
    await expect(runtime.call("a", "hi", { timeoutMs: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
    await expect.poll(() => heard?.aborted).toBe(true);
  });

  it("calls another agent from a tool", async () => {
    const main = createScriptedModel([{ toolCalls: [{ toolName: "ask", input: { question: "Why?" } }] }, "Because."]);
    const expert = createScriptedModel([(call) => `You asked: ${call.prompt.at(-1)?.content[0].text}`]);
    await using runtime = createRuntime();
    runtime.register(createReActAgent({ name: "expert", model: expert }));
    const ask = tool({
      inputSchema: z.object({ question: z.string() }),
      execute: async ({ question }, context) => (await context.call("expert", question)).text,
    });
    runtime.register(createReActAgent({ name: "main", model: main, tools: { ask } }));
    await runtime.start();
    expect((await runtime.call("main", "go")).text).toBe("Because.");
    expect(main.calls[1]?.prompt.at(-1)?.content[0].output).toEqual({ type: "text", value: "You asked: Why?" });
  });

  it("fails with AGENT_FAILED and the provider's error as cause", async () => {
    const cause = Object.assign(new Error("overloaded"), { statusCode: 503 });
    await using runtime = createRuntime();
    runtime.register(createReActAgent({ name: "a", model: createScriptedModel([{ error: cause }]), retry: { maxRetries: 0 } }));
    await runtime.start();
    await expect(runtime.call("a", "hi")).rejects.toMatchObject({
      code: "AGENT_FAILED",
      retryable: true,
      cause,
      details: { statusCode: 503 },
    });
  });
});
