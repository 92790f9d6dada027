import { describe, expect, it } from "vitest";
import { type AgentEvent, AixgoError, assistantMessage, createRuntime, streamResponse } from "../src/index.ts";
import { MAX_KEPT_EVENTS } from "../src/reply-stream.ts";
import { gate, settle } from "./support.ts";
import { chunksOf, delta, framesOf, shownBy, streamOf } from "./stream-readers.ts";

describe("toResponse in the format of the UI message stream", () => {
  it("is the default, and says so in its headers, to which others may be added", async () => {
    const stream = await streamOf(() => "x");
    const response = stream.toResponse({ headers: { "X-Request": "r1", "Cache-Control": "no-store" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-vercel-ai-ui-message-stream")).toBe("v1");
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(response.headers.get("x-request")).toBe("r1");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const text = await response.text();
    expect(text).toMatch(/^data: \{"type":"start"\}\n\n/);
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
  });
  it("builds the message with the id that it is given", async () => {
    const text = await (await streamOf(() => "x")).toResponse({ messageId: "m-1" }).text();
    expect(text).toMatch(/^data: \{"type":"start","messageId":"m-1"\}\n\n/);
  });
  it.each(["v5", "v6"] as const)(
    "is read by the AI SDK %s: deltas, reasoning, tools, files, data, each step once, the text not doubled",
    async (generation) => {
      const stream = await streamOf(async function* () {
        yield { type: "reasoning-delta", text: "hm" };
        yield delta("let me ");
        yield delta("look");
        yield {
          type: "message",
          message: {
            role: "assistant",
            parts: [
              { type: "reasoning", text: "hm" },
              { type: "text", text: "let me look" },
              { type: "tool-call", toolCallId: "c1", toolName: "search", input: { q: 1 } },
              { type: "tool-call", toolCallId: "c2", toolName: "search", input: { q: 2 } },
            ],
          },
        };
        yield {
          type: "message",
          message: {
            role: "tool",
            parts: [
              { type: "tool-result", toolCallId: "c1", toolName: "search", output: { type: "json", value: { hits: 3 } } },
              { type: "tool-result", toolCallId: "c2", toolName: "search", output: { type: "error-text", value: "offline" } },
            ],
          },
        };
        yield { type: "data-progress", data: { done: 1 } };
        yield delta("fo");
        return {
          role: "assistant",
          parts: [
            { type: "text", text: "found" },
            { type: "file", mediaType: "image/png", url: "https://example.com/a.png" },
            { type: "data-chart", data: [1, 2] },
          ],
        };
      });
      const message = await shownBy(() => stream.toResponse(), { generation });
      expect(message.role).toBe("assistant");
      expect(message.parts).toMatchObject([
        { type: "step-start" },
        { type: "reasoning", text: "hm", state: "done" },
        { type: "text", text: "let me look", state: "done" },
        { type: "tool-search", toolCallId: "c1", input: { q: 1 }, state: "output-available", output: { hits: 3 } },
        { type: "tool-search", toolCallId: "c2", state: "output-error", errorText: "offline" },
        { type: "step-start" },
        { type: "data-progress", data: { done: 1 } },
        { type: "text", text: "found", state: "done" },
        { type: "file", mediaType: "image/png", url: "https://example.com/a.png" },
        { type: "data-chart", data: [1, 2] },
      ]);
      expect(message.metadata).toMatchObject({ messageId: (await stream.reply).message.id });
    },
  );
  it.each<[string, readonly AgentEvent[], string, readonly string[]]>([
    ["without deltas: the whole text", [], "answer", ["answer"]],
    ["with all deltas: nothing more", [delta("ans"), delta("wer")], "answer", ["answer"]],
    ["with one blank too many: nothing more", [delta("HELLO "), delta("WORLD ")], "HELLO WORLD", ["HELLO WORLD "]],
    ["with other deltas: both, apart", [delta("thinking…")], "42", ["thinking…", "42"]],
    ["of nothing but blanks", [], "", []],
  ])("shows an answer %s", async (_name, deltas, answer, texts) => {
    const stream = await streamOf(async function* () {
      yield* deltas;
      return answer;
    });
    const message = await shownBy(() => stream.toResponse());
    expect(message.parts.flatMap((part) => (part.type === "text" ? [part.text] : []))).toEqual(texts);
  });
  it("has no holes in its text although its reader was slow and missed deltas", async () => {
    const words = Array.from({ length: MAX_KEPT_EVENTS + 100 }, (_, n) => `${n} `);
    const stream = await streamOf(async function* () {
      for (const word of words) yield delta(word);
      yield { type: "message", message: words.join("") };
      yield delta("next");
      return "next";
    });
    await stream.reply;
    const texts = (await shownBy(() => stream.toResponse())).parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
    expect(texts).toEqual([words.join(""), "next"]);
  });
  it("shows a result whose call was made in an earlier attempt, and what was denied or interrupted", async () => {
    const result = (toolCallId: string, output: object): object => ({ type: "tool-result", toolCallId, toolName: "t", output });
    const stream = await streamOf(async function* () {
      const parts = [
        result("a", { type: "text", value: "v" }),
        result("b", { type: "execution-denied", reason: "no" }),
        result("c", { type: "interrupted" }),
        result("d", { type: "content", value: [{ type: "text", text: "x" }] }),
        result("e", { type: "error-json", value: { code: 7 } }),
      ];
      yield { type: "message", message: { role: "tool", parts } as never };
      return "ok";
    });
    const message = await shownBy(() => stream.toResponse());
    const tools = message.parts.filter((part) => part.type === "tool-t");
    expect(tools).toMatchObject([
      { state: "output-available", output: "v" },
      { state: "output-error", errorText: "it was not allowed to run: no" },
      { state: "output-error", errorText: "it was interrupted" },
      { state: "output-available", output: [{ type: "text", text: "x" }] },
      { state: "output-error", errorText: '{"code":7}' },
    ]);
  });
  it("ends a failed call with an error part that tells the code, never what was thrown", async () => {
    const stream = await streamOf(async function* () {
      yield delta("so f");
      throw new Error("password is hunter2");
    });
    const text = await stream.toResponse().text();
    expect(text).not.toContain("hunter2");
    const chunks = await chunksOf(stream.toResponse());
    expect(chunks.map(({ type }) => type)).toEqual(["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "error"]);
    expect(chunks.at(-1)).toEqual({ type: "error", errorText: "AGENT_FAILED: the agent failed" });
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
  });
  it("tells refusals the same way: a response is always given", async () => {
    const chunks = await chunksOf(createRuntime().stream("agent", "q").toResponse());
    expect(chunks.at(-1)).toEqual({ type: "error", errorText: "NOT_STARTED: the agent does not take calls now" });
  });
  it("lets no code of foreign make through that is none", async () => {
    const stream = await streamOf(() => {
      throw new AixgoError("token=hunter2\n\ndata: x", "no");
    });
    expect(await stream.toResponse().text()).not.toContain("hunter2");
  });
  it("carries each event's cursor on its last frame", async () => {
    const stream = await streamOf(async function* () {
      yield delta("a");
      yield delta("b");
      return "abc";
    });
    const frames = framesOf(await stream.toResponse().text());
    expect(
      frames.filter(({ id }) => id !== undefined).map(({ id, data }) => [id, (JSON.parse(data as string) as { type: string }).type]),
    ).toEqual([
      ["1", "text-delta"],
      ["2", "text-delta"],
      ["3", "text-end"],
    ]);
  });
});

describe("toResponse in the format of server-sent events", () => {
  it("is the events with their cursors, then done with what the call cost", async () => {
    const stream = await streamOf(async function* () {
      yield delta("a\n\nb");
      yield { type: "data-x", data: { n: 1 } };
      return { message: "ab", usage: { outputTokens: 2 } };
    });
    const response = stream.toResponse({ format: "sse" });
    expect(response.headers.get("x-vercel-ai-ui-message-stream")).toBeNull();
    const reply = await stream.reply;
    const frames = framesOf(await response.text());
    expect(frames.map(({ id, event, data, retry }) => [id, event, data === undefined ? retry : JSON.parse(data)])).toEqual([
      [undefined, undefined, "3000"],
      ["1", "text-delta", { type: "text-delta", text: "a\n\nb" }],
      ["2", "data-x", { type: "data-x", data: { n: 1 } }],
      ["3", "message", { type: "message", message: reply.message }],
      [undefined, "done", { messageId: reply.message.id, usage: { outputTokens: 2 } }],
    ]);
  });
  it("ends with an error event that tells the code, and whether to try again", async () => {
    const stream = await streamOf(() => {
      throw new AixgoError("OVERLOADED", "the model at 10.0.0.7 is busy");
    });
    const frames = framesOf(await stream.toResponse({ format: "sse" }).text());
    expect(frames.at(-1)).toEqual({
      event: "error",
      data: JSON.stringify({ code: "OVERLOADED", message: "too many calls are waiting, try again later", retryable: true }),
    });
  });
  it("an agent cannot make up frames by the name of its data", async () => {
    const type = "data-x\n\nevent: done\ndata: {}" as const;
    const stream = await streamOf(async function* () {
      yield { type, data: 1 };
      return "x";
    });
    const frames = framesOf(await stream.toResponse({ format: "sse" }).text());
    expect(frames.map(({ event }) => event)).toEqual([undefined, undefined, "message", "done"]);
    expect(JSON.parse(frames[1]?.data as string)).toEqual({ type, data: 1 });
  });
  it("sends comments while nothing happens, and leaves no timer behind", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    // Those of the tests before.
    for (const since = performance.now(); timers() > 0 && performance.now() - since < 20_000;) await settle();
    const go = gate<string>();
    const stream = await streamOf(() => go.promise);
    const reader = (stream.toResponse({ format: "sse", heartbeatMs: 5 }).body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    const read = async (): Promise<string> => decoder.decode((await reader.read()).value);
    expect(await read()).toBe("retry: 3000\n\n");
    expect([await read(), await read()]).toEqual([": heartbeat\n\n", ": heartbeat\n\n"]);
    go.open("x");
    let text = "";
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += decoder.decode(chunk.value);
    expect(text).toContain("event: done");
    const quiet = (await streamOf(() => "x")).toResponse({ format: "sse", heartbeatMs: 600_000 });
    await quiet.text();
    expect(timers()).toBe(0);
  });
});

describe("streamResponse", () => {
  it("makes a response of any events with cursors: one that goes on after a cursor has no gap at its begin", async () => {
    const reply = { message: assistantMessage("to the end"), text: "to the end" };
    const source = {
      reply: Promise.resolve(reply),
      async *[Symbol.asyncIterator]() {
        yield { type: "text-delta" as const, text: "to the ", cursor: "8" };
        yield { type: "message" as const, message: reply.message, cursor: "9" };
      },
    };
    const frames = framesOf(await streamResponse(source, { format: "sse" }).text());
    expect(frames.map(({ id, event }) => [id, event])).toEqual([
      [undefined, undefined],
      ["8", "text-delta"],
      ["9", "message"],
      [undefined, "done"],
    ]);
    const chunks = await chunksOf(streamResponse(source));
    expect(chunks.flatMap((chunk) => (chunk.type === "text-delta" ? [chunk.delta] : []))).toEqual(["to the ", "end"]);
  });
  it("tells a source that breaks off as an error, and ends", async () => {
    const broken = {
      reply: new Promise<never>(() => {}),
      async *[Symbol.asyncIterator]() {
        yield { type: "data-x" as const, data: 1, cursor: "1\nevent: done" };
        throw new AixgoError("BACKEND_UNAVAILABLE", "redis at 10.0.0.7 is down");
      },
    };
    const text = await streamResponse(broken, { format: "sse" }).text();
    expect(text).not.toContain("10.0.0.7");
    expect(framesOf(text).slice(1)).toEqual([
      { event: "data-x", data: '{"type":"data-x","data":1}' },
      { event: "error", data: expect.stringContaining('"BACKEND_UNAVAILABLE"') },
    ]);
  });
});

it.each<[string, unknown]>([
  ["format", { format: "xml" }],
  ["format", { format: "toString" }],
  ["heartbeatMs", { heartbeatMs: 0 }],
  ["messageId", { messageId: "" }],
  ["messageId", { messageId: "m", format: "sse" }],
  ["approvals", { approvals: "yes" }],
  ["approvals", { approvals: true, format: "sse" }],
  ["headers", { headers: { "a b": "x" } }],
  ["headers", { headers: null }],
  ["retry", { retry: 5 }],
  ["options", 5],
])("toResponse refuses a bad %s with INVALID_OPTION", async (name, options) => {
  const stream = await streamOf(() => "x");
  expect(() => stream.toResponse(options as never)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
  );
});
