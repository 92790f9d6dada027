import type { Message, Part } from "@aixgo/core";
import { generateText, modelMessageSchema, type ModelMessage } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromModelMessages, toModelMessages, toUIMessages } from "../src/index.ts";
import { conversation, merged } from "./conversations.ts";
import { message } from "./harness.ts";

const LONG = process.env["AIXGO_LONG"] !== undefined;
const valid = (messages: readonly Pick<Message, "role" | "parts">[]): ModelMessage[] => {
  const model: ModelMessage[] = toModelMessages(messages);
  for (const each of model) expect(modelMessageSchema.safeParse(each)).toMatchObject({ success: true });
  return model;
};
const call = (toolCallId: string): Part => ({ type: "tool-call", toolCallId, toolName: "weather", input: { city: "Oslo" } });
const bare = (messages: readonly Pick<Message, "role" | "parts">[]) => messages.map(({ role, parts }) => ({ role, parts }));

describe("toModelMessages", () => {
  it("is what generateText takes", async () => {
    const image = "iVBORw0KGgo=";
    const messages = valid([
      message("system", "Be brief."),
      message("user", [
        { type: "text", text: "What is this?" },
        { type: "file", mediaType: "image/png", url: `data:image/png;base64,${image}` },
      ]),
      message("assistant", [{ type: "reasoning", text: "hm", providerOptions: { p: { signature: "s" } } }, call("c1")]),
      message("tool", [
        {
          type: "tool-result",
          toolCallId: "c1",
          toolName: "weather",
          output: { type: "content", value: [{ type: "text", text: "sunny" }] },
        },
      ]),
      message("assistant", "Sunny."),
      message("user", "Thanks"),
    ]);
    const usage = { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } };
    const model = new MockLanguageModelV3({
      doGenerate: {
        content: [{ type: "text", text: "You are welcome." }],
        finishReason: { unified: "stop", raw: "stop" },
        usage,
        warnings: [],
      },
    });
    expect((await generateText({ model, messages, allowSystemInMessages: true })).text).toBe("You are welcome.");
    expect(model.doGenerateCalls[0]?.prompt.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool", "assistant", "user"]);
    expect(model.doGenerateCalls[0]?.prompt[2]?.content).toMatchObject([
      { type: "reasoning", providerOptions: { p: { signature: "s" } } },
      { type: "tool-call" },
    ]);
  });

  it("closes open calls, leaves out what no model is shown, and keeps the system's provider data", () => {
    const stray: Part = { type: "tool-result", toolCallId: "lost", toolName: "x", output: { type: "text", value: "" } };
    expect(
      valid([
        {
          role: "system",
          parts: [{ type: "text", text: "Rules.", providerOptions: { anthropic: { cacheControl: { type: "ephemeral" } }, odd: 5 } }],
        },
        message("user", "Go"),
        message("tool", [stray]),
        message("assistant", [{ type: "data-x", data: 1 }, call("c")]),
        message("assistant", [{ type: "data-x", data: 1 }]),
      ]),
    ).toEqual([
      { role: "system", content: "Rules.", providerOptions: { anthropic: { cacheControl: { type: "ephemeral" } } } },
      { role: "user", content: [{ type: "text", text: "Go" }] },
      { role: "assistant", content: [call("c")] },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "c",
            toolName: "weather",
            output: { type: "error-text", value: expect.stringContaining("Interrupted") },
          },
        ],
      },
    ]);
  });

  it(
    "is always valid, and round-trips what models are shown",
    () => {
      fc.assert(
        fc.property(conversation(), (messages) => {
          const model = valid(messages);
          const back = fromModelMessages(model);
          expect(toModelMessages(back)).toEqual(model);
          if (merged(messages).every(isPlain)) expect(bare(back)).toEqual(bare(merged(messages)));
        }),
        { numRuns: LONG ? 2_000 : 100 },
      );
    },
    LONG ? 600_000 : 60_000,
  );

  it("round-trips plain conversations exactly", () => {
    const plain = conversation().map((messages) => merged(messages).filter(isPlain));
    let seen = 0;
    fc.assert(
      fc.property(plain, (messages) => {
        const whole = messages.filter(({ role }) => role !== "tool");
        const closed = whole.filter(({ parts }) => parts.every(({ type }) => type !== "tool-call"));
        seen += closed.length;
        expect(bare(fromModelMessages(toModelMessages(closed)))).toEqual(bare(closed));
      }),
    );
    expect(seen).toBeGreaterThan(50);
  });
});

/** Whether nothing of a message is told differently to a model: no empty text, no data, no input that is no object. */
function isPlain({ parts }: Message): boolean {
  return parts.every((part) => {
    if (part.type === "text" || part.type === "reasoning") return part.text !== "";
    if (part.type === "file") return true;
    return false;
  });
}

describe("fromModelMessages", () => {
  it("takes texts, bytes, images and what a message carries", () => {
    const bytes = Uint8Array.from([65, 66, 67]);
    const given: ModelMessage[] = [
      { role: "system", content: "Rules.", providerOptions: { p: { cache: true } } },
      { role: "user", content: "Hi" },
      {
        role: "user",
        content: [
          { type: "image", image: bytes },
          { type: "image", image: new URL("https://x.test/a.png"), mediaType: "image/png" },
          { type: "file", data: bytes.buffer, mediaType: "text/plain", filename: "a.txt" },
          { type: "file", data: "QUJD", mediaType: "text/plain" },
          { type: "file", data: "data:text/plain;base64,QUJD", mediaType: "text/plain" },
        ],
      },
    ];
    expect(fromModelMessages(given)).toEqual([
      { role: "system", parts: [{ type: "text", text: "Rules.", providerOptions: { p: { cache: true } } }] },
      { role: "user", parts: [{ type: "text", text: "Hi" }] },
      {
        role: "user",
        parts: [
          { type: "file", mediaType: "image/*", url: "data:image/*;base64,QUJD" },
          { type: "file", mediaType: "image/png", url: "https://x.test/a.png" },
          { type: "file", mediaType: "text/plain", url: "data:text/plain;base64,QUJD", filename: "a.txt" },
          { type: "file", mediaType: "text/plain", url: "data:text/plain;base64,QUJD" },
          { type: "file", mediaType: "text/plain", url: "data:text/plain;base64,QUJD" },
        ],
      },
    ]);
  });

  it("keeps an approval with its call", () => {
    const request = { type: "tool-approval-request", approvalId: "r1", toolCallId: "c" } as const;
    const tool = { role: "tool", content: [{ type: "tool-approval-response", approvalId: "r1", approved: true }] } as const;
    const given: ModelMessage[] = [
      { role: "assistant", content: [{ type: "tool-call", toolCallId: "c", toolName: "t", input: {} }, request] },
    ];
    const part = (approval: object) => ({
      type: "tool-call",
      toolCallId: "c",
      toolName: "t",
      input: {},
      providerOptions: { aixgo: { approval } },
    });
    expect(fromModelMessages(given)).toEqual([{ role: "assistant", parts: [part({ id: "r1" })] }]);
    expect(fromModelMessages([...given, tool])).toEqual([{ role: "assistant", parts: [part({ id: "r1", approved: true })] }]);
    expect(() => fromModelMessages([tool])).toThrowError(/content\[0\]\.approvalId is of no approval/);
  });

  it("takes every output of a tool", () => {
    const value = [
      { type: "text", text: "t" },
      { type: "media", data: "QUJD", mediaType: "image/png" },
      { type: "file-data", data: "QUJD", mediaType: "text/plain", filename: "a" },
      { type: "image-url", url: "https://x.test/a.png" },
      { type: "file-url", url: "https://x.test/a" },
    ];
    const outputs = [
      { type: "json", value: { a: 1 } },
      { type: "error-json", value: 1 },
      { type: "execution-denied", reason: "no" },
      { type: "content", value },
    ];
    const content = outputs.map((output, index) => ({ type: "tool-result", toolCallId: `${index}`, toolName: "t", output }));
    const [draft] = fromModelMessages([{ role: "tool", content }]);
    expect(draft?.parts.map((part) => (part as { output: unknown }).output)).toEqual([
      ...outputs.slice(0, 3),
      {
        type: "content",
        value: [
          { type: "text", text: "t" },
          { type: "file", mediaType: "image/png", url: "data:image/png;base64,QUJD" },
          { type: "file", mediaType: "text/plain", url: "data:text/plain;base64,QUJD", filename: "a" },
          { type: "file", mediaType: "image/*", url: "https://x.test/a.png" },
          { type: "file", mediaType: "application/octet-stream", url: "https://x.test/a" },
        ],
      },
    ]);
  });

  const result = (output: object) => [{ role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "t", output }] }];
  it.each([
    [[{ role: "developer", content: "x" }], "messages[0].role"],
    [[{ role: "user", content: 5 }], "messages[0].content is not a list"],
    [[{ role: "user", content: [{ type: "hologram" }] }], 'messages[0].content[0] is of type "hologram"'],
    [[{ role: "user", content: [{ type: "tool-call", toolCallId: "c", toolName: "t", input: {} }] }], "a message of user cannot keep"],
    [
      [{ role: "user", content: [{ type: "file", mediaType: "a/b", data: "http://x.test/" }] }],
      "content[0].data must be a data:, https: or attachment: address, not http:",
    ],
    [[{ role: "user", content: [{ type: "file", data: "QUJD" }] }], "content[0].mediaType"],
    [[{ role: "assistant", content: [{ type: "tool-call", toolCallId: "c", toolName: "", input: {} }] }], "content[0].toolName"],
    [[{ role: "assistant", content: [{ type: "tool-approval-request", approvalId: "r", toolCallId: "c" }] }], "of no call before it"],
    [result({ type: "video" }), 'output.type is "video"'],
    [result({ type: "content", value: [{ type: "file-id", fileId: "f" }] }), 'output.value[0] is of type "file-id"'],
    [result({ type: "json", value: 5n }), "output.value is not JSON"],
  ])("refuses and names the place: %#", (messages, words) => {
    expect(() => fromModelMessages(messages as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(words) }),
    );
  });
});

describe.each([
  ["toModelMessages", toModelMessages],
  ["toUIMessages", toUIMessages],
] as const)("%s of what is no conversation of ours", (of, make) => {
  it.each([
    [undefined, "messages is not a list"],
    ["hello", "messages is not a list"],
    [[null], "messages[0] is not an object"],
    [[{ role: "user", content: "a model message" }], "messages[0].parts is not a list"],
    [[message("user", "x"), { parts: [] }], "messages[1].role is not a text"],
    [[{ role: "user", parts: ["x"] }], "messages[0].parts[0] is not an object"],
    [[{ role: "user", parts: [{ text: "x" }] }], "messages[0].parts[0].type is not a text"],
  ])("names the place: %#", (messages, words) => {
    expect(() => make(messages as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_INPUT", message: `${of}: ${words}${words.endsWith("text") ? ", or is empty" : ""}` }),
    );
  });
});
