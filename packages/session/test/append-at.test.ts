import { type MessageDraft, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, type Session } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

const texts = async (session: Session): Promise<string[]> => (await session.messages()).map(textOf);
const types = async (session: Session): Promise<string[]> => {
  const found: string[] = [];
  for await (const entry of session.entries()) found.push(entry.type);
  return found;
};
const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const call = (toolCallId: string): MessageDraft => ({
  role: "assistant",
  parts: [{ type: "tool-call", toolCallId, toolName: "t", input: {} }],
});
const result = (toolCallId: string): MessageDraft => ({
  role: "tool",
  parts: [{ type: "tool-result", toolCallId, toolName: "t", output: { type: "text", value: "ok" } }],
});

async function session(): Promise<Session> {
  return createSessionManager({ backend: createMemoryBackend() }).create("assistant");
}

/** One session as two nodes see it. */
async function onTwoNodes(): Promise<readonly [Session, Session]> {
  const { a, b } = twoNodes();
  const here = await a.create("assistant");
  return [here, await b.get(here.id)];
}

describe("append at an earlier place", () => {
  it("goes back and writes in one step; the other branch stays, another node sees the same", async () => {
    const [here, there] = await onTwoNodes();
    const { messages } = await here.append(["one", "two", "three"]);
    const { version, messages: written } = await here.append(["two, edited", "after it"], { at: messages[0]?.id as string });
    expect(version).toBe(6);
    expect(written.map(textOf)).toEqual(["two, edited", "after it"]);
    for (const node of [here, there]) {
      expect(await texts(node)).toEqual(["one", "two, edited", "after it"]);
      expect((await node.info()).messageCount).toBe(3);
      expect((await node.verify()).problems).toEqual([]);
    }
    expect(await types(there)).toEqual(["session", "message", "message", "message", "restore", "message", "message"]);
    await there.restore(messages[2]?.id as string);
    expect(await texts(here)).toEqual(["one", "two", "three"]);
  });

  it("reaches the beginning by the header's entry, a checkpoint, and a caller's message id", async () => {
    const s = await session();
    await s.append({ role: "user", parts: [{ type: "text", text: "one" }], id: "mine" });
    const checkpoint = await s.checkpoint();
    await s.append("two");
    await s.append("by checkpoint", { at: checkpoint.id });
    expect(await texts(s)).toEqual(["one", "by checkpoint"]);
    await s.append("by id", { at: "mine" });
    expect(await texts(s)).toEqual(["one", "by id"]);
    for await (const header of s.entries()) {
      await s.append("anew", { at: header.id });
      break;
    }
    expect(await texts(s)).toEqual(["anew"]);
  });

  it("with an unknown place, or another version, writes nothing", async () => {
    const s = await session();
    const { version, messages } = await s.append("one");
    await expect(s.append("x", { at: "nowhere" })).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await expect(s.append("x", { at: messages[0]?.id as string, expectedVersion: 0 })).rejects.toThrow(withCode("VERSION_CONFLICT"));
    expect((await s.info()).version).toBe(version);
  });

  it("with an op is done once; the same op at another place is another append", async () => {
    const [here, there] = await onTwoNodes();
    const { messages } = await here.append(["one", "two"]);
    const [one, two] = messages.map(({ id }) => id) as [string, string];
    const first = await here.append(["edited", "more"], { at: one, op: "edit" });
    await here.append("later");
    expect(await there.append(["edited", "more"], { at: one, op: "edit" })).toEqual(first);
    expect(await texts(there)).toEqual(["one", "edited", "more", "later"]);
    await expect(there.append(["edited", "more"], { at: two, op: "edit" })).rejects.toThrow(withCode("OP_REUSED"));
    await expect(there.append(["edited", "more"], { op: "edit" })).rejects.toThrow(withCode("OP_REUSED"));
    await there.append("plain", { op: "plain" });
    await expect(there.append("plain", { op: "plain", at: one })).rejects.toThrow(withCode("OP_REUSED"));
  });

  it("is refused while a turn runs, and inside of it", async () => {
    const s = await session();
    const { messages } = await s.append("one");
    const at = messages[0]?.id as string;
    await s.turn("Go", async () => {
      await expect(s.append("x", { at })).rejects.toThrow(withCode("INVALID_OPTION"));
      return "done";
    });
    let release = (): void => undefined;
    const turn = s.turn("Wait", () => new Promise<string>((resolve) => (release = () => resolve("done"))));
    await expect.poll(async () => (await s.messages()).length).toBe(4);
    await expect(s.append("x", { at })).rejects.toThrow(withCode("SESSION_BUSY"));
    release();
    await turn;
  });
});

describe("append at an earlier place while a turn waits for an answer", () => {
  it("is refused where the turn waits, and leaves it where it goes back to before", async () => {
    const s = await session();
    const { messages } = await s.append("one");
    await s.turn("May I?", async (turn) => JSON.stringify(await turn.suspend({ requestId: "r", reason: "ask" })));
    const waiting: string[] = [];
    for await (const entry of s.entries()) waiting.push(entry.id);
    await expect(s.append("x", { at: waiting.at(-1) as string })).rejects.toThrow(withCode("TURN_SUSPENDED"));
    await expect(s.append("x")).rejects.toThrow(withCode("TURN_SUSPENDED"));
    await s.append("two", { at: messages[0]?.id as string });
    expect(await texts(s)).toEqual(["one", "two"]);
    await s.append("three");
    expect((await s.verify()).problems).toEqual([]);
  });
});

describe("restore with an expected version", () => {
  it("refuses when somebody wrote in between", async () => {
    const [here, there] = await onTwoNodes();
    const { version, messages } = await here.append(["one", "two"]);
    const target = messages[0]?.id as string;
    await there.append("three");
    await expect(here.restore(target, { expectedVersion: version })).rejects.toThrow(withCode("VERSION_CONFLICT"));
    expect(await texts(here)).toEqual(["one", "two", "three"]);
    await here.restore(target, { expectedVersion: version + 1, reason: "undo" });
    expect(await texts(there)).toEqual(["one"]);
  });
});

describe('messages with calls: "stored"', () => {
  const stored = [call("a"), call("b"), result("a"), result("nobody"), result("b"), result("b")];

  it("are what was stored: nothing is closed, moved or left out, and last is exact", async () => {
    const [here, there] = await onTwoNodes();
    const { messages } = await here.append(stored);
    expect((await here.messages()).length).not.toBe(stored.length);
    expect(await here.messages({ calls: "stored" })).toEqual(messages);
    expect(await here.messages({ calls: "stored", last: 2 })).toEqual(messages.slice(-2));
    // A node that has read nothing yet reads from the end.
    expect(await there.messages({ calls: "stored", last: 3 })).toEqual(messages.slice(-3));
    expect(await there.messages({ calls: "stored", after: messages[3]?.id as string })).toEqual(messages.slice(4));
    expect(await there.messages({ calls: "stored", roles: ["assistant"] })).toEqual(messages.slice(0, 2));
    await expect(here.messages({ calls: "raw" as "stored" })).rejects.toThrow(withCode("INVALID_OPTION"));
  });

  it("also when a large history is streamed", async () => {
    const [here, there] = await onTwoNodes();
    await here.append(stored);
    for (let index = 0; index < 9; index += 1) await here.append("x".repeat(1024 * 1024));
    const streamed: string[] = [];
    for await (const { role } of there.readMessages({ calls: "stored" })) streamed.push(role);
    expect(streamed.slice(0, 6)).toEqual(stored.map(({ role }) => role));
    expect(streamed).toHaveLength(15);
  });
});
