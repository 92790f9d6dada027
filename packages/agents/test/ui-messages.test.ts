import { type Message, type Part, textOf, type ToolOutput, withSessionManager, createRuntime } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { convertToModelMessages, safeValidateUIMessages, type UIMessage } from "ai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, fromUIMessages, tool, toUIMessages, type UIMessageInput } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { conversation, merged } from "./conversations.ts";
import { message } from "./harness.ts";

const LONG = process.env["AIXGO_LONG"] !== undefined;
const call = (toolCallId: string, more: object = {}): Part => ({
  type: "tool-call",
  toolCallId,
  toolName: "weather",
  input: { city: "Oslo" },
  ...more,
});
const result = (toolCallId: string, output: ToolOutput, more: object = {}): Part => ({
  type: "tool-result",
  toolCallId,
  toolName: "weather",
  output,
  ...more,
});
const bare = (messages: readonly Pick<Message, "role" | "parts">[]) => messages.map(({ role, parts }) => ({ role, parts }));

async function valid(messages: readonly Message[]): Promise<UIMessage[]> {
  const chat: UIMessage[] = toUIMessages(messages);
  const validated = await safeValidateUIMessages({ messages: chat });
  if (!validated.success) throw validated.error;
  expect(JSON.parse(JSON.stringify(chat))).toEqual(chat);
  return chat;
}

/** One tool part in a message of the assistant. */
const toolPart = (part: object): UIMessageInput => ({
  id: "m",
  role: "assistant",
  parts: [{ type: "tool-weather", toolCallId: "c", input: { city: "Oslo" }, ...part }],
});

describe("toUIMessages", () => {
  it("makes one message of an assistant's steps, with the results in their calls", async () => {
    const chat = await valid([
      message("system", "Be brief."),
      { ...message("user", "Weather?"), id: "u1" },
      {
        ...message("assistant", [{ type: "reasoning", text: "hm", providerOptions: { p: { signature: "s" } } }, call("c1"), call("c2")]),
        id: "a1",
      },
      message("tool", [result("c2", { type: "json", value: { sky: "clear" } })]),
      message("tool", [result("c1", { type: "error-text", value: "no such city" })]),
      { ...message("assistant", "Clear."), id: "a2", metadata: { rating: 5 } },
      message("user", [{ type: "file", mediaType: "image/png", url: "data:image/png;base64,QUJD", filename: "a.png" }]),
    ]);
    expect(chat.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user"]);
    expect(chat[2]).toEqual({
      id: "a2",
      role: "assistant",
      metadata: { rating: 5 },
      parts: [
        { type: "reasoning", text: "hm", state: "done", providerMetadata: { p: { signature: "s" } } },
        { type: "tool-weather", toolCallId: "c1", state: "output-error", input: { city: "Oslo" }, errorText: "no such city" },
        { type: "tool-weather", toolCallId: "c2", state: "output-available", input: { city: "Oslo" }, output: { sky: "clear" } },
        { type: "step-start" },
        { type: "text", text: "Clear.", state: "done" },
      ],
    });
    expect(chat[3]?.parts).toEqual([{ type: "file", mediaType: "image/png", url: "data:image/png;base64,QUJD", filename: "a.png" }]);
  });

  it("is understood by the AI SDK: its own conversion gives the prompt that the model saw", async () => {
    const chat = await valid([
      message("user", "Weather?"),
      message("assistant", [{ type: "text", text: "Looking." }, call("c1"), call("c2")]),
      message("tool", [result("c1", { type: "text", value: "sunny" }), result("c2", { type: "execution-denied", reason: "too dear" })]),
      message("assistant", "Sunny."),
    ]);
    expect(await convertToModelMessages(chat)).toMatchObject([
      { role: "user", content: [{ type: "text", text: "Weather?" }] },
      {
        role: "assistant",
        content: [
          { type: "text" },
          { type: "tool-call", toolCallId: "c1" },
          { type: "tool-call", toolCallId: "c2" },
          { type: "tool-approval-request" },
        ],
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", toolCallId: "c1", output: { type: "text", value: "sunny" } },
          { type: "tool-approval-response", approved: false, reason: "too dear" },
          { type: "tool-result", toolCallId: "c2", output: { type: "error-text", value: "too dear" } },
        ],
      },
      { role: "assistant", content: [{ type: "text", text: "Sunny." }] },
    ]);
  });

  it("shows what a provider ran itself, sources, data and calls that are still open", async () => {
    const url = { sourceType: "url", id: "s1", url: "https://x.test", title: "X" };
    const document = { sourceType: "document", id: "s2", mediaType: "application/pdf", title: "D", filename: "d.pdf" };
    const [chat] = await valid([
      message("assistant", [
        call("c"),
        result("c", { type: "json", value: [1] }),
        { type: "data-source", data: url },
        { type: "data-source", data: document },
        { type: "data-source", data: { odd: true } },
        { type: "data-chart", data: { x: 1 }, id: "chart-1" } as Part,
        call("open"),
      ]),
    ]);
    expect(chat?.parts).toEqual([
      expect.objectContaining({ type: "tool-weather", providerExecuted: true, output: [1] }),
      { type: "source-url", sourceId: "s1", url: "https://x.test", title: "X" },
      { type: "source-document", sourceId: "s2", mediaType: "application/pdf", title: "D", filename: "d.pdf" },
      { type: "data-source", data: { odd: true } },
      { type: "data-chart", id: "chart-1", data: { x: 1 } },
      expect.objectContaining({ toolCallId: "open", state: "input-available" }),
    ]);
  });

  it("takes dynamic tools and addresses for attachments", () => {
    const messages = [message("assistant", [call("c"), { type: "file", mediaType: "image/png", url: "attachment:sha256-abc" }])];
    const [chat] = toUIMessages(messages, { dynamicTools: ["weather"], fileUrl: ({ url }) => `https://files.test/${url.slice(11)}` });
    expect(chat?.parts).toEqual([
      { type: "dynamic-tool", toolName: "weather", toolCallId: "c", state: "input-available", input: { city: "Oslo" } },
      { type: "file", mediaType: "image/png", url: "https://files.test/sha256-abc" },
    ]);
  });

  it("round-trips a session's conversation", async () => {
    const model = createScriptedModel([
      { reasoning: "hm", toolCalls: [{ toolName: "weather", input: { city: "Oslo" } }, { toolName: "nothing" }] },
      "Clear.",
      "You are welcome.",
    ]);
    const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => ({ city, sky: "clear" }) });
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withSessionManager(sessions)).register(createReActAgent({ name: "a", model, tools: { weather } }));
    await runtime.start();
    const session = await sessions.create("a");
    await runtime.callWithSession("a", "Weather?", session.id);
    const { message: last } = await runtime.callWithSession("a", "Thanks", session.id);
    const messages = await session.messages();
    const chat = await valid(messages);
    expect(chat.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    expect(chat.at(-1)?.id).toBe(last.id);
    expect(bare(fromUIMessages(chat))).toEqual(bare(merged(messages)));
    // Into another session, and back out of it.
    const copy = await sessions.create("a");
    await copy.append(fromUIMessages(chat));
    expect(toUIMessages(await copy.messages()).map(({ parts }) => parts)).toEqual(chat.map(({ parts }) => parts));
  });

  it(
    "round-trips any conversation, and is always valid",
    async () => {
      await fc.assert(
        fc.asyncProperty(conversation(), async (messages) => {
          const chat = await valid(messages);
          expect(bare(fromUIMessages(chat))).toEqual(bare(merged(messages)));
          expect(toUIMessages(fromUIMessages(chat).map((draft, index) => ({ timestamp: "", id: `x${index}`, ...draft })))).toMatchObject(
            chat.map(({ role, parts }) => ({ role, parts })),
          );
          await convertToModelMessages(chat);
        }),
        { numRuns: LONG ? 2_000 : 150 },
      );
    },
    LONG ? 600_000 : 60_000,
  );
});

describe("messages that have nothing to show", () => {
  const at = "2026-01-01T00:00:00.000Z";
  const said = (id: string, role: Message["role"], ...parts: Part[]): Message => ({ id, role, parts, timestamp: at });
  const text = (value: string): Part => ({ type: "text", text: value });

  it.each<[string, Message[], [string, string][]]>([
    [
      "an answer without parts",
      [said("u", "user", text("Hi")), said("a", "assistant"), said("v", "user", text("?"))],
      [
        ["u", "Hi"],
        ["v", "?"],
      ],
    ],
    ["a question without parts", [said("u", "user"), said("a", "assistant", text("Yes?"))], [["a", "Yes?"]]],
    [
      "a question between two answers, which stay two",
      [said("a", "assistant", text("One")), said("u", "user"), said("b", "assistant", text("Two"))],
      [
        ["a", "One"],
        ["b", "Two"],
      ],
    ],
    [
      "a step without parts before the answer",
      [said("u", "user", text("Hi")), said("a", "assistant"), said("b", "assistant", text("Yes?"))],
      [
        ["u", "Hi"],
        ["b", "Yes?"],
      ],
    ],
    ["nothing else", [said("u", "user")], []],
  ])("are left out, for validators refuse the whole chat: %s", async (_name, messages, expected) => {
    const chat = toUIMessages(messages);
    expect(chat.map(({ id, parts }) => [id, parts.map((part) => (part.type === "text" ? part.text : "")).join("")])).toEqual(expected);
    if (chat.length > 0) await valid(messages);
  });
});

describe("fromUIMessages", () => {
  it("gives the message that a call takes, with its id", async () => {
    await using runtime = createRuntime().register(createReActAgent({ name: "a", model: createScriptedModel(["Hello."]) }));
    await runtime.start();
    const sent = { id: "ui-1", role: "user", parts: [{ type: "text", text: "Hi", state: "done" }], metadata: null };
    const [draft] = fromUIMessages([sent]);
    expect(draft).toEqual({ id: "ui-1", role: "user", parts: [{ type: "text", text: "Hi" }] });
    expect(textOf((await runtime.call("a", draft as Message)).message)).toBe("Hello.");
  });

  it.each([
    ["input-streaming", { input: undefined, rawInput: '{"ci' }, []],
    ["input-available", {}, [{ role: "assistant", parts: [call("c")] }]],
    [
      "approval-requested",
      { approval: { id: "r1" } },
      [{ role: "assistant", parts: [call("c", { providerOptions: { aixgo: { approval: { id: "r1" } } } })] }],
    ],
    [
      "approval-responded",
      { approval: { id: "r1", approved: true, reason: "ok" } },
      [{ role: "assistant", parts: [call("c", { providerOptions: { aixgo: { approval: { id: "r1", approved: true, reason: "ok" } } } })] }],
    ],
    [
      "output-available",
      { output: "sunny" },
      [
        { role: "assistant", parts: [call("c")] },
        { role: "tool", parts: [result("c", { type: "text", value: "sunny" })] },
      ],
    ],
    ["output-available", { output: { a: 1 }, preliminary: true }, [{ role: "assistant", parts: [call("c")] }]],
    [
      "output-available",
      { output: undefined },
      [
        { role: "assistant", parts: [call("c")] },
        { role: "tool", parts: [result("c", { type: "json", value: null })] },
      ],
    ],
    [
      "output-available",
      { output: 1, providerExecuted: true },
      [{ role: "assistant", parts: [call("c"), result("c", { type: "json", value: 1 })] }],
    ],
    [
      "output-error",
      { errorText: "no" },
      [
        { role: "assistant", parts: [call("c")] },
        { role: "tool", parts: [result("c", { type: "error-text", value: "no" })] },
      ],
    ],
    [
      "output-error",
      { errorText: "no", input: undefined, rawInput: "{broken" },
      [
        { role: "assistant", parts: [{ ...call("c"), input: "{broken" }] },
        { role: "tool", parts: [result("c", { type: "error-text", value: "no" })] },
      ],
    ],
    [
      "output-denied",
      { approval: { id: "r1", approved: false, reason: "dear" } },
      [
        {
          role: "assistant",
          parts: [call("c", { providerOptions: { aixgo: { approval: { id: "r1", approved: false, reason: "dear" } } } })],
        },
        { role: "tool", parts: [result("c", { type: "execution-denied", reason: "dear" })] },
      ],
    ],
  ] as const)("reads a tool part in the state %s %j", async (state, more, expected) => {
    const part = toolPart({ state, ...more });
    const validated = await safeValidateUIMessages({ messages: [part] });
    expect(validated.success).toBe(true);
    const drafts = fromUIMessages([part]);
    expect(bare(drafts)).toEqual(expected);
    // Static and dynamic are the same to us.
    const dynamic = { ...(part.parts[0] as object), type: "dynamic-tool", toolName: "weather" };
    expect(bare(fromUIMessages([{ ...part, parts: [dynamic] }]))).toEqual(expected);
    if (drafts.length > 0 && !("preliminary" in more)) {
      const [back] = toUIMessages(drafts.map((draft, index) => ({ id: `${index}`, timestamp: "", ...draft })));
      expect(back?.parts[0]).toMatchObject({ state, toolCallId: "c", ...("approval" in more ? { approval: more.approval } : {}) });
    }
  });

  const text = { type: "text", text: "x" };
  it.each([
    [[{ id: "a", role: "assistant", parts: [text, { type: "hologram", data: 1 }] }], 'messages[0].parts[1] is of type "hologram"'],
    [
      [
        { id: "a", role: "user", parts: [text] },
        { id: "b", role: "user", parts: [{ type: "data-" }] },
      ],
      'messages[1].parts[0] is of type "data-"',
    ],
    [
      [{ id: "a", role: "user", parts: [{ type: "file", mediaType: "image/png", url: "blob:x" }] }],
      "parts[0].url must be a data:, https: or attachment: address, not blob:",
    ],
    [[{ id: "a", role: "user", parts: [{ type: "file", mediaType: "image/png", url: "http://x.test" }] }], "not http:"],
    [[{ id: "a", role: "user", parts: [{ type: "file", mediaType: "", url: "https://x.test" }] }], "parts[0].mediaType"],
    [[{ id: "a", role: "user", parts: [{ type: "text" }] }], "parts[0].text is not a text"],
    [[{ id: "a", role: "user", parts: [null] }], "parts[0] is not an object"],
    [[{ id: "a", role: "user", parts: "x" }], "messages[0].parts is not a list"],
    [[{ id: "a", role: "tool", parts: [] }], "messages[0].role is not system, user or assistant"],
    [[{ id: 5, role: "user", parts: [text] }], "messages[0].id"],
    [[{ id: "a", role: "user", parts: [text], metadata: "x" }], "metadata is not an object"],
    [[{ id: "a", role: "user", parts: [text], metadata: { at: 5n } }], "messages[0].metadata is not JSON"],
    [
      [{ id: "a", role: "user", parts: [{ type: "tool-x", toolCallId: "c", state: "input-available", input: {} }] }],
      "parts[0] is a tool's part",
    ],
    [[toolPart({ state: "output-lost" })], 'parts[0].state is "output-lost"'],
    [[toolPart({ state: "input-available", toolCallId: "" })], "parts[0].toolCallId"],
    [[toolPart({ state: "output-available", output: new Map([[1, 2]]) })], "parts[0].output is not JSON"],
    [[toolPart({ state: "output-error" })], "parts[0].errorText"],
    [[toolPart({ state: "input-available", callProviderMetadata: [] })], "callProviderMetadata"],
    ["nothing", "messages is not a list"],
    [[5], "messages[0] is not an object"],
  ])("refuses and names the place: %#", (messages, words) => {
    expect(() => fromUIMessages(messages as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(words) }),
    );
  });

  it("of any value is a list of messages or an error of ours", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ id: fc.anything(), role: fc.constantFrom("user", "assistant"), parts: fc.array(fc.anything()) })),
        (messages) => {
          try {
            fromUIMessages(messages as never);
          } catch (error) {
            expect(error).toMatchObject({ code: "INVALID_INPUT" });
          }
        },
      ),
    );
  });
});
