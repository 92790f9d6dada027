import { readFile } from "node:fs/promises";
import type { LanguageModel } from "@aixgo/agents";
import { createScriptedModel } from "@aixgo/agents/testing";
import { describe, expect, it } from "vitest";
import { chats, settled, shows } from "./chats.ts";

const { servers, start, stop, open, close, stored } = chats();

/** A model that says its first words, and the rest when it is let go on; before that it adds two numbers, if it is told to. */
function pausing(
  text: string,
  rest: string,
  options: { readonly adds?: boolean } = {},
): { readonly model: LanguageModel; readonly goOn: () => void } {
  let goOn = (): void => undefined;
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  let adds = options.adds === true;
  const chunks = async function* (signal: AbortSignal | undefined): AsyncGenerator<object> {
    const usage = { inputTokens: {}, outputTokens: {} };
    if (adds) {
      adds = false;
      yield { type: "tool-call", toolCallId: "1", toolName: "add", input: '{"a":2,"b":3}' };
      yield { type: "finish", finishReason: { unified: "tool-calls" }, usage };
      return;
    }
    yield { type: "text-start", id: "1" };
    yield { type: "text-delta", id: "1", delta: text };
    await Promise.race([
      gate,
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true })),
    ]);
    yield { type: "text-delta", id: "1", delta: rest };
    yield { type: "text-end", id: "1" };
    yield { type: "finish", finishReason: { unified: "stop" }, usage };
  };
  const model: LanguageModel = {
    specificationVersion: "v3",
    provider: "test",
    modelId: "pausing",
    doStream: async ({ abortSignal }: { readonly abortSignal?: AbortSignal }) => ({ stream: ReadableStream.from(chunks(abortSignal)) }),
  };
  return { model, goOn };
}

describe("useChat", () => {
  it("asks, and sends only the last message", async () => {
    const page = await open(await start());
    await page.chat.sendMessage({ text: "I am Ada" });
    await page.chat.sendMessage({ text: "Who am I?" });
    await shows(
      page,
      "user: I am Ada\nassistant: This is the first thing you say.\nuser: Who am I?\nassistant: Before that you said: I am Ada",
    );
    const sent = page.requests.filter(({ method }) => method === "POST").map(({ body }) => body);
    expect(sent).toMatchObject([
      { id: "chat-1", message: { role: "user", parts: [{ text: "I am Ada" }] } },
      { id: "chat-1", message: { role: "user", parts: [{ text: "Who am I?" }] } },
    ]);
    expect(JSON.stringify(sent[1])).not.toContain("I am Ada");
  });

  it("shows a tool and its result; after a reload the same", async () => {
    const server = await start();
    const page = await open(server);
    await page.chat.sendMessage({ text: "add 2 and 3" });
    await shows(page, "user: add 2 and 3\nassistant: [add output-available] The sum is 5.");
    close(page);
    const ids = page.chat.messages.map((message) => message.id);
    const reloaded = await open(server);
    await shows(reloaded, "user: add 2 and 3\nassistant: [add output-available] The sum is 5.");
    expect(reloaded.chat.messages.map((message) => message.id)).toEqual(ids);
  });

  it("finds its messages again after the server was restarted, and goes on", async () => {
    const first = await start();
    const page = await open(first);
    await page.chat.sendMessage({ text: "I am Ada" });
    await settled(page);
    close(page);
    await stop(first);
    const again = await open(await start());
    await shows(again, "user: I am Ada\nassistant: This is the first thing you say.");
    await settled(again);
    await again.chat.sendMessage({ text: "Who am I?" });
    await expect.poll(() => again.text()).toContain("Before that you said: I am Ada");
  });

  it("a page that is reloaded in mid-answer shows all of it: what was said, and the rest as it comes", async () => {
    const { model, goOn } = pausing("Once upon ", "a time.");
    const server = await start(model);
    const page = await open(server);
    const sending = page.chat.sendMessage({ text: "Tell me" });
    await shows(page, "user: Tell me\nassistant: Once upon ");
    close(page);
    await sending;
    const reloaded = await open(server);
    await shows(reloaded, "user: Tell me\nassistant: Once upon ");
    expect(reloaded.chat.status).toBe("streaming");
    goOn();
    await shows(reloaded, "user: Tell me\nassistant: Once upon a time.");
    await settled(reloaded);
    expect(await stored(async (session) => (await session.messages()).length)).toBe(2);
  });

  it("a page that is reloaded between two steps shows each step once", async () => {
    const { model, goOn } = pausing("The sum ", "is 5.", { adds: true });
    const server = await start(model);
    const page = await open(server);
    const sending = page.chat.sendMessage({ text: "add" });
    await shows(page, "user: add\nassistant: [add output-available] The sum ");
    close(page);
    await sending;
    const reloaded = await open(server);
    await shows(reloaded, "user: add\nassistant: [add output-available] The sum ");
    goOn();
    await shows(reloaded, "user: add\nassistant: [add output-available] The sum is 5.");
    await settled(reloaded);
  });

  it("nothing runs: a reload resumes nothing and is ready", async () => {
    const page = await open(await start());
    await expect.poll(() => page.requests.some(({ path }) => path === "/chat/chat-1/stream")).toBe(true);
    await settled(page);
    expect(page.text()).toBe("");
  });

  it("leaving the answer leaves it running; a stop ends it in every tab, and the next question is answered", async () => {
    const { model, goOn } = pausing("Once upon ", "a time.");
    const server = await start(model);
    const page = await open(server);
    const sending = page.chat.sendMessage({ text: "Tell me" });
    await shows(page, "user: Tell me\nassistant: Once upon ");
    await page.chat.stop();
    await sending;
    const other = await open(server);
    await shows(other, "user: Tell me\nassistant: Once upon ");
    await page.stop();
    await expect.poll(() => other.chat.status, { timeout: 20_000 }).toBe("error");
    expect(other.chat.error?.message).toMatch(/^CANCELLED/);
    goOn();
    await other.chat.sendMessage({ text: "Once more" });
    await expect.poll(() => other.text()).toContain("user: Once more\nassistant: Once upon a time.");
  });

  it("the same question sent twice is one turn", async () => {
    const page = await open(await start());
    await page.chat.sendMessage({ text: "I am Ada" });
    await settled(page);
    const { body } = page.requests.find(({ method }) => method === "POST") as { body: unknown };
    const response = await fetch(`${[...servers][0]?.url}/chat`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "x-user": "ada" },
    });
    expect(await response.text()).toContain("This is the first thing you say.");
    expect(await stored(async (session) => (await session.messages()).length)).toBe(2);
  });

  it("another answer takes the place of the first, which stays as a branch", async () => {
    const server = await start(createScriptedModel([{ text: "One." }, { text: "Two." }, { text: "Three." }]));
    const page = await open(server);
    await page.chat.sendMessage({ text: "Say" });
    await settled(page);
    await page.chat.regenerate();
    await shows(page, "user: Say\nassistant: Two.");
    await page.chat.regenerate();
    await shows(page, "user: Say\nassistant: Three.");
    await shows(await open(server), "user: Say\nassistant: Three.");
    const all: string[] = [];
    await stored(async (session) => {
      for await (const entry of session.entries()) if (entry.type === "message") all.push(JSON.stringify(entry.data));
      expect((await session.verify()).problems).toEqual([]);
    });
    expect(all.filter((data) => /One\.|Two\.|Three\./.test(data))).toHaveLength(3);
  });

  it("an earlier message that is edited is asked in its other words; what followed stays as a branch", async () => {
    const server = await start();
    const page = await open(server);
    for (const text of ["add 2 and 3", "hello"]) {
      await page.chat.sendMessage({ text });
      await settled(page);
    }
    const [first] = page.chat.messages;
    const messageId = first?.id as string;
    await page.chat.sendMessage({ text: "add 4 and 5", messageId }, { body: { trigger: "regenerate-message" } });
    await shows(page, "user: add 4 and 5\nassistant: [add output-available] The sum is 9.");
    await settled(page);
    const reloaded = await open(server);
    await shows(reloaded, page.text());
    expect(reloaded.chat.messages.map(({ id }) => id)).toEqual(page.chat.messages.map(({ id }) => id));
    expect(reloaded.chat.messages[0]?.id).toBe(messageId);
    await reloaded.chat.sendMessage({ text: "and before?" });
    await shows(reloaded, `${page.text()}\nuser: and before?\nassistant: Before that you said: add 4 and 5`);
    const said: string[] = [];
    await stored(async (session) => {
      for await (const { type, data } of session.entries()) if (type === "message") said.push(JSON.stringify(data));
      expect((await session.verify()).problems).toEqual([]);
    });
    expect(said.filter((data) => /add 2 and 3|"hello"/.test(data)).length).toBeGreaterThan(1);
  });

  it("a user sees only their own chats", async () => {
    const server = await start();
    const page = await open(server);
    await page.chat.sendMessage({ text: "A secret" });
    await settled(page);
    expect((await open(server, "chat-1", "bob")).text()).toBe("");
    expect((await open(server, "chat-2", "ada")).text()).toBe("");
    expect((await fetch(`${server.url}/chat/chat-1`)).status).toBe(401);
  });

  it.each([
    ["no JSON", "{", /the body must be JSON/],
    ["no chat", JSON.stringify({ message: { role: "user", parts: [] } }), /id must be/],
    ["a hostile chat", JSON.stringify({ id: "../x", message: { role: "user", parts: [] } }), /id must be/],
    ["no message", JSON.stringify({ id: "c" }), /message must be/],
    [
      "a message of the assistant",
      JSON.stringify({ id: "c", message: { id: "m", role: "assistant", parts: [{ type: "text", text: "x" }] } }),
      /of the user/,
    ],
    [
      "a message without an id",
      JSON.stringify({ id: "c", message: { role: "user", parts: [{ type: "text", text: "x" }] } }),
      /with its id/,
    ],
    ["an unknown part", JSON.stringify({ id: "c", message: { id: "m", role: "user", parts: [{ type: "hologram" }] } }), /hologram/],
    ["an unknown trigger", JSON.stringify({ id: "c", message: { role: "user", parts: [] }, trigger: "x" }), /trigger must be/],
  ])("%s is refused with 400 and what is wrong", async (_, body, message) => {
    const { url } = await start();
    const response = await fetch(`${url}/chat`, { method: "POST", body, headers: { "x-user": "ada" } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "INVALID_INPUT", message: expect.stringMatching(message) as string });
  });

  it("the id of a chat is one in every route: no other user's key can be made of it", async () => {
    const { url } = await start();
    for (const id of ["b:c", "a%2fb", "%00", "x".repeat(65), "%F0%9F%98%80"])
      for (const [method, path] of [
        ["GET", `/chat/${id}`],
        ["GET", `/chat/${id}/stream`],
        ["DELETE", `/chat/${id}/stream`],
      ] as const) {
        const response = await fetch(url + path, { method, headers: { "x-user": "a" } });
        expect([method, path, response.status, await response.json()]).toMatchObject([method, path, 400, { code: "INVALID_INPUT" }]);
      }
  });

  it("a body that is too long is refused with 413, with and without its length, and the server goes on", async () => {
    const server = await start();
    const piece = new Uint8Array(1024 * 1024).fill(0x20);
    let read = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        read += 1;
        if (read < 200) controller.enqueue(piece);
        else controller.close();
      },
    });
    const known = await fetch(`${server.url}/chat`, { method: "POST", body: "x".repeat(13 * 1024 * 1024), headers: { "x-user": "ada" } });
    expect([known.status, await known.json()]).toMatchObject([413, { code: "LIMIT_EXCEEDED" }]);
    // The client may see the answer, or only that nobody reads on.
    const unknown = await fetch(`${server.url}/chat`, {
      method: "POST",
      body: endless,
      headers: { "x-user": "ada" },
      duplex: "half",
    } as RequestInit).then(
      ({ status }) => status,
      () => 413,
    );
    expect(unknown).toBe(413);
    expect(read).toBeLessThan(200);
    const page = await open(server);
    await page.chat.sendMessage({ text: "Still there?" });
    await shows(page, "user: Still there?\nassistant: This is the first thing you say.");
  });

  it("another answer to a question that was never asked is refused", async () => {
    const { url } = await start();
    const body = JSON.stringify({
      id: "c",
      message: { id: "m", role: "user", parts: [{ type: "text", text: "x" }] },
      trigger: "regenerate-message",
    });
    const response = await fetch(`${url}/chat`, { method: "POST", body, headers: { "x-user": "ada" } });
    expect([response.status, await response.json()]).toMatchObject([404, { code: "ENTRY_NOT_FOUND" }]);
  });
});

it("answers the requests of the README with what it shows", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const { url } = await start();
  const headers = { "x-user": "ada" };
  const body = /curl -sN localhost:8787\/chat -H 'x-user: ada' -d '(.+)'/.exec(readme)?.[1] as string;
  expect(await (await fetch(`${url}/chat`, { method: "POST", headers, body })).text()).toContain("[DONE]");
  expect(await (await fetch(`${url}/chat/chat-1`, { headers })).text()).toBe(/```json\n(.+)\n```/.exec(readme)?.[1]);
});
