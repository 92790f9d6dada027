import { type Json, type Logger, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type ReActAgentOptions, type Tool, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { createConversation, message, type AttemptOptions } from "./harness.ts";

const anything = z.object({});

/** Lets a model call the tool once, and gives what the model was told and what was stored. */
async function told(given: Tool, options: Partial<ReActAgentOptions> & { input?: Json; toolName?: string; attempt?: AttemptOptions } = {}) {
  const { input = {}, toolName = "t", attempt, ...rest } = options;
  const model = createScriptedModel([{ toolCalls: [{ toolName, input }] }, "went on"]);
  const conversation = createConversation();
  const done = await conversation.attempt(createReActAgent({ name: "a", model, tools: { t: given }, ...rest }), attempt);
  expect(textOf(done.answer)).toBe("went on");
  const [assistant, result] = model.calls[1]?.prompt.slice(1) ?? [];
  return {
    output: result?.content[0].output as { type: string; value: unknown },
    call: assistant?.content[0],
    stored: conversation.stored,
  };
}

describe("whatever a tool does, the loop goes on", () => {
  const returned = (value: unknown): Tool => tool({ inputSchema: anything, execute: () => value as Json });

  it.each([
    ["a text", "hi", { type: "text", value: "hi" }],
    ["an object", { a: [1, null] }, { type: "json", value: { a: [1, null] } }],
    ["nothing", undefined, { type: "json", value: null }],
    ["a date", { at: new Date(0) }, { type: "json", value: { at: "1970-01-01T00:00:00.000Z" } }],
    ["an undefined member", { a: 1, b: undefined }, { type: "json", value: { a: 1 } }],
    ["a lone surrogate", "\ud800x", { type: "text", value: "\ufffdx" }],
  ])("%s is told as it is", async (_, value, output) => {
    expect((await told(returned(value))).output).toEqual(output);
  });

  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  let deep: unknown = 1;
  for (let level = 0; level < 5_000; level += 1) deep = [deep];
  it.each([
    ["a BigInt", { big: 1n }, "holds a bigint"],
    ["a cycle", cyclic, "refers to itself"],
    ["a function", () => 1, "holds a function"],
    ["NaN", [NaN], "holds NaN"],
    ["a map", { map: new Map([[1, 2]]) }, "holds a Map"],
    ["bytes", new Uint8Array(3), "binary data"],
    ["too deep a value", deep, "nested deeper than 100"],
    [
      "a hostile toJSON",
      {
        toJSON: () => {
          throw new Error("no!");
        },
      },
      "cannot be read: no!",
    ],
    ["a hole", Object.assign([], { 1: 1 }), "holds undefined"],
  ])("%s is told as a result that is not JSON, of a tool that did run", async (_, value, words) => {
    const { output } = await told(returned(value));
    expect(output.type).toBe("error-text");
    expect(output.value).toContain("ran to its end");
    expect(output.value).toContain(words);
  });

  it("a result above maxToolResultBytes is cut between characters, and says so", async () => {
    const { output } = await told(returned("é".repeat(1_000)), { maxToolResultBytes: 101 });
    expect(output).toEqual({ type: "text", value: `${"é".repeat(50)}\n[cut here: the result has 2000 bytes, the limit is 101]` });
    const json = await told(returned({ list: Array.from({ length: 1_000 }, () => 1) }), { maxToolResultBytes: 20 });
    expect(json.output).toMatchObject({ type: "text", value: expect.stringMatching(/^\{"list":\[1,1,1,1,1,1\n\[cut here/) });
  });

  it.each([
    ["an error", new Error("disk full"), "disk full"],
    ["a text", "just words", "just words"],
    ["nothing", undefined, "undefined"],
    [
      "an object that cannot be shown",
      {
        toString: () => {
          throw new Error("x");
        },
      },
      "an error without words",
    ],
    ["a very long text", new Error("x".repeat(9_999)), "x".repeat(2_000)],
  ])("thrown %s is told as an error", async (_, thrown, words) => {
    const { output } = await told(
      tool({
        inputSchema: anything,
        execute: () => {
          throw thrown;
        },
      }),
    );
    expect(output).toEqual({ type: "error-text", value: `The tool failed: ${words}` });
  });

  it("a tool that never ends is given up after its time, and its signal aborts", async () => {
    let signal: AbortSignal | undefined;
    const hang = tool({
      inputSchema: anything,
      timeoutMs: 5,
      execute: (_, context) => ((signal = context.signal), new Promise<never>(() => {})),
    });
    const { output } = await told(hang);
    expect(output).toEqual({ type: "error-text", value: "The tool failed: it took longer than 5 ms; its outcome is unknown" });
    expect(signal?.aborted).toBe(true);
  });

  it("a tool that fails after it was given up raises no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      let fail = (_: Error): void => {};
      await told(tool({ inputSchema: anything, execute: () => new Promise<never>((_, reject) => (fail = reject)) }), { toolTimeoutMs: 5 });
      fail(new Error("late"));
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  it("a schema that hangs or throws is the tool's failure", async () => {
    const standard = (validate: () => unknown): Tool => ({
      inputSchema: { "~standard": { version: 1, vendor: "test", validate } },
      jsonSchema: { type: "object" },
      execute: () => "ran",
    });
    expect(
      (
        await told(
          standard(() => new Promise(() => {})),
          { toolTimeoutMs: 5 },
        )
      ).output.value,
    ).toContain("took longer than 5 ms");
    expect(
      (
        await told(
          standard(() => {
            throw new Error("bad schema");
          }),
        )
      ).output.value,
    ).toBe("The tool failed: bad schema");
    expect((await told(standard(() => undefined))).output.value).toBe("Invalid input: its schema gave no answer");
    expect((await told(standard(async () => ({ issues: [{ message: "nope", path: [{ key: "a" }, 0] }] })))).output.value).toBe(
      "Invalid input: a.0: nope",
    );
  });
});

describe("the input that the model sends", () => {
  const search = () => {
    const seen: unknown[] = [];
    return {
      seen,
      t: tool({ inputSchema: z.object({ q: z.string(), limit: z.number().default(3) }), execute: (input) => (seen.push(input), "ok") }),
    };
  };

  it("is validated, with defaults and changes of the schema applied", async () => {
    const { seen, t } = search();
    await told(t, { input: { q: "x", extra: 1 } });
    expect(seen).toEqual([{ q: "x", limit: 3 }]);
  });

  it("is told back with the place of what is wrong, and the tool does not run", async () => {
    const { seen, t } = search();
    const { output } = await told(t, { input: { q: 5 } });
    expect(output.type).toBe("error-text");
    expect(output.value).toMatch(/^Invalid input: q: /);
    expect(seen).toEqual([]);
  });

  it("that is no JSON is stored as it came, told back, and shown to the provider as an object", async () => {
    const { seen, t } = search();
    const { output, call, stored } = await told(t, { input: '{"q": "unfinis' });
    expect(output.value).toBe('Invalid input: it is not a JSON object. It began: {"q": "unfinis');
    expect(stored[0]?.parts[0]).toMatchObject({ type: "tool-call", input: '{"q": "unfinis' });
    expect(call.input).toEqual({ input: '{"q": "unfinis' });
    expect(seen).toEqual([]);
  });

  it("may be empty for a tool without parameters", async () => {
    for (const input of ["", "  "])
      expect((await told(tool({ inputSchema: anything, execute: (given) => ({ given }) }), { input })).output).toEqual({
        type: "json",
        value: { given: {} },
      });
  });

  it("cannot be changed in log or prompt by a tool that writes into it", async () => {
    const t = tool({
      inputSchema: { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as never,
      jsonSchema: { type: "object" },
      execute: (input: { a: number }) => ((input.a = 2), null),
    });
    const { stored, call } = await told(t, { input: { a: 1 } });
    expect(stored[0]?.parts[0]).toMatchObject({ input: { a: 1 } });
    expect(call.input).toEqual({ a: 1 });
  });

  it.each(["missing", "constructor", "__proto__", "toString", "bad name!<|x|>"])(
    "for a tool %s that does not exist is told so",
    async (toolName) => {
      const { output, call } = await told(tool({ inputSchema: anything, execute: () => "ran" }), { toolName });
      expect(output.value).toBe(`There is no tool named ${JSON.stringify(toolName)}.`);
      expect(call.toolName).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    },
  );
});

describe("a tool's context", () => {
  it("has the call's id, passes calls of other agents the tool's own signal, and does not store messages", async () => {
    const seen: { id?: string; signal?: AbortSignal; emit?: unknown } = {};
    const t = tool({
      inputSchema: anything,
      execute: async (_, context) => {
        seen.id = context.toolCallId;
        await context.emit({ type: "data-progress", data: 1 });
        seen.emit = await context.emit({ type: "message", message: "between" }).catch((error: { code: string }) => error.code);
        return (await context.call("b", "question")).text;
      },
    });
    const call: AttemptOptions["call"] = async (agent, input, options) => {
      if (options?.signal !== undefined) seen.signal = options.signal;
      return { message: message("assistant", "x"), text: `${agent} heard ${input as string}` };
    };
    const { output, stored } = await told(t, { attempt: { call } });
    expect(output.value).toBe("b heard question");
    expect(seen.id).toBe("call-0-0");
    expect(seen.signal).toBeInstanceOf(AbortSignal);
    expect(seen.emit).toBe("INVALID_INPUT");
    expect(stored).toHaveLength(2);
  });

  it("logs a failure without its content", async () => {
    const lines: string[] = [];
    const write = (fields: object, text: string): void => void lines.push(JSON.stringify({ ...fields, text }));
    const logger: Logger = { debug: write, info: write, warn: write, error: write };
    await told(
      tool({
        inputSchema: anything,
        execute: () => {
          throw new Error("password=hunter2");
        },
      }),
      { attempt: { logger } },
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"toolName":"t"');
    expect(lines.join()).not.toContain("hunter2");
  });
});

describe("a call whose time is up before its tool runs", () => {
  it.each([
    ["its schema still checks", (late: Promise<unknown>) => ({ inputSchema: anything.refine(() => late.then(() => true)) })],
    ["it is still asked whether it needs approval", (late: Promise<unknown>) => ({ needsApproval: () => late.then(() => false) })],
  ])("because %s: the model is told that it did not run, and it never does", async (_, slow) => {
    let runs = 0;
    let answer = (): void => {};
    const late = new Promise<void>((resolve) => (answer = resolve));
    const given = { inputSchema: anything, execute: () => (runs += 1), ...slow(late) };
    const { output } = await told(tool(given as Tool), { toolTimeoutMs: 20 });
    expect(output).toEqual({
      type: "error-text",
      value: expect.stringMatching(/^The tool failed: it did not run: .* longer than 20 ms/) as string,
    });
    answer();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(runs).toBe(0);
  });
});
