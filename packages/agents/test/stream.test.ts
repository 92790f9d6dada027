import { textOf } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type LanguageModel, type ReActAgentOptions, tool } from "../src/index.ts";
import { createScriptedModel, type ScriptedCall } from "../src/testing.ts";
import { createConversation, shown } from "./harness.ts";

const finish = {
  type: "finish",
  finishReason: { unified: "stop", raw: "stop" },
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 2 } },
};
const text = (delta: string, id = "1") => ({ type: "text-delta", id, delta });
const echo = tool({ inputSchema: z.object({ n: z.number() }), execute: ({ n }) => n });

function run(stream: readonly unknown[], more: readonly string[] = ["done"], options: Partial<ReActAgentOptions> = {}) {
  const model = createScriptedModel([{ stream }, ...more]);
  const conversation = createConversation();
  return {
    model,
    conversation,
    done: conversation.attempt(createReActAgent({ name: "a", model, tools: { echo }, retry: { maxRetries: 0 }, ...options })),
  };
}

describe("a model's stream", () => {
  it("may lack starts and ends, use an id again, and hold parts of unknown type or shape", async () => {
    const done = await run([
      null,
      "x",
      5,
      { type: "ping" },
      { type: "raw", rawValue: {} },
      { type: "response-metadata", id: "r" },
      { type: "new-in-v5" },
      { type: "text-end", id: "9" },
      text("a"),
      { type: "text-end", id: "1" },
      { type: "text-start", id: "1" },
      text("b"),
      text(5 as never),
      text(""),
      { type: "reasoning-delta", id: "1", delta: "r" },
      { type: "tool-result", toolCallId: "?" },
      { type: "file" },
      finish,
    ]).done;
    expect(done.answer.parts).toEqual([
      { type: "text", text: "a" },
      { type: "text", text: "b" },
      { type: "reasoning", text: "r" },
    ]);
    expect(shown(done.events)).toBe("ab");
    expect(done.usage).toEqual({ inputTokens: 1, outputTokens: 2 });
  });

  it("of an older usage shape is counted too, and of none is not", async () => {
    expect((await run([text("x"), { ...finish, usage: { inputTokens: 4, outputTokens: NaN } }]).done).usage).toEqual({ inputTokens: 4 });
    expect(await run([text("x"), { type: "finish", finishReason: "stop" }]).done).not.toHaveProperty("usage");
  });

  it("with an error in it fails the call with the cause, whatever came before", async () => {
    const cause = { message: "sk-secret is invalid" };
    const failed = run([text("half"), { type: "error", error: cause }, finish]).done;
    await expect(failed).rejects.toMatchObject({ code: "AGENT_FAILED", cause });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining("sk-secret") });
  });

  it("that ends without finish is an answer if it brought something, else a failure", async () => {
    const done = await run([text("whole")]).done;
    expect(textOf(done.answer)).toBe("whole");
    expect(done.answer.metadata).toEqual({ finishReason: "unknown" });
    await expect(run([]).done).rejects.toMatchObject({
      code: "AGENT_FAILED",
      cause: { message: expect.stringContaining("without an answer") },
    });
    await expect(run([{ type: "finish", finishReason: { unified: "tool-calls" } }]).done).rejects.toMatchObject({ code: "AGENT_FAILED" });
    await expect(run([text("x"), { type: "finish", finishReason: { unified: "error" } }]).done).rejects.toMatchObject({
      code: "AGENT_FAILED",
    });
  });

  it("that finishes with nothing to say is an empty answer, which later prompts leave out", async () => {
    const { model, conversation, done } = run([finish], ["second"]);
    const agent = createReActAgent({ name: "a", model });
    conversation.history.push(conversation.input, (await done).answer);
    expect(textOf((await done).answer)).toBe("");
    await conversation.turn(agent, "more");
    expect(model.calls[1]?.prompt.map(({ role }) => role)).toEqual(["user", "user"]);
  });

  it("is read to its end after its finish, so that its connection can be used again; one without end is cancelled", async () => {
    for (const ends of [true, false]) {
      let cancelled = false;
      const parts: unknown[] = [text("x"), finish, { type: "late" }];
      const stream = new ReadableStream(
        {
          pull: (controller) => {
            if (parts.length > 0) controller.enqueue(parts.shift());
            else if (ends) controller.close();
          },
          cancel: () => void (cancelled = true),
        },
        { highWaterMark: 0 },
      );
      const model: LanguageModel = { specificationVersion: "v3", provider: "p", modelId: "m", doStream: async () => ({ stream }) };
      const done = await createConversation().attempt(createReActAgent({ name: "a", model }));
      expect(textOf(done.answer)).toBe("x");
      expect(cancelled).toBe(!ends);
    }
  });

  it("is an answer whatever comes after its finish", async () => {
    const done = await run([text("x"), finish, { type: "error", error: new Error("late") }]).done;
    expect(textOf(done.answer)).toBe("x");
  });

  it("with the same call twice runs it once; another call under the same id, or under none, gets an id of its own", async () => {
    const call = (n: number, toolCallId?: unknown) => ({ type: "tool-call", toolCallId, toolName: "echo", input: JSON.stringify({ n }) });
    const { model, conversation, done } = run([call(1, "x"), call(1, "x"), call(2, "x"), call(3), call(4, ""), call(5, 5), finish]);
    await done;
    const [, assistant, results] = model.calls[1]?.prompt ?? [];
    const ids = assistant?.content.map((part: { toolCallId: string }) => part.toolCallId);
    expect(ids).toHaveLength(5);
    expect(new Set(ids).size).toBe(5);
    expect(ids.every((id: string) => /^[\w-]{1,40}$/.test(id))).toBe(true);
    expect(results?.content.map((part: { toolCallId: string; output: { value: number } }) => [part.toolCallId, part.output.value])).toEqual(
      ids.map((id: string, index: number) => [id, index + 1]),
    );
    expect(conversation.stored).toHaveLength(6);
  });

  it("may use its ids again in the next step: each result stays with its own call", async () => {
    const call = (n: number) => ({ toolName: "echo", input: { n }, toolCallId: "call_0" });
    const model = createScriptedModel([{ toolCalls: [call(1)] }, { toolCalls: [call(2)] }, "done"]);
    await createConversation().attempt(createReActAgent({ name: "a", model, tools: { echo } }));
    const prompt = model.calls[2]?.prompt.slice(1).map(({ content }) => content[0]);
    expect(prompt?.map(({ toolCallId }) => toolCallId)).toEqual(["call_0", "call_0", "call_0_2", "call_0_2"]);
    expect([prompt?.[1].output.value, prompt?.[3].output.value]).toEqual([1, 2]);
  });

  it("with tools that the provider ran itself keeps their results beside the calls, and runs none", async () => {
    const { model, conversation, done } = run(
      [
        { type: "tool-call", toolCallId: "p", toolName: "web_search", input: "{}", providerExecuted: true },
        { type: "tool-result", toolCallId: "p", toolName: "web_search", result: "partial", preliminary: true },
        { type: "tool-result", toolCallId: "p", toolName: "web_search", result: { hits: 1 } },
        { type: "tool-call", toolCallId: "lost", toolName: "web_search", input: "{}", providerExecuted: true },
        { type: "tool-call", toolCallId: "own", toolName: "echo", input: '{"n":1}' },
        finish,
      ],
      ["done"],
    );
    await done;
    expect(conversation.stored).toHaveLength(2);
    expect(model.calls[1]?.prompt[1]?.content).toEqual([
      { type: "tool-call", toolCallId: "p", toolName: "web_search", input: {}, providerExecuted: true },
      { type: "tool-result", toolCallId: "p", toolName: "web_search", output: { type: "json", value: { hits: 1 } } },
      { type: "tool-call", toolCallId: "own", toolName: "echo", input: { n: 1 } },
    ]);
  });

  it("keeps files as data: addresses, and sources for the application only", async () => {
    const { model, conversation, done } = run(
      [
        { type: "source", sourceType: "url", id: "s", url: "https://example.com", title: "T", providerMetadata: {} },
        { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) },
        { type: "file", mediaType: "image/png", data: { type: "data", data: "BBBB" } },
        { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("http://example.com/a.png") } },
        text("see"),
        finish,
      ],
      ["ok"],
    );
    const { answer } = await done;
    expect(answer.parts).toEqual([
      { type: "data-source", data: { sourceType: "url", id: "s", url: "https://example.com", title: "T" } },
      { type: "file", mediaType: "image/png", url: "data:image/png;base64,AQID" },
      { type: "file", mediaType: "image/png", url: "data:image/png;base64,BBBB" },
      { type: "text", text: "see" },
    ]);
    conversation.history.push(conversation.input, answer);
    await conversation.turn(createReActAgent({ name: "a", model }), "next");
    expect(model.calls[1]?.prompt[1]?.content.map(({ type }: { type: string }) => type)).toEqual(["file", "file", "text"]);
  });

  it("longer than maxResponseBytes is LIMIT_EXCEEDED: text, provider data and empty parts alike", async () => {
    const endless = (part: () => unknown): LanguageModel => ({
      specificationVersion: "v4",
      provider: "p",
      modelId: "m",
      doStream: async () => ({ stream: new ReadableStream({ pull: (controller) => controller.enqueue(part()) }) }),
    });
    let id = 0;
    for (const part of [
      () => text("xxxx"),
      () => ({ type: "text-start", id: String(id++) }),
      () => ({ type: "text-start", id: "1", providerMetadata: { p: { a: "x" } } }),
      () => ({ type: "tool-call", toolName: "echo", input: "{}" }),
    ]) {
      const agent = createReActAgent({ name: "a", model: endless(part), maxResponseBytes: 5_000 });
      await expect(createConversation().attempt(agent)).rejects.toMatchObject({
        code: "LIMIT_EXCEEDED",
        message: expect.stringContaining("maxResponseBytes"),
      });
    }
  });

  it("that is silent for modelIdleTimeoutMs is TIMEOUT, before and after its first part; a slow reader is not the model's silence", async () => {
    const silent = (first: readonly unknown[]): { model: LanguageModel; aborted: () => boolean | undefined } => {
      let signal: AbortSignal | undefined;
      const stream = () => new ReadableStream({ start: (controller) => first.forEach((part) => controller.enqueue(part)) });
      const doStream = async (options: { abortSignal: AbortSignal }) => ((signal = options.abortSignal), { stream: stream() });
      return { model: { specificationVersion: "v3", provider: "p", modelId: "m", doStream }, aborted: () => signal?.aborted };
    };
    for (const first of [[], [text("a")]]) {
      const { model, aborted } = silent(first);
      await expect(createConversation().attempt(createReActAgent({ name: "a", model, modelIdleTimeoutMs: 5 }))).rejects.toMatchObject({
        code: "TIMEOUT",
        retryable: true,
      });
      expect(aborted()).toBe(true);
    }
    const done = createConversation().attempt(
      createReActAgent({ name: "a", model: createScriptedModel(["one two three four"]), modelIdleTimeoutMs: 5 }),
      {
        onEvent: () => new Promise((resolve) => setTimeout(resolve, 20)),
      },
    );
    expect(textOf((await done).answer)).toBe("one two three four");
  });

  it("that comes after it was given up is cancelled", async () => {
    let cancelled = (): void => {};
    const seen = new Promise<void>((resolve) => (cancelled = resolve));
    let give = (_: { stream: ReadableStream }): void => {};
    const model: LanguageModel = {
      specificationVersion: "v3",
      provider: "p",
      modelId: "m",
      doStream: () => new Promise((resolve) => (give = resolve)),
    };
    await expect(createConversation().attempt(createReActAgent({ name: "a", model, modelIdleTimeoutMs: 5 }))).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    give({ stream: new ReadableStream({ cancel: () => cancelled() }) });
    await seen;
  });

  it("of a doStream that throws at once, or gives no stream, fails the call", async () => {
    for (const doStream of [
      () => {
        throw new Error("x");
      },
      async () => ({}),
      async () => undefined,
    ]) {
      const model = { specificationVersion: "v3", provider: "p", modelId: "m", doStream } as unknown as LanguageModel;
      await expect(createConversation().attempt(createReActAgent({ name: "a", model }))).rejects.toMatchObject({
        code: "AGENT_FAILED",
        message: expect.stringContaining('model "m" of "p"'),
      });
    }
  });

  it("of any parts in any order ends as an answer or as an error of ours, and leaves a conversation that goes on", async () => {
    const id = fc.constantFrom("1", "2", undefined);
    const part = fc.oneof(
      fc.record({
        type: fc.constantFrom("text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta", "reasoning-end"),
        id,
        delta: fc.oneof(fc.string({ unit: "binary" }), fc.constant("\ud800"), fc.anything()),
        providerMetadata: fc.oneof(fc.constant(undefined), fc.anything()),
      }),
      fc.record({
        type: fc.constant("tool-call"),
        toolCallId: fc.oneof(id, fc.anything()),
        toolName: fc.oneof(fc.constant("echo"), fc.string(), fc.anything()),
        input: fc.oneof(fc.json(), fc.string(), fc.anything()),
        providerExecuted: fc.boolean(),
      }),
      fc.record({ type: fc.constant("tool-result"), toolCallId: id, result: fc.anything() }),
      fc.record({ type: fc.constantFrom("file", "source"), mediaType: fc.oneof(fc.string(), fc.anything()), data: fc.anything() }),
      fc.constant(finish),
      fc.anything(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 12 }), async (stream) => {
        const { model, conversation, done } = run(stream);
        const result = await done.catch((error: { code?: string }) => error);
        if ("code" in result) expect(result.code).toBe("AGENT_FAILED");
        else if ("answer" in result) expect(result.answer.role).toBe("assistant");
        else throw result;
        if (model.calls.length === 2) expectWellFormed(model.calls[1]?.prompt ?? []);
        expect(JSON.parse(JSON.stringify(conversation.stored))).toEqual(conversation.stored);
      }),
      { numRuns: 300 },
    );
  });
});

function expectWellFormed(prompt: ScriptedCall["prompt"]): void {
  prompt.forEach(({ role, content }, index) => {
    if (role !== "assistant") return;
    const calls = content.filter(
      (part: { type: string; providerExecuted?: boolean }) => part.type === "tool-call" && part.providerExecuted !== true,
    );
    if (calls.length > 0)
      expect(prompt[index + 1]?.content.map((part: { toolCallId: string }) => part.toolCallId)).toEqual(
        calls.map((part: { toolCallId: string }) => part.toolCallId),
      );
  });
}
