import { setTimeout as delay } from "node:timers/promises";
import { createRuntime, textOf, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, RETRY_DEFAULTS, type ReActAgentOptions, tool } from "../src/index.ts";
import { createScriptedModel, type ScriptedStep } from "../src/testing.ts";
import { createConversation, shown } from "./harness.ts";

const status = (statusCode: number, more: object = {}) => Object.assign(new Error("sk-secret"), { statusCode, ...more });
const after = (value: string) => status(429, { responseHeaders: { "Retry-After": value } });
const quick = { minDelayMs: 1, maxDelayMs: 60_000 };

function agentOf(steps: Parameters<typeof createScriptedModel>[0], options: Partial<ReActAgentOptions> = {}) {
  const model = createScriptedModel(steps);
  return { model, agent: createReActAgent({ name: "a", model, retry: quick, ...options }) };
}

describe("a model that fails for a reason that may pass", () => {
  it.each([
    ["too many requests", { error: status(429) }],
    ["a failing server", { error: status(500) }],
    ["a refused connection", { error: Object.assign(new Error("x"), { code: "ECONNREFUSED" }) }],
    ["a lost connection", { error: new TypeError("fetch failed", { cause: Object.assign(new Error("x"), { code: "UND_ERR_SOCKET" }) }) }],
    ["what the provider calls retryable", { error: status(418, { isRetryable: true }) }],
    ["an error in the stream", { stream: [{ type: "stream-start" }, { type: "error", error: status(503) }] }],
    ["a stream that breaks off before anything was shown", { stream: [{ type: "text-start", id: "1" }] }],
  ] satisfies [string, ScriptedStep][])("is called again: %s", async (_what, failure) => {
    const { model, agent } = agentOf([failure, "Fine."]);
    const done = await createConversation().attempt(agent);
    expect(shown(done.events)).toBe("Fine.");
    expect(model.calls).toHaveLength(2);
    expect(model.calls[1]?.prompt).toEqual(model.calls[0]?.prompt);
  });

  it("is called as often as RETRY_DEFAULTS say, unless told otherwise", () => {
    expect(RETRY_DEFAULTS).toEqual({ maxRetries: 2, minDelayMs: 500, maxDelayMs: 30_000 });
  });

  it("is called maxRetries times more, then the last error is told", async () => {
    const { model, agent } = agentOf([{ error: status(500) }, { error: status(502) }, { error: status(503) }, "never"]);
    await expect(createConversation().attempt(agent)).rejects.toMatchObject({ code: "AGENT_FAILED", details: { statusCode: 503 } });
    expect(model.calls).toHaveLength(3);
    const none = agentOf([{ error: status(500) }, "never"], { retry: { maxRetries: 0 } });
    await expect(createConversation().attempt(none.agent)).rejects.toMatchObject({ details: { statusCode: 500 } });
    expect(none.model.calls).toHaveLength(1);
  });

  it.each([
    ["a bad request", { error: status(400) }],
    ["a bad key", { error: status(401) }],
    ["what the provider calls final", { error: status(503, { isRetryable: false }) }],
    ["an error of the program", { error: new TypeError("x is not a function") }],
    ["an answer that is too long", { text: "x".repeat(5000) }],
  ] satisfies [string, ScriptedStep][])("is not called again after %s", async (_what, failure) => {
    const { model, agent } = agentOf([failure, "never"], { maxResponseBytes: 1000 });
    await expect(createConversation().attempt(agent)).rejects.toThrow();
    expect(model.calls).toHaveLength(1);
  });

  it("is never called again after something was shown", async () => {
    for (const shownPart of [
      { type: "text-delta", id: "1", delta: "Hel" },
      { type: "reasoning-delta", id: "1", delta: "hm" },
    ]) {
      const { model, agent } = agentOf([{ stream: [shownPart, { type: "error", error: status(503) }] }, "never"]);
      await expect(createConversation().attempt(agent)).rejects.toMatchObject({ code: "AGENT_FAILED", retryable: true });
      expect(model.calls).toHaveLength(1);
    }
  });

  it("that was silent is not called again", async () => {
    const { model, agent } = agentOf([{ text: "late", delayMs: 60_000 }, "never"], { modelIdleTimeoutMs: 30 });
    await expect(createConversation().attempt(agent)).rejects.toMatchObject({ code: "TIMEOUT" });
    expect(model.calls).toHaveLength(1);
  });

  it("is left alone as long as it asks: Retry-After in seconds, as a date, in milliseconds", async () => {
    const times: number[] = [];
    const now = (error?: unknown) => () => {
      times.push(performance.now());
      return error === undefined ? "Fine." : { error };
    };
    const headers = { "retry-after-ms": "150", "retry-after": "50" };
    const { agent } = agentOf([now(after("0.2")), now(status(503, { responseHeaders: headers })), now()]);
    expect(textOf((await createConversation().attempt(agent)).answer)).toBe("Fine.");
    // A timer may fire a millisecond early.
    expect((times[1] as number) - (times[0] as number)).toBeGreaterThan(198);
    expect((times[2] as number) - (times[1] as number)).toBeGreaterThan(148);
    const past = agentOf([{ error: after(new Date(Date.now() - 5000).toUTCString()) }, "Fine."]);
    expect(textOf((await createConversation().attempt(past.agent)).answer)).toBe("Fine.");
  });

  it("is understood though its error carries the Headers that fetch gave", async () => {
    const { model, agent } = agentOf([{ error: status(429, { responseHeaders: new Headers({ "Retry-After": "3600" }) }) }, "never"]);
    await expect(createConversation().attempt(agent)).rejects.toMatchObject({ details: { retryAfterMs: 3_600_000 } });
    expect(model.calls).toHaveLength(1);
  });

  it.each(["3600", new Date(Date.now() + 3_600_000).toUTCString()])(
    "that asks for longer than maxDelayMs is not called again, and the error says how long: %s",
    async (value) => {
      const { model, agent } = agentOf([{ error: after(value) }, "never"]);
      const error = await createConversation()
        .attempt(agent)
        .then(
          () => undefined,
          (thrown: { retryable: boolean; details: { retryAfterMs: number } }) => thrown,
        );
      expect(error).toMatchObject({ code: "AGENT_FAILED", retryable: true });
      expect(error?.details.retryAfterMs).toBeGreaterThan(3_500_000);
      expect(model.calls).toHaveLength(1);
    },
  );

  it("is not waited for when the call is cancelled", async () => {
    for (const [error, retry] of [
      [after("50"), quick],
      [status(500), { minDelayMs: 50_000, maxDelayMs: 50_000 }],
    ] as const) {
      const { model, agent } = agentOf([{ error }, "never"], { retry });
      const stop = new AbortController();
      const failed = createConversation().attempt(agent, { signal: stop.signal });
      const outcome = expect(failed).rejects.toMatchObject({ code: "CANCELLED" });
      while (model.calls.length === 0) await delay(1);
      await delay(5);
      stop.abort();
      await outcome;
      expect(model.calls).toHaveLength(1);
    }
  });

  it("is called again step by step: tools do not run twice", async () => {
    let runs = 0;
    const count = tool({ inputSchema: z.object({}), effect: "once", execute: () => ++runs });
    const { model, agent } = agentOf([{ toolCalls: [{ toolName: "count" }] }, { error: status(529) }, "Counted."], { tools: { count } });
    expect(textOf((await createConversation().attempt(agent)).answer)).toBe("Counted.");
    expect(runs).toBe(1);
    expect(model.calls).toHaveLength(3);
  });

  it.each([
    [{ maxRetries: -1 }, "retry.maxRetries"],
    [{ maxRetries: 1.5 }, "retry.maxRetries"],
    [{ minDelayMs: Infinity }, "retry.minDelayMs"],
    [{ maxDelayMs: "1s" }, "retry.maxDelayMs"],
    [{ times: 3 }, "retry.times"],
    [5, "retry"],
  ])("refuses the options %j", (retry, name) => {
    expect(() => agentOf([], { retry: retry as never })).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
    );
  });
});

describe("usage", () => {
  it("of a turn that was continued counts the steps of the attempt before", async () => {
    const echo = tool({ inputSchema: z.object({}), execute: () => "ok" });
    const { agent } = agentOf(
      [
        { toolCalls: [{ toolName: "echo" }], usage: { inputTokens: 10, outputTokens: 1 } },
        { error: status(400) },
        { toolCalls: [{ toolName: "echo" }], usage: { inputTokens: 20, outputTokens: 2 } },
        { text: "Done.", usage: { inputTokens: 30 } },
      ],
      { tools: { echo } },
    );
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withSessionManager(sessions)).register(agent);
    await runtime.start();
    const session = await sessions.create("a");
    await expect(runtime.callWithSession("a", "go", session.id, { turnKey: "k" })).rejects.toMatchObject({ code: "AGENT_FAILED" });
    const reply = await runtime.callWithSession("a", "go", session.id, { turnKey: "k" });
    expect(reply.usage).toEqual({ inputTokens: 60, outputTokens: 3 });
    expect(reply.message.metadata).toBeUndefined();
    // Answered from the log: the same.
    expect((await runtime.callWithSession("a", "go", session.id, { turnKey: "k" })).usage).toEqual(reply.usage);
  });

  it("of an answer that was stored before the process died is that of its steps", async () => {
    const conversation = createConversation();
    conversation.stored.push({
      id: "s",
      role: "assistant",
      parts: [{ type: "text", text: "Stored." }],
      timestamp: "2026-01-01T00:00:00Z",
      metadata: { usage: { inputTokens: 4 } },
    });
    const done = await conversation.attempt(agentOf([]).agent);
    expect(textOf(done.answer)).toBe("Stored.");
    expect(done.usage).toEqual({ inputTokens: 4 });
  });
});
