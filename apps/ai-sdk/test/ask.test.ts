import { AixgoError } from "@aixgo/core";
import { createMemoryBackend, createMemoryStore, createSessionManager, type Session } from "@aixgo/session";
import { simulateReadableStream, tool, type ToolSet } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { ask } from "../src/ask.ts";

type StreamPart = Awaited<ReturnType<MockLanguageModelV3["doStream"]>>["stream"] extends ReadableStream<infer P> ? P : never;
type Step = readonly StreamPart[];

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined },
};
const says = (text: string): Step => [
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: text },
  { type: "text-end", id: "t" },
  { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage },
];
const calls = (...ids: readonly string[]): Step => [
  { type: "reasoning-start", id: "r" },
  { type: "reasoning-delta", id: "r", delta: "I need the tool." },
  { type: "reasoning-end", id: "r", providerMetadata: { anthropic: { signature: "sig-1" } } },
  ...ids.map((toolCallId): StreamPart => ({
    type: "tool-call",
    toolCallId,
    toolName: "lookup",
    input: JSON.stringify({ id: toolCallId }),
  })),
  { type: "finish", finishReason: { unified: "tool-calls", raw: undefined }, usage },
];

/** A model that gives these steps one after the other, and then fails its test. */
function model(...steps: readonly (Step | (() => Step | Promise<Step>))[]): MockLanguageModelV3 {
  let next = 0;
  return new MockLanguageModelV3({
    doStream: async () => {
      const step = steps[next++];
      if (step === undefined) throw new Error("the model was asked once more than planned");
      return { stream: simulateReadableStream({ chunks: [...(typeof step === "function" ? await step() : step)] }) };
    },
  });
}

const store = createMemoryStore();
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** A session as one process sees it; others may share its store. */
async function sessionOf(userId: string): Promise<Session> {
  const sessions = createSessionManager({ backend: createMemoryBackend({ store }) });
  open.push(sessions);
  return sessions.getOrCreate("agent", userId);
}

function lookup(execute: (id: string) => unknown = (id) => ({ found: id })): ToolSet {
  return { lookup: tool({ inputSchema: z.object({ id: z.string() }), execute: async ({ id }) => execute(id) }) };
}

const quiet = { onText: () => undefined };

describe("ask", () => {
  it("stores each step before the model is asked again, with what providers attached", async () => {
    const session = await sessionOf("steps");
    const seen: string[][] = [];
    const look = async (step: Step): Promise<Step> => {
      seen.push((await session.messages()).map(({ role }) => role));
      return step;
    };
    const reply = await ask(session, "Go", {
      ...quiet,
      model: model(
        () => look(calls("a", "b")),
        () => look(calls("c")),
        () => look(says("Done.")),
      ),
      tools: lookup(),
    });
    expect(seen).toEqual([["user"], ["user", "assistant", "tool"], ["user", "assistant", "tool", "assistant", "tool"]]);
    expect(reply).toMatchObject({ text: "Done.", usage: { inputTokens: 3, outputTokens: 3 } });
    const [, first, results] = await session.messages();
    expect(first?.parts).toMatchObject([
      { type: "reasoning", text: "I need the tool.", providerOptions: { anthropic: { signature: "sig-1" } } },
      { type: "tool-call", toolCallId: "a", input: { id: "a" } },
      { type: "tool-call", toolCallId: "b" },
    ]);
    expect(results?.parts).toMatchObject([
      { type: "tool-result", toolCallId: "a", output: { type: "json", value: { found: "a" } } },
      { type: "tool-result", toolCallId: "b" },
    ]);
  });

  it("shows text while it comes, and gives the model the earlier turns once", async () => {
    const session = await sessionOf("history");
    await ask(session, "My name is Ada", { ...quiet, model: model(says("Hello Ada.")), tools: {} });
    const second = model(says("It is Ada."));
    const shown: string[] = [];
    await ask(session, "What is my name?", { model: second, tools: {}, onText: (delta) => shown.push(delta) });
    expect(shown.join("")).toBe("It is Ada.");
    expect(second.doStreamCalls[0]?.prompt.map(({ role, content }) => [role, JSON.stringify(content)])).toEqual([
      ["user", expect.stringContaining("My name is Ada")],
      ["assistant", expect.stringContaining("Hello Ada.")],
      ["user", expect.stringContaining("What is my name?")],
    ]);
  });

  it("goes on behind the stored steps after the model failed, in another process", async () => {
    let ran = 0;
    const tools = lookup((id) => {
      ran += 1;
      return id;
    });
    const failing = model(calls("a"), () => {
      throw new Error("503");
    });
    await expect(ask(await sessionOf("failed"), "Go", { ...quiet, model: failing, tools, turnKey: "k" })).rejects.toThrow("503");

    const session = await sessionOf("failed");
    const healthy = model(says("Done."));
    const reply = await ask(session, "Go", { ...quiet, model: healthy, tools, turnKey: "k" });
    expect(ran).toBe(1);
    expect(healthy.doStreamCalls[0]?.prompt.map(({ role }) => role)).toEqual(["user", "assistant", "tool"]);
    expect((await session.messages()).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    // Once more: the log answers, the model is not asked.
    const again = await ask(session, "Go", { ...quiet, model: model(), tools, turnKey: "k" });
    expect([again.text, again.turn?.replayed, reply.turn?.replayed]).toEqual(["Done.", true, false]);
  });

  it("a tool that throws is told to the model; the turn goes on", async () => {
    const session = await sessionOf("throws");
    const tools = lookup(() => {
      throw new Error("no such thing");
    });
    const asked = model(calls("a"), says("It is not there."));
    await ask(session, "Go", { ...quiet, model: asked, tools });
    expect((await session.messages())[2]?.parts).toMatchObject([{ output: { type: "error-text", value: "no such thing" } }]);
    expect(JSON.stringify(asked.doStreamCalls[1]?.prompt)).toContain("no such thing");
  });

  it("a step that cannot be stored ends the turn: the model is not asked again", async () => {
    const session = await sessionOf("unstorable");
    const asked = model(calls("a"), says("Never."));
    const tools = lookup(() => "x".repeat(20 * 1024 * 1024));
    await expect(ask(session, "Go", { ...quiet, model: asked, tools })).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect(asked.doStreamCalls).toHaveLength(1);
  });

  it("a cancel stops the model and the turn", async () => {
    const session = await sessionOf("cancel");
    const stop = new AbortController();
    const asked = new MockLanguageModelV3({
      doStream: ({ abortSignal }) =>
        new Promise((_, reject) => {
          abortSignal?.addEventListener("abort", () => reject(abortSignal.reason as Error));
          setTimeout(() => stop.abort(), 10);
        }),
    });
    const asking = ask(session, "Go", { ...quiet, model: asked, tools: {}, signal: stop.signal, turnKey: "k" });
    await expect(asking).rejects.toMatchObject({ code: "CANCELLED" });
    const reply = await ask(session, "Go", { ...quiet, model: model(says("Later.")), tools: {}, turnKey: "k" });
    expect(reply.text).toBe("Later.");
  });

  it("a model that never comes to an answer is stopped, and asked with the same key it goes on", async () => {
    const session = await sessionOf("endless");
    const endless = model(...Array.from({ length: 8 }, (_, index) => calls(`call-${index}`)));
    await expect(ask(session, "Go", { ...quiet, model: endless, tools: lookup(), turnKey: "k" })).rejects.toThrow(
      /no answer after 8 steps/,
    );
    expect(await session.messages()).toHaveLength(1 + 8 * 2);
    await ask(session, "Go", { ...quiet, model: model(says("At last.")), tools: lookup(), turnKey: "k" });
    expect(await session.messages()).toHaveLength(1 + 8 * 2 + 1);
  });

  it("an empty answer is told as what it is, stored as none, and asked again with the same key", async () => {
    const session = await sessionOf("filtered");
    const filtered = model([{ type: "finish", finishReason: { unified: "content-filter", raw: undefined }, usage }]);
    await expect(ask(session, "Go", { ...quiet, model: filtered, tools: {}, turnKey: "k" })).rejects.toThrow(
      /no answer after 1 steps \(it stopped with content-filter\)/,
    );
    expect((await session.messages()).map(({ role }) => role)).toEqual(["user"]);
    await ask(session, "Go", { ...quiet, model: model(says("Now.")), tools: {}, turnKey: "k" });
    expect((await session.messages()).map(({ role }) => role)).toEqual(["user", "assistant"]);
  });

  it("two questions at once are answered one after the other", async () => {
    const session = await sessionOf("busy");
    const answers = await Promise.all(["one", "two"].map((text) => ask(session, text, { ...quiet, model: model(says(text)), tools: {} })));
    expect(answers.map(({ text }) => text)).toEqual(["one", "two"]);
    await expect(
      session.turn("outer", () => ask(session, "inner", { ...quiet, model: model(), tools: {} }).then(({ message }) => message)),
    ).rejects.toBeInstanceOf(AixgoError);
  });
});
