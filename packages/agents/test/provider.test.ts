import { createOpenAICompatible as createV2 } from "@ai-sdk/openai-compatible";
import { createOpenAICompatible as createV3 } from "@ai-sdk/openai-compatible-v3";
import { textOf } from "@aixgo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type LanguageModel, tool } from "../src/index.ts";
import { createConversation, shown } from "./harness.ts";
import { answer, callDelta, type ChatServer, openStream, sendEvent, startChatServer } from "./openai-server.ts";

const generations = [
  ["v3", (baseURL: string): LanguageModel => createV2({ name: "local", baseURL, apiKey: "sk-secret", includeUsage: true })("m")],
  ["v4", (baseURL: string): LanguageModel => createV3({ name: "local", baseURL, apiKey: "sk-secret", includeUsage: true })("m")],
] as const;

describe.each(generations)("through a provider of language model interface %s", (version, create) => {
  let server: ChatServer;
  let model: LanguageModel;
  beforeEach(async () => {
    server = await startChatServer();
    model = create(server.baseURL);
  });
  afterEach(() => server.close());

  const weather = tool({
    description: "The weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => ({ city, sky: "clear" }),
  });

  it("is of that version", () => {
    expect(model.specificationVersion).toBe(version);
  });

  it("streams an answer, with usage", async () => {
    server.script.push(
      answer([{ role: "assistant", content: "" }, { reasoning_content: "hm" }, { content: "Hel" }, { content: "lo 👋" }], "stop"),
    );
    const done = await createConversation().attempt(
      createReActAgent({ name: "a", model, instructions: "Be brief.", settings: { temperature: 0.5 } }),
    );
    expect(shown(done.events)).toBe("Hello 👋");
    expect(shown(done.events, "reasoning-delta")).toBe("hm");
    expect(textOf(done.answer)).toBe("Hello 👋");
    expect(done.answer.metadata).toBeUndefined();
    expect(done.usage).toEqual({ inputTokens: 10, outputTokens: 2 });
    expect(server.requests[0]).toMatchObject({
      model: "m",
      stream: true,
      temperature: 0.5,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" },
      ],
    });
    expect(server.requests[0]).not.toHaveProperty("tools");
  });

  it("sends each earlier turn exactly once, in order, with tool calls and their results", async () => {
    server.script.push(
      answer(
        [
          { content: "Looking." },
          callDelta(0, "c1", "weather", '{"ci'),
          { tool_calls: [{ index: 0, function: { arguments: 'ty":"Oslo"}' } }] },
          callDelta(1, "c2", "weather", '{"city":"Rome"}'),
        ],
        "tool_calls",
      ),
      answer([{ content: "Both clear." }], "stop"),
      answer([{ content: "You asked for two cities." }], "stop"),
      answer([{ content: "Bye." }], "stop"),
    );
    const agent = createReActAgent({ name: "a", model, tools: { weather } });
    const conversation = createConversation();
    const first = await conversation.turn(agent, "Weather?");
    expect(first.usage).toEqual({ inputTokens: 20, outputTokens: 4 });
    await conversation.turn(agent, "What did I ask?");
    await conversation.turn(agent, "Thanks");
    expect(server.requests[0]?.tools).toEqual([
      {
        type: "function",
        function: {
          name: "weather",
          description: "The weather.",
          parameters: expect.objectContaining({ type: "object", required: ["city"] }),
        },
      },
    ]);
    const asked = (id: string, city: string) => ({
      id,
      type: "function",
      function: { name: "weather", arguments: JSON.stringify({ city }) },
    });
    const turn1 = [
      { role: "user", content: "Weather?" },
      { role: "assistant", content: "Looking.", tool_calls: [asked("c1", "Oslo"), asked("c2", "Rome")] },
      { role: "tool", tool_call_id: "c1", content: '{"city":"Oslo","sky":"clear"}' },
      { role: "tool", tool_call_id: "c2", content: '{"city":"Rome","sky":"clear"}' },
    ];
    expect(server.requests[1]?.messages).toEqual(turn1);
    expect(server.requests[3]?.messages).toEqual([
      ...turn1,
      { role: "assistant", content: "Both clear." },
      { role: "user", content: "What did I ask?" },
      { role: "assistant", content: "You asked for two cities." },
      { role: "user", content: "Thanks" },
    ]);
  });

  it("tells the model of a broken input, and sends its own words back as JSON", async () => {
    server.script.push(answer([callDelta(0, "c1", "weather", '{"city": Os')], "tool_calls"), answer([{ content: "Sorry." }], "stop"));
    const done = await createConversation().attempt(createReActAgent({ name: "a", model, tools: { weather } }));
    expect(textOf(done.answer)).toBe("Sorry.");
    const [, assistant, result] = server.requests[1]?.messages ?? [];
    expect(JSON.parse(assistant?.tool_calls?.[0]?.function.arguments ?? "null")).toEqual({ input: '{"city": Os' });
    expect(result?.content).toContain("not a JSON object");
  });

  it("tells the model that an interrupted call's outcome is unknown", async () => {
    server.script.push(answer([callDelta(0, "c1", "pay", "{}")], "tool_calls"), answer([{ content: "I will check." }], "stop"));
    const pay = tool({ inputSchema: z.object({}), effect: "once", execute: () => Promise.reject(new Error("never")) });
    const agent = createReActAgent({ name: "a", model, tools: { pay } });
    const conversation = createConversation();
    await expect(conversation.attempt(agent, { dieAfter: 1 })).rejects.toThrow("died");
    await conversation.attempt(agent);
    expect(server.requests[1]?.messages.at(-1)).toMatchObject({
      role: "tool",
      tool_call_id: "c1",
      content: expect.stringContaining("outcome unknown"),
    });
  });

  it("sends a data: image", async () => {
    server.script.push(answer([{ content: "A cat." }], "stop"));
    const conversation = createConversation();
    await conversation.turn(createReActAgent({ name: "a", model }), {
      role: "user",
      parts: [
        { type: "text", text: "What is it?" },
        { type: "file", mediaType: "image/png", url: "data:image/png;base64,QUJD" },
      ],
    });
    expect(server.requests[0]?.messages[0]?.content).toEqual([
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url: "data:image/png;base64,QUJD" } },
    ]);
  });

  it.each([
    [500, true],
    [429, true],
    [400, false],
    [401, false],
  ])("fails with status %i in the message and the cause, and stores nothing", async (status, retryable) => {
    server.script.push(
      (response) =>
        void response
          .writeHead(status, { "content-type": "application/json" })
          .end(JSON.stringify({ error: { message: "key sk-secret is bad" } })),
    );
    const conversation = createConversation();
    const error = await conversation.attempt(createReActAgent({ name: "a", model, retry: { maxRetries: 0 } })).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      code: "AGENT_FAILED",
      retryable,
      message: expect.stringContaining(`status ${status}`),
      details: { statusCode: status, modelId: "m" },
      cause: { statusCode: status },
    });
    expect((error as Error).message).not.toContain("sk-secret");
    expect(conversation.stored).toEqual([]);
  });

  it("is called again after 503, after a lost connection and after Retry-After, and then answers once", async () => {
    server.script.push(
      (response) => void response.writeHead(503).end(),
      (response) => {
        openStream(response);
        response.flushHeaders();
        response.destroy();
      },
      (response) => void response.writeHead(429, { "retry-after-ms": "20", "content-type": "application/json" }).end("{}"),
      answer([{ content: "Here." }], "stop"),
    );
    const conversation = createConversation();
    const done = await conversation.attempt(createReActAgent({ name: "a", model, retry: { maxRetries: 3, minDelayMs: 1 } }));
    expect(shown(done.events)).toBe("Here.");
    expect(server.requests).toHaveLength(4);
    expect(server.requests[3]).toEqual(server.requests[0]);
  });

  it("fails when nobody listens at the address", async () => {
    await server.close();
    await expect(createConversation().attempt(createReActAgent({ name: "a", model }))).rejects.toMatchObject({
      code: "AGENT_FAILED",
      retryable: true,
    });
  });

  it.each<[string, string]>([
    ["malformed", "data: {oh no\n\n"],
    ["an error of the server", 'data: {"error":{"message":"overloaded"}}\n\n'],
  ])("fails when the stream is %s after some text", async (_, line) => {
    server.script.push((response) => {
      openStream(response);
      sendEvent(response, { content: "half" });
      response.end(`${line}data: [DONE]\n\n`);
    });
    const conversation = createConversation();
    await expect(conversation.attempt(createReActAgent({ name: "a", model }))).rejects.toMatchObject({ code: "AGENT_FAILED" });
    expect(conversation.stored).toEqual([]);
  });

  it("fails when the connection breaks in the middle", async () => {
    server.script.push((response) => {
      openStream(response);
      sendEvent(response, { content: "half" });
      setTimeout(() => response.destroy(), 5);
    });
    await expect(createConversation().attempt(createReActAgent({ name: "a", model }))).rejects.toMatchObject({ code: "AGENT_FAILED" });
  });

  it.each([
    ["headers", false],
    ["the rest of the stream", true],
  ])("gives up a server that never sends %s, and hangs up on it", async (_, begin) => {
    let hungUp = (): void => {};
    const closed = new Promise<void>((resolve) => (hungUp = resolve));
    server.script.push((response) => {
      if (begin) {
        openStream(response);
        sendEvent(response, { content: "…" });
      }
      response.on("close", hungUp);
    });
    await expect(createConversation().attempt(createReActAgent({ name: "a", model, modelIdleTimeoutMs: 500 }))).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    await closed;
  });

  it("hangs up at once when the caller aborts in the middle of a slow answer", async () => {
    const stop = new AbortController();
    let hungUp = (): void => {};
    const closed = new Promise<void>((resolve) => (hungUp = resolve));
    server.script.push((response) => {
      openStream(response);
      sendEvent(response, { content: "slow" });
      response.on("close", hungUp);
    });
    const failed = createConversation().attempt(createReActAgent({ name: "a", model }), {
      signal: stop.signal,
      onEvent: () => stop.abort(),
    });
    await expect(failed).rejects.toMatchObject({ code: "CANCELLED" });
    await closed;
  });
});
