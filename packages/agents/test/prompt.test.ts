import type { Message, Part, ToolOutput } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildPrompt, type Spoken } from "../src/prompt.ts";
import { message } from "./harness.ts";

const input = message("user", "now");
const call = (toolCallId: string, toolName = "t"): Part => ({ type: "tool-call", toolCallId, toolName, input: {} });
const result = (toolCallId: string, output: ToolOutput = { type: "text", value: toolCallId }): Part => ({
  type: "tool-result",
  toolCallId,
  toolName: "t",
  output,
});
const of = (history: readonly Spoken[], version: "v3" | "v4" = "v3", steps: readonly Spoken[] = []) =>
  buildPrompt({ version, history, input, steps });

describe("a prompt", () => {
  it("puts instructions and system messages first, whenever they were said", () => {
    const history = [message("user", "a"), message("system", "rule"), message("assistant", "b")];
    expect(
      buildPrompt({ version: "v3", instructions: "Be.", history, input, steps: [] }).map(({ role, content }) => [role, typeof content]),
    ).toEqual([
      ["system", "string"],
      ["system", "string"],
      ["user", "object"],
      ["assistant", "object"],
      ["user", "object"],
    ]);
  });

  it("merges the results of a step into one message right after it, before what a user said meanwhile", () => {
    const prompt = of([
      message("assistant", [call("a"), call("b")]),
      message("tool", [result("b")]),
      message("user", "hurry"),
      message("tool", [result("a")]),
    ]);
    expect(prompt.map(({ role }) => role)).toEqual(["assistant", "tool", "user", "user"]);
    expect(prompt[1]).toMatchObject({ content: [{ toolCallId: "a" }, { toolCallId: "b" }] });
  });

  it("leaves out results without a call, and second results; a real one replaces an interrupted one", () => {
    const interrupted: ToolOutput = { type: "interrupted" };
    const prompt = of([
      message("tool", [result("x")]),
      message("assistant", [call("a")]),
      message("tool", [result("a", interrupted)]),
      message("tool", [result("a")]),
      message("tool", [result("a", { type: "text", value: "late" }), result("z")]),
    ]);
    expect(prompt).toMatchObject([
      { role: "assistant" },
      { role: "tool", content: [{ toolCallId: "a", output: { type: "text", value: "a" } }] },
      { role: "user" },
    ]);
  });

  it("does not give a call the result of a later one that has the same id", () => {
    const prompt = of([message("assistant", [call("a")]), message("assistant", [call("a")]), message("tool", [result("a")])]);
    expect(prompt).toMatchObject([
      { role: "assistant" },
      { role: "tool", content: [{ toolCallId: "a", output: { type: "error-text" } }] },
      { role: "assistant" },
      { role: "tool", content: [{ toolCallId: "a_2", output: { type: "text" } }] },
      { role: "user" },
    ]);
  });

  it.each<[string, ToolOutput, unknown]>([
    [
      "interrupted",
      { type: "interrupted", reason: "power cut" },
      { type: "error-text", value: expect.stringMatching(/outcome unknown.*power cut/) },
    ],
    ["execution-denied", { type: "execution-denied", reason: "no" }, { type: "execution-denied", reason: "no" }],
    ["error-json", { type: "error-json", value: { a: 1 } }, { type: "error-json", value: { a: 1 } }],
    [
      "content",
      {
        type: "content",
        value: [
          { type: "text", text: "t" },
          { type: "text", text: "" },
          { type: "data-x", data: 1 },
        ],
      },
      { type: "content", value: [{ type: "text", text: "t" }] },
    ],
    ["empty content", { type: "content", value: [{ type: "data-x", data: 1 }] }, { type: "text", value: "" }],
    ["an output of a newer version", { type: "hologram", value: 1 } as never, { type: "json", value: { type: "hologram", value: 1 } }],
  ])("tells a result of type %s in a way that providers know", (_, output, told) => {
    expect(of([message("assistant", [call("a")]), message("tool", [result("a", output)])])[1]).toMatchObject({
      content: [{ output: told }],
    });
  });

  it("sends files by address or as base64, in the words of each version", () => {
    const files: Part[] = [
      { type: "file", mediaType: "image/png", url: "https://example.com/a.png" },
      { type: "file", mediaType: "text/plain", url: "data:text/plain,h%C3%A9", filename: "h.txt" },
      { type: "file", mediaType: "image/png", url: "data:image/png;charset=x;base64,QUJD" },
    ];
    expect(of([message("user", files)], "v3")[0]?.content).toEqual([
      { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png") },
      { type: "file", mediaType: "text/plain", data: "aMOp", filename: "h.txt" },
      { type: "file", mediaType: "image/png", data: "QUJD" },
    ]);
    expect(of([message("user", files)], "v4")[0]?.content).toEqual([
      { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("https://example.com/a.png") } },
      { type: "file", mediaType: "text/plain", data: { type: "data", data: "aMOp" }, filename: "h.txt" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "QUJD" } },
    ]);
    const content = (version: "v3" | "v4") =>
      of([message("assistant", [call("a")]), message("tool", [result("a", { type: "content", value: files })])], version)[1];
    expect(content("v3")).toMatchObject({
      content: [
        {
          output: {
            value: [
              { type: "image-url", url: "https://example.com/a.png" },
              { type: "file-data", data: "aMOp", mediaType: "text/plain" },
              { type: "image-data", data: "QUJD" },
            ],
          },
        },
      ],
    });
    expect(content("v4")).toMatchObject({
      content: [
        { output: { value: [{ type: "file", data: { type: "url" } }, { type: "file", data: { type: "data" } }, { type: "file" }] } },
      ],
    });
  });

  it.each([
    "attachment:sha256-x",
    "http://example.com/a.png",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:nothing",
    "data:text/plain,%zz",
    "https://",
    "x",
  ])("tells in its place that a file at %s was left out, instead of failing for good", (url) => {
    const [told] = of([message("user", [{ type: "file", mediaType: "image/png", url }])]);
    expect(told).toMatchObject({ role: "user", content: [{ type: "text", text: expect.stringContaining("left out") }] });
  });

  it("of any path gives each call exactly one result right after its step, unique ids, nothing empty, and every text once in order", () => {
    const ids = fc.constantFrom("a", "b", "c", "");
    const output = fc.constantFrom<ToolOutput>(
      { type: "text", value: "v" },
      { type: "interrupted" },
      { type: "execution-denied" },
      { type: "json", value: null },
    );
    let serial = 0;
    const part = fc.oneof(
      fc
        .record({ type: fc.constantFrom("text" as const, "reasoning" as const), text: fc.constantFrom("", "t") })
        .map((made) => (made.text === "" ? made : { ...made, text: `<${(serial += 1)}>` })),
      fc.record({ type: fc.constant("tool-call" as const), toolCallId: ids, toolName: fc.string(), input: fc.jsonValue() }),
      fc.record({ type: fc.constant("tool-result" as const), toolCallId: ids, toolName: fc.string(), output }),
      fc.record({ type: fc.constant("data-x" as const), data: fc.constant(1) }),
    );
    const path = fc.array(
      fc.record({
        role: fc.constantFrom<Message["role"]>("user", "assistant", "tool", "system"),
        parts: fc.array(part as fc.Arbitrary<Part>, { maxLength: 4 }),
      }),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(path, fc.constantFrom("v3" as const, "v4" as const), (messages, version) => {
        const prompt = of(messages, version);
        const seen = new Set<string>();
        prompt.forEach(({ role, content }, index) => {
          expect(content.length).toBeGreaterThan(0);
          const next = prompt[index + 1];
          if (role === "tool") expect(prompt[index - 1]?.role).toBe("assistant");
          if (role !== "assistant") return;
          const calls = content.filter((each) => each.type === "tool-call");
          for (const { toolCallId, toolName, input: given } of calls) {
            expect(seen.has(toolCallId)).toBe(false);
            seen.add(toolCallId);
            expect(toolName).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
            expect(Object.prototype.toString.call(given)).toBe("[object Object]");
          }
          const own = calls.filter((each) => each.providerExecuted === undefined).map(({ toolCallId }) => toolCallId);
          if (own.length === 0) expect(next?.role).not.toBe("tool");
          else expect(next?.role === "tool" && next.content.map(({ toolCallId }) => toolCallId)).toEqual(own);
          const provider = content.flatMap((each, at) =>
            each.type === "tool-call" && each.providerExecuted === true ? [content[at + 1]] : [],
          );
          for (const each of provider) expect(each?.type).toBe("tool-result");
        });
        const texts = (spoken: readonly { role: string; parts: readonly Part[] }[]) =>
          spoken.flatMap(({ role, parts }) =>
            parts.flatMap((each) => (each.type === "text" && each.text !== "" && role !== "tool" && role !== "system" ? [each.text] : [])),
          );
        const sent = prompt.flatMap(({ role, content }) =>
          (role === "system" ? [] : [...content]).flatMap((each) => (each.type === "text" ? [each.text] : [])),
        );
        expect(sent).toEqual([...texts(messages), "now"]);
      }),
      { numRuns: 1_000 },
    );
  });
});
