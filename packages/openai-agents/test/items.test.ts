import { type Json, textOf } from "@aixgo/core";
import { toModelMessages } from "@aixgo/agents";
import type { AgentInputItem } from "@openai/agents";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asOpenAISession } from "../src/index.ts";
import { fileStore, memoryStore, newSession } from "./stores.ts";

const PNG = `data:image/png;base64,${Buffer.from("png").toString("base64")}`;

/** One of each kind that the SDK's protocol has, in the ways that it can be written. */
const ITEMS = [
  { role: "user", content: "hi" },
  { type: "message", role: "user", content: [{ type: "input_text", text: "hi", providerData: { cache: true } }] },
  {
    role: "user",
    content: [
      { type: "input_image", image: PNG, detail: "auto" },
      { type: "input_image", image: "https://example.com/a.png" },
      { type: "input_image", image: { id: "file-1" } },
      { type: "input_image", image: "iVBORw0KGgo=" },
      { type: "input_file", file: "data:application/pdf;base64,JVBERi0=", filename: "a.pdf" },
      { type: "input_file", file: PNG },
      { type: "input_file", file: { url: "https://example.com/a.pdf" } },
      { type: "input_file", file: "data:text/plain;charset=utf-8,hello%20world" },
      { type: "audio", audio: "UklGRg==", format: "wav", transcript: null },
    ],
  },
  { role: "user", content: [] },
  { role: "user", content: "" },
  { role: "system", content: "Be brief." },
  { type: "reasoning", id: "rs_1", content: [], providerData: { encrypted_content: "opaque" } },
  {
    type: "reasoning",
    content: [
      { type: "input_text", text: "one" },
      { type: "input_text", text: "two", providerData: { x: 1 } },
    ],
    rawContent: [{ type: "reasoning_text", text: "raw" }],
  },
  {
    id: "msg_1",
    type: "message",
    role: "assistant",
    status: "incomplete",
    phase: "commentary",
    content: [
      { type: "output_text", text: "Let me see.", providerData: { annotations: [{ url: "https://example.com" }] } },
      { type: "refusal", refusal: "No." },
      { type: "audio", audio: "UklGRg==", transcript: "hm" },
      { type: "image", image: "iVBORw0KGgo=" },
    ],
  },
  { role: "assistant", status: "completed", content: [{ type: "output_text", text: "no type" }] },
  { type: "function_call", callId: "c1", name: "lookup", arguments: '{ "spaced" : 1 }', status: "completed", namespace: "crm" },
  { type: "function_call", callId: "c2", name: "lookup", arguments: "{broken" },
  { type: "function_call", callId: "c3", name: "lookup", arguments: "", providerData: { id: "x" } },
  { type: "function_call", callId: "", name: "lookup", arguments: "{}" },
  { type: "function_call_result", callId: "c1", name: "lookup", status: "completed", output: "plain" },
  {
    type: "function_call_result",
    callId: "c1",
    name: "lookup",
    status: "completed",
    output: { type: "text", text: "t", providerData: {} },
  },
  {
    type: "function_call_result",
    callId: "c2",
    name: "lookup",
    status: "incomplete",
    output: [
      { type: "input_text", text: "see" },
      { type: "input_image", image: PNG },
    ],
  },
  { type: "function_call_result", callId: "c3", name: "lookup", status: "completed", output: { type: "image", image: { fileId: "f" } } },
  { type: "hosted_tool_call", name: "web_search", arguments: "{}", status: "completed", output: "found" },
  { type: "computer_call", callId: "c4", status: "completed", action: { type: "click", x: 1, y: 2, button: "left" } },
  { type: "computer_call_result", callId: "c4", output: { type: "computer_screenshot", data: PNG } },
  { type: "shell_call", callId: "c5", status: "completed", action: { commands: ["ls"] } },
  { type: "shell_call_output", callId: "c5", output: [{ stdout: "a", stderr: "", outcome: { type: "exit", exitCode: 0 } }] },
  { type: "apply_patch_call", callId: "c6", status: "completed", operation: { type: "delete_file", path: "a" } },
  { type: "apply_patch_call_output", callId: "c6", status: "completed" },
  { type: "compaction", encrypted_content: "opaque" },
  { type: "unknown", providerData: { type: "something_new", deep: [{ a: [null, true, 1.5] }] } },
  JSON.parse('{"type":"unknown","__proto__":{"polluted":true},"constructor":1}') as object,
] as unknown as AgentInputItem[];

describe("items come back as they were added", () => {
  it.each(ITEMS.map((item, index) => [index, (item as { type?: string }).type ?? "message", item] as const))(
    "%i: %s",
    async (_, __, item) => {
      const session = asOpenAISession(await newSession());
      await session.addItems([item]);
      const [back] = await session.getItems();
      expect(back).toEqual(item);
      expect(Object.keys(back as object).sort()).toEqual(Object.keys(item).sort());
    },
  );

  it("all together, after a restart, popped one by one", async () => {
    const store = fileStore();
    const first = store.open();
    const { id } = await first.create("assistant");
    await asOpenAISession(await first.get(id)).addItems(ITEMS);
    await first.close();
    const durable = await store.open().get(id);
    const session = asOpenAISession(durable);
    expect(await session.getItems()).toEqual(ITEMS);
    for (const item of ITEMS.toReversed()) expect(await session.popItem()).toEqual(item);
    expect((await durable.verify()).problems).toEqual([]);
  });

  it("whatever JSON an item is made of", async () => {
    const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;
    const types = fc.constantFrom(undefined, "message", "reasoning", "function_call", "function_call_result", "hosted_tool_call", "novel");
    const known = fc.oneof(
      json,
      fc.constantFrom<Json>("", "x", PNG, "call-1", "user", "assistant", "system", "{}"),
      fc.array(
        fc.oneof(
          fc.record(
            { type: fc.constantFrom<Json>("input_text", "output_text"), text: fc.string(), extra: json },
            { requiredKeys: ["type"] },
          ),
          fc.record({ type: fc.constantFrom<Json>("input_image", "input_file"), image: json, file: fc.constantFrom<Json>(PNG, null, "x") }),
          json,
        ),
        { maxLength: 4 },
      ),
    );
    const item = fc.record(
      { type: types, role: known, content: known, callId: known, name: known, arguments: known, output: known, providerData: json },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 6 }), async (items) => {
        const session = asOpenAISession(await newSession());
        const wanted = JSON.parse(JSON.stringify(items)) as AgentInputItem[];
        await session.addItems(items as unknown as AgentInputItem[]);
        expect(await session.getItems()).toEqual(wanted);
        expect(await session.popItem()).toEqual(wanted.at(-1));
        expect(await session.getItems()).toEqual(wanted.slice(0, -1));
      }),
      { numRuns: process.env["AIXGO_LONG"] === "1" ? 5_000 : 150 },
    );
  });

  it("large images are kept beside the log, and come back inline", async () => {
    const durable = await newSession(fileStore());
    const image = `data:image/png;base64,${Buffer.alloc(400_000, 7).toString("base64")}`;
    const item: AgentInputItem = { role: "user", content: [{ type: "input_image", image, detail: "high" }] };
    const session = asOpenAISession(durable);
    await session.addItems([item, { role: "user", content: "and?" }]);
    const [stored] = await durable.messages();
    expect(JSON.stringify(stored).length).toBeLessThan(1_000);
    expect(stored?.parts).toMatchObject([{ type: "file", url: expect.stringMatching(/^attachment:/) as string }]);
    expect((await session.getItems())[0]).toEqual(item);
    await session.popItem();
    expect(await session.popItem()).toEqual(item);
  });

  it("arguments are a text: also those that are deeper or larger than what a message takes apart", async () => {
    const texts = [
      "[".repeat(500) + "]".repeat(500),
      `{"a":${"[".repeat(99)}${"]".repeat(99)}}`,
      `[${"1,".repeat(300_000)}1]`,
      "{nope",
      "",
    ];
    const items = texts.map(
      (text, index) => ({ type: "function_call", callId: `c${index}`, name: "n", status: "completed", arguments: text }) as const,
    );
    const session = asOpenAISession(await newSession());
    await session.addItems(items);
    expect(await session.getItems()).toEqual(items);
  });

  it("text is stored once, not a second time in what describes it", async () => {
    const durable = await newSession();
    const text = "x".repeat(10_000);
    await asOpenAISession(durable).addItems([
      { role: "user", content: text },
      { type: "reasoning", id: "r", content: [{ type: "input_text", text }] },
      {
        id: "m",
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text, providerData: { a: 1 } }],
      },
      { type: "function_call", id: "f", callId: "c", name: "n", status: "completed", arguments: JSON.stringify({ text }) },
      { type: "function_call_result", callId: "c", name: "n", status: "completed", output: { type: "text", text } },
    ]);
    expect(JSON.stringify(await durable.messages()).length).toBeLessThan(5 * text.length + 2_500);
  });

  it.each([undefined, {}, createSessionManager({ backend: createMemoryBackend() }), Promise.resolve()])("%o is no session", (given) => {
    expect(() => asOpenAISession(given as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }) as Error);
  });

  it("what JSON cannot carry is refused with its place, and nothing is written", async () => {
    const durable = await newSession();
    const session = asOpenAISession(durable);
    const item = { role: "user", content: "x", providerData: { at: new Date(0) } } as AgentInputItem;
    await expect(session.addItems([{ role: "user", content: "fine" }, item])).rejects.toThrow(
      /^addItems: items\[1\]\.providerData\.at is an instance of Date/,
    );
    await expect(session.addItems([null as unknown as AgentInputItem])).rejects.toThrow(/items\[0\] is not an object/);
    await expect(session.addItems("hi" as unknown as AgentInputItem[])).rejects.toThrow(/list of items/);
    await expect(session.getItems(Number.NaN)).rejects.toThrow(/limit/);
    expect((await durable.info()).messageCount).toBe(0);
  });
});

describe("other readers and writers of the session", () => {
  it("see messages, with calls made together answered together", async () => {
    const durable = await newSession();
    await asOpenAISession(durable).addItems([
      { role: "user", content: "Compare" },
      { type: "reasoning", content: [{ type: "input_text", text: "two calls" }] },
      { type: "function_call", callId: "a", name: "lookup", arguments: '{"q":1}' },
      { type: "function_call", callId: "b", name: "lookup", arguments: '{"q":2}' },
      { type: "function_call_result", callId: "a", name: "lookup", status: "completed", output: { type: "text", text: "one" } },
      { type: "function_call_result", callId: "b", name: "lookup", status: "completed", output: "two" },
      { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "Done." }] },
    ]);
    const messages = await durable.messages();
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "tool", "assistant"]);
    expect(textOf(messages[4] as (typeof messages)[0])).toBe("Done.");
    expect(toModelMessages(messages)).toMatchObject([
      { role: "user" },
      {
        role: "assistant",
        content: [{ type: "reasoning" }, { type: "tool-call", input: { q: 1 } }, { type: "tool-call", input: { q: 2 } }],
      },
      { role: "tool", content: [{ output: { value: "one" } }, { output: { value: "two" } }] },
      { role: "assistant", content: [{ type: "text", text: "Done." }] },
    ]);
  });

  it("are seen as the nearest items, and popped without loss to what is left", async () => {
    const durable = await newSession();
    await durable.append([
      { role: "system", parts: [{ type: "text", text: "Be brief." }] },
      {
        role: "user",
        parts: [
          { type: "text", text: "Look" },
          { type: "file", mediaType: "image/png", url: PNG },
          { type: "file", mediaType: "application/pdf", url: "https://example.com/a.pdf", filename: "a.pdf" },
        ],
      },
      {
        role: "assistant",
        parts: [
          { type: "reasoning", text: "hm", providerOptions: { anthropic: { signature: "s" } } },
          { type: "text", text: "I look." },
          { type: "data-ours", data: 1 },
          { type: "text", text: "Twice." },
          { type: "tool-call", toolCallId: "a", toolName: "see", input: { x: 1 } },
          { type: "tool-call", toolCallId: "b", toolName: "see", input: {} },
        ],
      },
      {
        role: "tool",
        parts: [
          { type: "tool-result", toolCallId: "a", toolName: "see", output: { type: "json", value: { y: 2 } } },
          { type: "tool-result", toolCallId: "b", toolName: "see", output: { type: "execution-denied", reason: "no" } },
        ],
      },
      { role: "assistant", parts: [{ type: "data-stage", data: {} }] },
    ]);
    const session = asOpenAISession(durable);
    const items = await session.getItems();
    expect(items).toEqual([
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "Look" },
          { type: "input_image", image: PNG },
          { type: "input_file", file: "https://example.com/a.pdf", filename: "a.pdf" },
        ],
      },
      { type: "reasoning", content: [{ type: "input_text", text: "hm" }] },
      {
        type: "message",
        role: "assistant",
        status: "completed",
        content: [
          { type: "output_text", text: "I look." },
          { type: "output_text", text: "Twice." },
        ],
      },
      { type: "function_call", callId: "a", name: "see", status: "completed", arguments: '{"x":1}' },
      { type: "function_call", callId: "b", name: "see", status: "completed", arguments: "{}" },
      { type: "function_call_result", callId: "a", name: "see", status: "completed", output: { type: "text", text: '{"y":2}' } },
      {
        type: "function_call_result",
        callId: "b",
        name: "see",
        status: "completed",
        output: { type: "text", text: "The call was denied: no" },
      },
    ]);
    for (let left = 8; left > 4; left -= 1) expect(await session.popItem()).toEqual(items[left - 1]);
    expect(await session.getItems()).toEqual(items.slice(0, 4));
    // What is left of the message is what it was, with what only its own provider understands.
    expect((await durable.messages()).at(-1)?.parts[0]).toEqual({
      type: "reasoning",
      text: "hm",
      providerOptions: { anthropic: { signature: "s" } },
    });
  });

  it("an undo is undone by the session: what was popped and cleared is a branch", async () => {
    const durable = await newSession();
    const session = asOpenAISession(durable);
    await session.addItems([
      { role: "user", content: "one" },
      { role: "user", content: "two" },
    ]);
    const checkpoint = await durable.checkpoint();
    await session.popItem();
    await session.clearSession();
    expect(await session.getItems()).toEqual([]);
    await durable.restore(checkpoint.id);
    expect(await session.getItems()).toHaveLength(2);
  });
});

describe("at the same time", () => {
  it("two processes add, pop and rewrite: nothing is lost, doubled or taken that was not last", async () => {
    const store = memoryStore();
    const { id } = await store.open().create("assistant");
    const nodes = await Promise.all([store.open(), store.open()].map(async (manager) => asOpenAISession(await manager.get(id))));
    const added: string[] = [];
    const popped: string[] = [];
    await Promise.all(
      nodes.map(async (session, node) => {
        for (let round = 0; round < 30; round += 1) {
          const texts = [0, 1].map((index) => `${node}.${round}.${index}`);
          added.push(...texts);
          await session.addItems(
            texts.map((text) => ({
              type: "message",
              role: "assistant",
              status: "completed",
              content: [{ type: "output_text", text }],
            })),
          );
          if (round % 3 !== 0) continue;
          const item = (await session.popItem()) as unknown as { content: [{ text: string }] };
          popped.push(item.content[0].text);
        }
      }),
    );
    const left = ((await (nodes[0] as (typeof nodes)[0]).getItems()) as unknown as { content: [{ text: string }] }[]).map(
      ({ content }) => content[0].text,
    );
    expect(new Set(popped).size).toBe(popped.length);
    expect([...left, ...popped].sort()).toEqual([...added].sort());
  });

  it("one operation from two processes is applied once", async () => {
    const store = memoryStore();
    const { id } = await store.open().create("assistant");
    const nodes = await Promise.all([store.open(), store.open()].map(async (manager) => asOpenAISession(await manager.get(id))));
    const args = { operationId: "op", transaction: { type: "append_items" as const, items: [{ role: "user" as const, content: "x" }] } };
    await Promise.all([...nodes, ...nodes].map((session) => session.applyHistoryTransaction(args)));
    expect(await nodes[0]?.getItems()).toHaveLength(1);
  });

  it("while a turn runs elsewhere, nothing is written", async () => {
    const store = memoryStore();
    const durable = await newSession(store);
    await durable.append("hello");
    const session = asOpenAISession(await store.open().get(durable.id));
    let finish = (): void => undefined;
    const turn = durable.turn("Go", () => new Promise<string>((resolve) => (finish = () => resolve("done"))));
    await expect.poll(() => session.getItems()).toHaveLength(2);
    await expect(session.addItems([{ role: "user", content: "x" }])).rejects.toMatchObject({ code: "SESSION_BUSY" });
    await expect(session.popItem()).rejects.toMatchObject({ code: "SESSION_BUSY" });
    await expect(session.clearSession()).rejects.toMatchObject({ code: "SESSION_BUSY" });
    finish();
    await turn;
    expect(await session.getItems()).toHaveLength(3);
  });
});
