import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assistantMessage, isAixgoError, type MessageInput, textOf, toMessage, userMessage } from "../src/index.ts";

function refusal(input: unknown): string {
  try {
    toMessage(input as MessageInput, "user");
  } catch (error) {
    if (isAixgoError(error, "INVALID_INPUT")) return error.message;
    throw error;
  }
  throw new Error("was accepted");
}
const withPart = (part: unknown): unknown => ({ role: "user", parts: [part] });

describe("userMessage, assistantMessage", () => {
  it("give a fresh id and a time, and let extra win", () => {
    const ids = new Set(Array.from({ length: 1_000 }, () => userMessage("x").id));
    expect(ids.size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[\w-]{16}$/);
    expect(assistantMessage("x", { id: "mine", metadata: { a: 1 } })).toMatchObject({ id: "mine", role: "assistant", metadata: { a: 1 } });
    const { timestamp } = userMessage("x");
    expect(timestamp).toBe(new Date(timestamp ?? "").toISOString());
  });
  it("textOf joins text and leaves reasoning out", () => {
    expect(
      textOf({
        parts: [
          { type: "reasoning", text: "hm" },
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      }),
    ).toBe("ab");
    expect(textOf({ parts: [] })).toBe("");
  });
});

describe("toMessage", () => {
  it("makes a string the text of the role, without inventing id or time", () => {
    expect(toMessage("hi", "assistant")).toEqual({ role: "assistant", parts: [{ type: "text", text: "hi" }] });
    expect(toMessage("", "user").parts).toEqual([{ type: "text", text: "" }]);
  });
  it("round-trips every known part, and what a provider added to it", () => {
    const parts = [
      { type: "text", text: "a", providerOptions: { p: { signature: "s" } } },
      { type: "reasoning", text: "b" },
      { type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==", filename: "a.png" },
      { type: "tool-call", toolCallId: "c", toolName: "t", input: { a: [1, null, true] }, providerExecuted: true },
      { type: "tool-result", toolCallId: "c", toolName: "t", output: { type: "content", value: [{ type: "text", text: "x" }] } },
      { type: "tool-result", toolCallId: "c", toolName: "t", output: { type: "json", value: null } },
      { type: "tool-result", toolCallId: "c", toolName: "t", output: { type: "execution-denied" } },
      { type: "data-chart", data: { a: 1 } },
    ];
    const message = { id: "m", role: "assistant", parts, timestamp: "2025-01-02T03:04:05.123456789Z", metadata: { k: "v" } };
    expect(toMessage(message as MessageInput, "user")).toEqual(message);
  });
  it("shares nothing with its input", () => {
    const given = { role: "user" as const, parts: [{ type: "text" as const, text: "before" }], metadata: { list: [1] } };
    const message = toMessage(given, "user");
    given.parts[0]!.text = "after";
    given.metadata.list.push(2);
    expect(message).toMatchObject({ parts: [{ text: "before" }], metadata: { list: [1] } });
  });
  it.each([
    ["no message", undefined, "message is undefined"],
    ["null", null, "message is null"],
    ["an array", [], "message is an array"],
    ["a class instance", new Date(), "message is an instance of Date"],
    ["a wrong role", { role: "robot", parts: [] }, "message.role"],
    ["content instead of parts", { role: "user", content: "hi" }, "message.content is not a member"],
    ["no parts", { role: "user" }, "message.parts is not an array but undefined"],
    ["a part that is a string", withPart("x"), "message.parts[0] is a string"],
    ["an unknown part", withPart({ type: "image" }), "message.parts[0].type"],
    ["data- without a name", withPart({ type: "data-", data: 1 }), "message.parts[0].type"],
    ["data without data", withPart({ type: "data-x" }), "message.parts[0].data is missing"],
    ["text without text", withPart({ type: "text" }), "message.parts[0].text is not a string but undefined"],
    ["a file on http", withPart({ type: "file", mediaType: "a/b", url: "http://x" }), "message.parts[0].url"],
    [
      "a call without an id",
      withPart({ type: "tool-call", toolCallId: "", toolName: "t", input: {} }),
      "message.parts[0].toolCallId is empty",
    ],
    ["a call without input", withPart({ type: "tool-call", toolCallId: "c", toolName: "t" }), "message.parts[0].input is missing"],
    ["a result without output", withPart({ type: "tool-result", toolCallId: "c", toolName: "t" }), "message.parts[0].output"],
    [
      "a result in a result's content",
      withPart({ type: "tool-result", toolCallId: "c", toolName: "t", output: { type: "content", value: [{ type: "text" }] } }),
      "message.parts[0].output.value[0].text",
    ],
    ["a lone surrogate", "a\ud800", "message is not well-formed"],
    ["a lone surrogate in a key", withPart({ type: "data-x", data: { "\udc00": 1 } }), "not well-formed"],
    ["NaN", withPart({ type: "data-x", data: { a: [Number.NaN] } }), "message.parts[0].data.a[0] is NaN"],
    ["a bigint", withPart({ type: "data-x", data: 1n }), "message.parts[0].data is a bigint"],
    ["a Date in data", withPart({ type: "data-x", data: new Date(0) }), "an instance of Date"],
    ["a hole", withPart({ type: "data-x", data: new Array(2) }), "message.parts[0].data[0] is undefined"],
    ["a symbol key", withPart({ type: "data-x", data: { [Symbol("s")]: 1 } }), "symbol"],
    ["an empty id", { role: "user", parts: [], id: "" }, "message.id is empty"],
    ["a time that is none", { role: "user", parts: [], timestamp: "yesterday" }, "message.timestamp"],
    ["metadata that is a list", { role: "user", parts: [], metadata: [] }, "message.metadata"],
  ])("refuses %s and names the place", (_name, input, place) => {
    expect(refusal(input)).toContain(place);
  });
  it("leaves members out that are undefined, as JSON does", () => {
    expect(Object.keys(toMessage({ role: "user", parts: [], id: undefined } as unknown as MessageInput, "user"))).toEqual([
      "role",
      "parts",
    ]);
  });
  it("keeps a member called __proto__ a plain member", () => {
    const data: unknown = JSON.parse('{"__proto__":{"polluted":true}}');
    const message = toMessage(withPart({ type: "data-x", data }) as MessageInput, "user");
    expect(JSON.stringify(message.parts[0])).toContain('"__proto__":{"polluted":true}');
    const copy = (message.parts[0] as unknown as { data: { polluted?: boolean } }).data;
    expect(copy.polluted).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
  it("refuses what is deeper than 200 levels, cyclic, or endless as a tree, instead of overflowing", () => {
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    expect(refusal(withPart({ type: "data-x", data: deep }))).toContain("deeper");
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(refusal(withPart({ type: "data-x", data: cycle }))).toContain("deeper");
    let wide: unknown = [];
    for (let level = 0; level < 60; level += 1) wide = [wide, wide];
    expect(refusal(withPart({ type: "data-x", data: wide }))).toContain("larger");
  });
  it("property: what it returns is what JSON gives back", () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: "medium" }), (data) => {
        const honest: unknown = JSON.parse(JSON.stringify(data));
        if (!/^\P{Cs}*$/u.test(JSON.stringify(data)) || JSON.stringify(data).includes("\\ud")) return;
        const message = toMessage({ role: "user", parts: [{ type: "data-x", data: honest as never }] }, "user");
        expect(JSON.stringify(message.parts[0])).toBe(JSON.stringify({ type: "data-x", data: honest }));
      }),
      { numRuns: 500 },
    );
  });
  it("property: anything is either accepted as JSON or INVALID_INPUT", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withSparseArray: true }),
        (data) => {
          try {
            const message = toMessage(withPart({ type: "data-x", data }) as MessageInput, "user");
            expect(JSON.parse(JSON.stringify(message))).toEqual(message);
          } catch (error) {
            if (!isAixgoError(error, "INVALID_INPUT")) throw error;
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
