import { isAixgoError, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { createConversation, Died, message, shown } from "./harness.ts";

const city = z.object({ city: z.string() });
const callA = { toolName: "weather", input: { city: "Oslo" }, toolCallId: "a" };
const callB = { toolName: "weather", input: { city: "Rome" }, toolCallId: "b" };

function weather(effect: "idempotent" | "once" = "idempotent") {
  const runs: string[] = [];
  return { runs, weather: tool({ inputSchema: city, effect, execute: ({ city }) => (runs.push(city), `sunny in ${city}`) }) };
}

describe("a turn", () => {
  it("streams the model's text and returns it as the answer, with the usage", async () => {
    const model = createScriptedModel([{ reasoning: "hm", text: "Good morning to you", usage: { inputTokens: 7, outputTokens: 3 } }]);
    const done = await createConversation().attempt(createReActAgent({ name: "a", model, instructions: "Be kind." }));
    expect(shown(done.events)).toBe("Good morning to you");
    expect(shown(done.events, "reasoning-delta")).toBe("hm");
    expect(done.answer.parts).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Good morning to you" },
    ]);
    expect(done.usage).toEqual({ inputTokens: 7, outputTokens: 3 });
    expect(done.events.some(({ type }) => type === "message")).toBe(false);
    expect(model.calls[0]?.prompt).toEqual([
      { role: "system", content: "Be kind." },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
    ]);
  });

  it("runs the tools, shows the model their results and sums the usage of all steps", async () => {
    const { runs, weather: tools } = weather();
    const model = createScriptedModel([
      { text: "Let me look.", toolCalls: [callA, callB], usage: { inputTokens: 5, outputTokens: 1 } },
      { text: "Both sunny.", usage: { inputTokens: 9, outputTokens: 2 } },
    ]);
    const conversation = createConversation();
    const done = await conversation.attempt(createReActAgent({ name: "a", model, tools: { weather: tools } }));
    expect(runs).toEqual(["Oslo", "Rome"]);
    expect(textOf(done.answer)).toBe("Both sunny.");
    expect(done.usage).toEqual({ inputTokens: 14, outputTokens: 3 });
    expect(model.calls[1]?.prompt.slice(1)).toEqual([
      {
        role: "assistant",
        content: [
          { type: "text", text: "Let me look." },
          { type: "tool-call", ...callA },
          { type: "tool-call", ...callB },
        ],
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", toolCallId: "a", toolName: "weather", output: { type: "text", value: "sunny in Oslo" } },
          { type: "tool-result", toolCallId: "b", toolName: "weather", output: { type: "text", value: "sunny in Rome" } },
        ],
      },
    ]);
    expect(model.calls[0]?.tools).toEqual([
      { type: "function", name: "weather", inputSchema: expect.objectContaining({ type: "object", required: ["city"] }) },
    ]);
  });

  it("stores a call before its tool runs, and each result as it comes", async () => {
    const order: string[] = [];
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => (release = resolve));
    const model = createScriptedModel([
      {
        toolCalls: [
          { toolName: "slow", toolCallId: "s" },
          { toolName: "fast", toolCallId: "f" },
        ],
      },
      "done",
    ]);
    const agent = createReActAgent({
      name: "a",
      model,
      tools: {
        slow: tool({ inputSchema: z.object({}), execute: async () => (order.push("slow runs"), await slow, "slow") }),
        fast: tool({ inputSchema: z.object({}), execute: () => (order.push("fast runs"), "fast") }),
      },
    });
    const conversation = createConversation();
    await conversation.attempt(agent, {
      onEvent: (event) => {
        if (event.type !== "message" || typeof event.message === "string") return;
        order.push(`stored ${event.message.parts.map((part) => ("toolCallId" in part ? part.toolCallId : part.type)).join()}`);
        // Only once the fast one's result is stored may the slow one end.
        if (order.at(-1) === "stored f") release();
      },
    });
    expect(order).toEqual(["stored s,f", "slow runs", "fast runs", "stored f", "stored s"]);
    // Stored as they came, told in the order of the calls.
    expect(model.calls[1]?.prompt.at(-1)?.content.map((part: { toolCallId: string }) => part.toolCallId)).toEqual(["s", "f"]);
  });

  it("never runs more tools at once than maxParallelTools", async () => {
    let running = 0;
    let most = 0;
    const model = createScriptedModel([{ toolCalls: Array.from({ length: 9 }, () => ({ toolName: "t" })) }, "done"]);
    const t = tool({
      inputSchema: z.object({}),
      execute: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 2));
        running -= 1;
        return null;
      },
    });
    const conversation = createConversation();
    await conversation.attempt(createReActAgent({ name: "a", model, tools: { t }, maxParallelTools: 3 }));
    expect(most).toBe(3);
    expect(conversation.stored).toHaveLength(10);
  });

  it("shows the model each earlier turn exactly once, in order", async () => {
    const { weather: tools } = weather();
    const model = createScriptedModel(["one", { toolCalls: [callA] }, "two", "three"]);
    const agent = createReActAgent({ name: "a", model, tools: { weather: tools } });
    const conversation = createConversation();
    for (const text of ["first", "second", "third"]) await conversation.turn(agent, text);
    const prompt = model.calls[3]?.prompt ?? [];
    expect(
      prompt.map(
        ({ role, content }) =>
          `${role}: ${content.map((part: { text?: string; toolCallId?: string }) => part.text ?? part.toolCallId).join()}`,
      ),
    ).toEqual(["user: first", "assistant: one", "user: second", "assistant: a", "tool: a", "assistant: two", "user: third"]);
  });

  it("returns reasoning signatures and ids to the provider exactly as they came", async () => {
    const { weather: tools } = weather();
    const stream = [
      { type: "reasoning-start", id: "r", providerMetadata: { acme: { itemId: "rs_1" } } },
      { type: "reasoning-delta", id: "r", delta: "thinking" },
      { type: "reasoning-delta", id: "r", delta: "", providerMetadata: { acme: { signature: "c2ln" } } },
      { type: "reasoning-end", id: "r" },
      { type: "reasoning-start", id: "r2", providerMetadata: { acme: { redactedData: "xyz" } } },
      { type: "reasoning-end", id: "r2" },
      { type: "tool-call", ...callA, input: '{"city":"Oslo"}', providerMetadata: { acme: { thoughtSignature: "t" } } },
      { type: "finish", finishReason: { unified: "tool-calls", raw: "x" }, usage: {} },
    ];
    const model = createScriptedModel([{ stream }, "done", "again"]);
    const agent = createReActAgent({ name: "a", model, tools: { weather: tools } });
    const conversation = createConversation();
    await conversation.turn(agent, "go");
    await conversation.turn(agent, "and now");
    const expected = [
      { type: "reasoning", text: "thinking", providerOptions: { acme: { itemId: "rs_1", signature: "c2ln" } } },
      { type: "reasoning", text: "", providerOptions: { acme: { redactedData: "xyz" } } },
      { type: "tool-call", ...callA, providerOptions: { acme: { thoughtSignature: "t" } } },
    ];
    expect(model.calls[1]?.prompt[1]?.content).toEqual(expected);
    expect(model.calls[2]?.prompt[1]?.content).toEqual(expected);
  });

  it("gives the settings to the model with each call", async () => {
    const model = createScriptedModel(["x"]);
    const settings = { temperature: 0.2, maxOutputTokens: 99, providerOptions: { acme: { effort: "low" } } };
    await createConversation().attempt(createReActAgent({ name: "a", model, settings }));
    expect(model.calls[0]).toMatchObject(settings);
  });

  it("says in the answer's metadata that it was cut off", async () => {
    const done = await createConversation().attempt(
      createReActAgent({ name: "a", model: createScriptedModel([{ text: "half an ans", finishReason: "length" }]) }),
    );
    expect(done.answer.metadata).toEqual({ finishReason: "length" });
  });

  it("takes the answer of another agent as input", async () => {
    const model = createScriptedModel(["ok"]);
    await createConversation(
      [],
      message("assistant", [
        { type: "reasoning", text: "secret" },
        { type: "text", text: "from a colleague" },
      ]),
    ).attempt(createReActAgent({ name: "a", model }));
    expect(model.calls[0]?.prompt).toEqual([{ role: "user", content: [{ type: "text", text: "from a colleague" }] }]);
  });

  it("refuses an input without text and file, and one with an attachment: address, before the model is called", async () => {
    const model = createScriptedModel([]);
    const agent = createReActAgent({ name: "a", model });
    const attachment = message("user", [{ type: "file", mediaType: "image/png", url: "attachment:sha256-x" }]);
    for (const input of [message("user", []), message("user", ""), message("user", [{ type: "data-x", data: 1 }]), attachment]) {
      await expect(createConversation([], input).attempt(agent)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    }
    await expect(createConversation([], attachment).attempt(agent)).rejects.toThrow(
      "this attachment is lost or larger than agents are given",
    );
    expect(model.calls).toHaveLength(0);
  });

  it("ends with LIMIT_EXCEEDED after maxSteps, keeps the steps, and goes on from there with a higher limit", async () => {
    const { runs, weather: tools } = weather("once");
    const conversation = createConversation();
    const loop = createScriptedModel(Array.from({ length: 9 }, () => ({ toolCalls: [{ toolName: "weather", input: { city: "Oslo" } }] })));
    const failed = conversation.attempt(createReActAgent({ name: "a", model: loop, tools: { weather: tools }, maxSteps: 3 }));
    await expect(failed).rejects.toMatchObject({ code: "LIMIT_EXCEEDED", message: expect.stringContaining("maxSteps (3)") });
    expect(loop.calls).toHaveLength(3);
    expect(runs).toHaveLength(3);
    expect(conversation.stored.map(({ role }) => role)).toEqual(["assistant", "tool", "assistant", "tool", "assistant", "tool"]);
    // The limit is the turn's: trying again does not buy another three.
    await expect(
      conversation.attempt(createReActAgent({ name: "a", model: loop, tools: { weather: tools }, maxSteps: 3 })),
    ).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect(loop.calls).toHaveLength(3);
    const model = createScriptedModel(["at last"]);
    const done = await conversation.attempt(createReActAgent({ name: "a", model, tools: { weather: tools }, maxSteps: 4 }));
    expect(textOf(done.answer)).toBe("at last");
    expect(model.calls[0]?.prompt).toHaveLength(7);
    expect(runs).toHaveLength(3);
  });
});

describe("a later attempt", () => {
  const script = () => createScriptedModel([{ toolCalls: [callA, callB] }, "done"]);

  for (const dieAfter of [0, 1, 2, 3]) {
    it(`goes on where the first one died after ${dieAfter} stored messages`, async () => {
      const { runs, weather: tools } = weather();
      const conversation = createConversation();
      const model = script();
      const first = conversation.attempt(createReActAgent({ name: "a", model, tools: { weather: tools }, maxParallelTools: 1 }), {
        dieAfter,
      });
      if (dieAfter < 3) await expect(first).rejects.toThrow(Died);
      else await first;
      // The second attempt's model gives only what the first one had not stored.
      const rest = dieAfter === 0 ? script() : createScriptedModel(["done"]);
      const done = await conversation.attempt(createReActAgent({ name: "a", model: rest, tools: { weather: tools } }));
      expect(textOf(done.answer)).toBe("done");
      const prompt = rest.calls.at(-1)?.prompt ?? [];
      expect(prompt.map(({ role }) => role)).toEqual(["user", "assistant", "tool"]);
      expect(prompt[2]?.content).toEqual([
        { type: "tool-result", toolCallId: "a", toolName: "weather", output: { type: "text", value: "sunny in Oslo" } },
        { type: "tool-result", toolCallId: "b", toolName: "weather", output: { type: "text", value: "sunny in Rome" } },
      ]);
      // At least once each; a stored result is not made again.
      const again = { 0: ["Oslo", "Rome"], 1: ["Oslo", "Oslo", "Rome"], 2: ["Oslo", "Rome", "Rome"], 3: ["Oslo", "Rome"] }[dieAfter];
      expect(runs).toEqual(again);
    });
  }

  it("never runs a `once` tool again: the model is told that the outcome is unknown, and that is stored once", async () => {
    const { runs, weather: once } = weather("once");
    const { runs: other, weather: idempotent } = weather();
    const tools = { pay: once, weather: idempotent };
    const conversation = createConversation();
    const calls = [{ ...callA, toolName: "pay" }, callB];
    await expect(
      conversation.attempt(createReActAgent({ name: "a", model: createScriptedModel([{ toolCalls: calls }]), tools }), { dieAfter: 1 }),
    ).rejects.toThrow(Died);
    expect(runs).toEqual(["Oslo"]);
    const failing = createScriptedModel([{ error: new Error("down") }]);
    await expect(conversation.attempt(createReActAgent({ name: "a", model: failing, tools }))).rejects.toMatchObject({
      code: "AGENT_FAILED",
    });
    const stored = conversation.stored.length;
    const model = createScriptedModel(["I will check."]);
    await conversation.attempt(createReActAgent({ name: "a", model, tools }));
    expect(runs).toEqual(["Oslo"]);
    expect(other).toEqual(["Rome", "Rome"]);
    expect(conversation.stored).toHaveLength(stored);
    const [unknown, fine] = model.calls[0]?.prompt.at(-1)?.content ?? [];
    expect(unknown).toMatchObject({ toolCallId: "a", output: { type: "error-text", value: expect.stringContaining("outcome unknown") } });
    expect(fine).toMatchObject({ toolCallId: "b", output: { value: "sunny in Rome" } });
  });

  it("runs a `once` tool that the model calls anew after an interrupted call", async () => {
    const { runs, weather: pay } = weather("once");
    const conversation = createConversation();
    conversation.stored.push(message("assistant", [{ type: "tool-call", ...callA, toolName: "pay" }]));
    const model = createScriptedModel([{ toolCalls: [{ ...callB, toolName: "pay" }] }, "paid"]);
    await conversation.attempt(createReActAgent({ name: "a", model, tools: { pay } }));
    expect(runs).toEqual(["Rome"]);
  });

  it("does not run again the open calls of any step but the last", async () => {
    const { runs, weather: tools } = weather();
    const conversation = createConversation();
    conversation.stored.push(
      message("assistant", [{ type: "tool-call", ...callA }]),
      message("assistant", [{ type: "tool-call", ...callB }]),
    );
    const model = createScriptedModel(["done"]);
    await conversation.attempt(createReActAgent({ name: "a", model, tools: { weather: tools } }));
    expect(runs).toEqual(["Rome"]);
    expect(model.calls[0]?.prompt.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant", "tool"]);
  });

  it("returns an answer that is stored already, without calling the model", async () => {
    const model = createScriptedModel([]);
    const conversation = createConversation();
    const stored = message("assistant", "the answer");
    conversation.stored.push(stored);
    const done = await conversation.attempt(createReActAgent({ name: "a", model }));
    expect(done.answer.id).toBe(stored.id);
    expect(model.calls).toHaveLength(0);
  });

  it("tells the model of a lost call whose tool is gone by now", async () => {
    const conversation = createConversation();
    conversation.stored.push(message("assistant", [{ type: "tool-call", ...callA }]));
    const model = createScriptedModel(["ok"]);
    await conversation.attempt(createReActAgent({ name: "a", model }));
    expect(model.calls[0]?.prompt.at(-1)?.content[0].output).toEqual({ type: "error-text", value: 'There is no tool named "weather".' });
  });
});

describe("an abort", () => {
  it("ends a hanging model at once, with the reason of the signal, and aborts the model's request", async () => {
    const stop = new AbortController();
    let heard: AbortSignal | undefined;
    const model = {
      ...createScriptedModel([]),
      doStream: ({ abortSignal }: { abortSignal: AbortSignal }) => {
        heard = abortSignal;
        queueMicrotask(() => stop.abort());
        return new Promise<never>(() => {});
      },
    };
    const failed = createConversation().attempt(createReActAgent({ name: "a", model }), { signal: stop.signal });
    await expect(failed).rejects.toSatisfy((error) => isAixgoError(error, "CANCELLED"));
    expect(heard?.aborted).toBe(true);
  });

  it("ends tools that do not listen, and stores no result for them", async () => {
    const stop = new AbortController();
    let signal: AbortSignal | undefined;
    const hang = tool({
      inputSchema: z.object({}),
      execute: (_, context) => {
        signal = context.signal;
        queueMicrotask(() => stop.abort());
        return new Promise<never>(() => {});
      },
    });
    const conversation = createConversation();
    const failed = conversation.attempt(
      createReActAgent({ name: "a", model: createScriptedModel([{ toolCalls: [{ toolName: "hang" }] }]), tools: { hang } }),
      { signal: stop.signal },
    );
    await expect(failed).rejects.toMatchObject({ code: "CANCELLED" });
    expect(signal?.aborted).toBe(true);
    expect(conversation.stored.map(({ role }) => role)).toEqual(["assistant"]);
  });

  it("before the start calls no model", async () => {
    const model = createScriptedModel([]);
    await expect(
      createConversation().attempt(createReActAgent({ name: "a", model }), { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    expect(model.calls).toHaveLength(0);
  });

  it("cancels the stream when the caller leaves in the middle", async () => {
    let cancelled = false;
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue({ type: "text-delta", id: "1", delta: "x" }),
      cancel: () => void (cancelled = true),
    });
    let request: AbortSignal | undefined;
    const model = {
      ...createScriptedModel([]),
      doStream: async ({ abortSignal }: { abortSignal: AbortSignal }) => ((request = abortSignal), { stream }),
    };
    const stop = new Error("left");
    const failed = createConversation().attempt(createReActAgent({ name: "a", model }), { onEvent: () => Promise.reject(stop) });
    await expect(failed).rejects.toBe(stop);
    expect(request?.aborted).toBe(true);
    expect(cancelled).toBe(true);
  });
});
