import { createRuntime, type Json, type Part, type ToolOutput, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { createConversation } from "./harness.ts";

async function outputOf(
  execute: () => Json | Promise<Json>,
  options: { toOutput?: (result: Json) => ToolOutput; maxToolResultBytes?: number; version?: "v3" | "v4" } = {},
): Promise<{ stored: ToolOutput; told: { type: string; value: unknown } }> {
  const { toOutput, maxToolResultBytes, version = "v3" } = options;
  const model = createScriptedModel([{ toolCalls: [{ toolName: "t" }] }, "done"], { specificationVersion: version });
  const t = tool({ inputSchema: z.object({}), execute, ...(toOutput === undefined ? {} : { toOutput }) });
  const limits = maxToolResultBytes === undefined ? {} : { maxToolResultBytes };
  const conversation = createConversation();
  await conversation.attempt(createReActAgent({ name: "a", model, tools: { t }, ...limits }));
  const part = conversation.stored[1]?.parts[0] as Part & { type: "tool-result" };
  return { stored: part.output, told: model.calls[1]?.prompt.at(-1)?.content[0].output };
}

const image = (bytes: number): Part => ({ type: "file", mediaType: "image/png", url: `data:image/png;base64,${"A".repeat(bytes)}` });

describe("toOutput", () => {
  it("tells the model images and text, in the shape of its version", async () => {
    const toOutput = (): ToolOutput => ({ type: "content", value: [{ type: "text", text: "a chart" }, image(8)] });
    const v3 = await outputOf(() => null, { toOutput });
    expect(v3.told).toEqual({
      type: "content",
      value: [
        { type: "text", text: "a chart" },
        { type: "image-data", data: "AAAAAAAA", mediaType: "image/png" },
      ],
    });
    const v4 = await outputOf(() => null, { toOutput, version: "v4" });
    expect(v4.told.value).toEqual([
      { type: "text", text: "a chart" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "AAAAAAAA" } },
    ]);
  });

  it("is given what execute returned, and may call it an error", async () => {
    const done = await outputOf(() => ({ ok: false }), { toOutput: (result) => ({ type: "error-json", value: result }) });
    expect(done.stored).toEqual({ type: "error-json", value: { ok: false } });
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("oops");
      },
      "oops",
    ],
    ["returns nothing", () => undefined, "output"],
    ["returns an unknown type", () => ({ type: "video" }), "output.type"],
    ["returns what is no JSON", () => ({ type: "json", value: 5n }), "bigint"],
  ])("that %s says so to the model: the tool is not called a failure", async (_what, toOutput, words) => {
    const { stored } = await outputOf(() => null, { toOutput: toOutput as never });
    expect(stored).toEqual({ type: "error-text", value: expect.stringContaining("ran to its end, but its toOutput failed") });
    expect((stored as { value: string }).value).toContain(words);
  });
});

describe("a result above maxToolResultBytes", () => {
  const MIB = 1024 * 1024;

  it("of 50 MiB of text is cut at the default of 1 MiB, says so, and is stored in a session", async () => {
    const model = createScriptedModel([{ toolCalls: [{ toolName: "dump" }] }, "done"]);
    const dump = tool({ inputSchema: z.object({}), effect: "once", execute: () => "é".repeat(25 * MIB) });
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withSessionManager(sessions)).register(createReActAgent({ name: "a", model, tools: { dump } }));
    await runtime.start();
    const session = await sessions.create("a");
    await runtime.callWithSession("a", "go", session.id);
    const result = (await session.messages()).flatMap(({ parts }) => parts).find(({ type }) => type === "tool-result");
    const { value } = (result as Part & { type: "tool-result" }).output as { value: string };
    expect(Buffer.byteLength(value)).toBeLessThan(MIB + 100);
    expect(value.endsWith(`\n[cut here: the result has ${50 * MIB} bytes, the limit is ${MIB}]`)).toBe(true);
    expect(value.startsWith("éé")).toBe(true);
  });

  it("of 50 MiB of JSON is cut as text", async () => {
    const rows = Array.from({ length: 50 }, (_, row) => ({ row, text: "x".repeat(MIB) }));
    const { stored } = await outputOf(() => rows, { maxToolResultBytes: 1000 });
    expect(stored.type).toBe("text");
    expect((stored as { value: string }).value).toMatch(
      /^\[\{"row":0,"text":"x+\n\[cut here: the result has 52\d{6} bytes, the limit is 1000\]$/,
    );
  });

  it("of content loses the parts that do not fit, and names them", async () => {
    const value = [{ type: "text", text: "first" }, image(50 * MIB), image(20), { type: "text", text: "y".repeat(5000) }] as const;
    const { stored } = await outputOf(() => null, { toOutput: () => ({ type: "content", value }), maxToolResultBytes: 300 });
    const told = (stored as unknown as { value: Part[] }).value;
    expect(told.map(({ type }) => type)).toEqual(["text", "text", "file", "text"]);
    expect(told[1]).toMatchObject({
      text: expect.stringMatching(/^\[a file of type image\/png was left out: it has 524\d+ bytes, .* 300\]$/),
    });
    expect(told[3]).toMatchObject({ text: expect.stringMatching(/^y+\n\[cut here: the result has 5000 bytes/) });
    expect(JSON.stringify(stored).length).toBeLessThan(800);
  });

  it.each(["text", "error-text"] as const)("of %s by toOutput is cut", async (type) => {
    const { stored } = await outputOf(() => null, { toOutput: () => ({ type, value: "z".repeat(50) }), maxToolResultBytes: 10 });
    expect(stored).toEqual({ type, value: `${"z".repeat(10)}\n[cut here: the result has 50 bytes, the limit is 10]` });
  });

  it.each([
    ["json", "text"],
    ["error-json", "error-text"],
  ] as const)("of %s by toOutput becomes %s", async (type, becomes) => {
    const { stored } = await outputOf(() => null, { toOutput: () => ({ type, value: ["z".repeat(50)] }), maxToolResultBytes: 10 });
    expect(stored).toMatchObject({ type: becomes, value: expect.stringContaining("[cut here") });
  });
});
