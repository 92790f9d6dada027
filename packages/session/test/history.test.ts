import type { Message, Part } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeOpenCalls, openCalls, OpenCallCloser, select } from "../src/history.ts";
import type { PathMessage } from "../src/tree.ts";

const call = (id: string): Part => ({ type: "tool-call", toolCallId: id, toolName: "t", input: {} });
const result = (id: string): Part => ({ type: "tool-result", toolCallId: id, toolName: "t", output: { type: "text", value: id } });
const text = (value: string): Part => ({ type: "text", text: value });

function path(...messages: readonly [Message["role"], ...Part[]][]): PathMessage[] {
  return messages.map(([role, ...parts], seq) => ({
    seq,
    entryId: `e${seq}`,
    turn: undefined,
    message: { id: `m${seq}`, role, parts, timestamp: "2026-01-01T00:00:00.000Z" },
  }));
}

const shape = (messages: readonly PathMessage[]): string[] =>
  messages.map(
    ({ message }) =>
      `${message.role}:${message.parts.map((part) => (part.type === "tool-call" ? `call ${part.toolCallId}` : part.type === "tool-result" ? `${part.output.type} ${part.toolCallId}` : "text")).join(",")}`,
  );

describe("a history is never bricked", () => {
  it("closes calls without a result right after the stored results", () => {
    expect(
      shape(
        closeOpenCalls(
          path(["user", text("q")], ["assistant", call("a"), call("b"), call("c")], ["tool", result("b")], ["user", text("hello?")]),
        ),
      ),
    ).toEqual(["user:text", "assistant:call a,call b,call c", "tool:text b", "tool:interrupted a,interrupted c", "user:text"]);
  });

  it("matches results only up to the next assistant message", () => {
    expect(shape(closeOpenCalls(path(["assistant", call("a")], ["assistant", text("x")], ["tool", result("a")])))).toEqual([
      "assistant:call a",
      "tool:interrupted a",
      "assistant:text",
    ]);
  });

  it("leaves out results without a call, and second results", () => {
    expect(
      shape(
        closeOpenCalls(path(["tool", result("z")], ["assistant", call("a")], ["tool", result("a"), result("y")], ["tool", result("a")])),
      ),
    ).toEqual(["assistant:call a", "tool:text a"]);
  });

  it("treats a reused call id as a new call", () => {
    expect(shape(closeOpenCalls(path(["assistant", call("a")], ["tool", result("a")], ["assistant", call("a")])))).toEqual([
      "assistant:call a",
      "tool:text a",
      "assistant:call a",
      "tool:interrupted a",
    ]);
  });

  it("accepts results that the provider put into the message itself", () => {
    expect(shape(closeOpenCalls(path(["assistant", call("a"), result("a"), text("done")])))).toEqual(["assistant:call a,text a,text"]);
  });

  it("names each closing result after its message, and says that the outcome is unknown", () => {
    const [, closing] = closeOpenCalls(path(["assistant", call("a")]));
    expect(closing?.message).toMatchObject({ id: "m0.interrupted", role: "tool", timestamp: "2026-01-01T00:00:00.000Z" });
    expect(closing?.message.parts).toEqual([
      { type: "tool-result", toolCallId: "a", toolName: "t", output: { type: "interrupted", reason: expect.stringContaining("unknown") } },
    ]);
    expect(Object.isFrozen(closing?.message.parts)).toBe(true);
  });

  it("keeps what else a tool message says, with or without a call before it", () => {
    expect(shape(closeOpenCalls(path(["tool", text("note")], ["user", text("q")])))).toEqual(["tool:text", "user:text"]);
    expect(shape(closeOpenCalls(path(["tool", text("note"), result("z")])))).toEqual(["tool:text"]);
    expect(shape(closeOpenCalls(path(["assistant", call("a")], ["tool", text("note"), result("z"), result("a")])))).toEqual([
      "assistant:call a",
      "tool:text,text a",
    ]);
  });

  it("hands messages on as they are, as soon as nothing can come between", () => {
    const messages = path(
      ["user", text("q")],
      ["assistant", text("x")],
      ["assistant", call("a")],
      ["tool", result("a")],
      ["user", text("r")],
    );
    expect(closeOpenCalls(messages).every((each, index) => each === messages[index])).toBe(true);
    const plain = messages.slice(0, 2);
    expect(closeOpenCalls(plain)).toBe(plain);
    const closer = new OpenCallCloser();
    expect(messages.map((each) => closer.push(each).length)).toEqual([1, 1, 0, 0, 0]);
    expect(closer.flush()).toHaveLength(3);
    expect(closer.flush()).toEqual([]);
  });

  it("is the same however often it is read, and whether streamed or not", () => {
    const open = path(["assistant", call("a"), call("b")], ["tool", result("b")]);
    expect(closeOpenCalls(open)).toEqual(closeOpenCalls(open));
    expect(closeOpenCalls(closeOpenCalls(open))).toEqual(closeOpenCalls(open));
  });

  it("gives every model a valid prompt, whatever was killed", () => {
    const part = fc.oneof(fc.constantFrom("a", "b", "c").map(call), fc.constantFrom("a", "b", "c").map(result), fc.constant(text("x")));
    const message = fc
      .tuple(fc.constantFrom<Message["role"]>("user", "assistant", "tool"), fc.array(part, { maxLength: 4 }))
      .map(([role, parts]): [Message["role"], ...Part[]] => [
        role,
        ...parts.filter((each) =>
          role === "user" ? each.type === "text" : role === "tool" ? each.type === "tool-result" : each.type !== "tool-result",
        ),
      ]);
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        const closed = closeOpenCalls(path(...messages));
        const closer = new OpenCallCloser();
        expect([...path(...messages).flatMap((each) => closer.push(each)), ...closer.flush()]).toEqual([...closed]);
        for (const [index, { message: each }] of closed.entries()) {
          if (each.role !== "assistant") continue;
          const ids = new Set(each.parts.flatMap((p) => (p.type === "tool-call" ? [p.toolCallId] : [])));
          for (let next = index + 1; closed[next]?.message.role === "tool"; next += 1) {
            for (const p of (closed[next] as PathMessage).message.parts)
              if (p.type === "tool-result") expect(ids.delete(p.toolCallId)).toBe(true);
          }
          expect([...ids]).toEqual([]);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("open calls", () => {
  const ids = (...messages: readonly [Message["role"], ...Part[]][]): string[] =>
    openCalls(path(...messages)).map(({ toolCallId }) => toolCallId);

  it("are those of the last assistant message that have no result yet, in order", () => {
    expect(ids()).toEqual([]);
    expect(ids(["user", text("q")])).toEqual([]);
    expect(ids(["user", text("q")], ["assistant", text("x"), call("b"), call("a")])).toEqual(["b", "a"]);
    expect(ids(["assistant", call("b"), call("a")], ["tool", result("b")], ["user", text("well?")])).toEqual(["a"]);
    expect(ids(["assistant", call("a"), result("a")])).toEqual([]);
  });

  it("of earlier messages can never get a result; a result of before closes no later call", () => {
    expect(ids(["assistant", call("a")], ["assistant", text("x")])).toEqual([]);
    expect(ids(["assistant", call("a")], ["tool", result("a")], ["assistant", call("a")])).toEqual(["a"]);
  });
});

describe("the last messages", () => {
  const messages = closeOpenCalls(path(["user", text("q")], ["assistant", call("a")], ["tool", result("a")], ["assistant", text("x")]));

  it("widen to the start of a step, so that no result loses its call", () => {
    expect(select(messages, { last: 2 })).toHaveLength(3);
    expect(select(messages, { last: 1 })).toHaveLength(1);
    expect(select(messages, { last: 0 })).toHaveLength(0);
    expect(select(messages, { last: 4 })).toHaveLength(4);
    for (const last of [5, 9]) expect(select(messages, { last })).toHaveLength(4);
    expect(select(messages, {})).toBe(messages);
    // A history that was cut before its call: there is nothing to widen to.
    expect(select(messages.slice(2), { last: 2 })).toHaveLength(2);
    expect(select(path(["tool", text("a")], ["tool", text("b")], ["user", text("c")]), { last: 2 })).toHaveLength(3);
  });

  it("are as many as were asked for where calls are wanted as they are stored", () => {
    expect(shape(select(messages, { last: 2, calls: "stored" }))).toEqual(["tool:text a", "assistant:text"]);
    expect(shape(select(messages, { last: 2, calls: "closed" }))).toEqual(["assistant:call a", "tool:text a", "assistant:text"]);
  });

  it("are counted after the roles were chosen", () => {
    expect(shape(select(messages, { roles: ["user", "assistant"], last: 2 }))).toEqual(["assistant:call a", "assistant:text"]);
  });
});
