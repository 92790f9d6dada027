import { isAixgoError } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, type ReActAgentOptions, type Tool, tool } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";
import { createConversation } from "./harness.ts";

const model = createScriptedModel([]);
const good: Tool = tool({ inputSchema: z.object({}), execute: () => null });
const standard = { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) };

function refused(options: unknown): string {
  try {
    createReActAgent(options as ReActAgentOptions);
  } catch (error) {
    if (isAixgoError(error, "INVALID_OPTION")) return error.message;
    throw error;
  }
  throw new Error("was accepted");
}

describe("createReActAgent", () => {
  it.each<[string, unknown, string]>([
    ["nothing", undefined, "options must be an object"],
    ["no name", { model }, "name is missing"],
    ["an empty name", { name: "", model }, "name must be"],
    ["no model", { name: "a" }, "model is missing"],
    ["a model id", { name: "a", model: "gpt" }, "model must be a model object"],
    ["an old model", { name: "a", model: { ...model, specificationVersion: "v2" } }, "specificationVersion v3 or v4"],
    ["an unknown option", { name: "a", model, maxStep: 3 }, "unknown option maxStep"],
    ["a step limit of 0", { name: "a", model, maxSteps: 0 }, "maxSteps must be"],
    ["a fraction", { name: "a", model, maxSteps: 1.5 }, "maxSteps must be"],
    ["a time above what timers take", { name: "a", model, toolTimeoutMs: 2 ** 31 }, "toolTimeoutMs must be"],
    ["a negative budget", { name: "a", model, history: { maxTokens: -1 } }, "history.maxTokens must be"],
    ["an unknown budget", { name: "a", model, history: { maxToken: 1 } }, "unknown option history.maxToken"],
    ["an unknown setting", { name: "a", model, settings: { temp: 1 } }, "unknown option settings.temp"],
    [
      "provider options that are no JSON",
      { name: "a", model, settings: { providerOptions: { p: 1n } } },
      "settings.providerOptions must be JSON",
    ],
    ["a bad tool name", { name: "a", model, tools: { "look up": good } }, '"look up"'],
    ["a tool that is none", { name: "a", model, tools: { t: 5 } }, "tools.t must be an object"],
    ["a tool without execute", { name: "a", model, tools: { t: { inputSchema: good.inputSchema } } }, "tools.t.execute is missing"],
    [
      "a plain JSON Schema in place of a schema",
      { name: "a", model, tools: { t: { ...good, inputSchema: { type: "object" } } } },
      "tools.t.inputSchema must be a Standard Schema",
    ],
    ["an unknown effect", { name: "a", model, tools: { t: { ...good, effect: "never" } } }, "tools.t.effect must be"],
    ["an approval in words", { name: "a", model, tools: { t: { ...good, needsApproval: "always" } } }, "tools.t.needsApproval must be"],
    [
      "a schema without JSON Schema",
      { name: "a", model, tools: { t: { ...good, inputSchema: { "~standard": standard } } } },
      "tools.t: its inputSchema has no JSON Schema",
    ],
    [
      "a schema that cannot be converted",
      { name: "a", model, tools: { t: { ...good, inputSchema: z.object({ a: z.bigint() }) } } },
      "tools.t: its inputSchema cannot be converted",
    ],
    [
      "an input that is no object",
      { name: "a", model, tools: { t: { ...good, inputSchema: z.string() } } },
      "tools.t: its input must be an object",
    ],
  ])("refuses %s, by name", (_, options, words) => {
    expect(refused(options)).toContain(words);
  });

  it("takes undefined options as not given", () => {
    // What plain JavaScript may pass, and `exactOptionalPropertyTypes` does not.
    const options: Record<string, unknown> = { maxSteps: undefined, tools: undefined, instructions: undefined };
    expect(createReActAgent({ name: "a", model, ...options }).name).toBe("a");
  });

  it.each<[string, Tool, unknown]>([
    [
      "Standard JSON Schema (zod 4.2 and later), as the model fills it in",
      tool({ inputSchema: z.object({ a: z.string().default("x"), b: z.number() }), execute: () => null }),
      { type: "object", required: ["b"] },
    ],
    [
      "the schema's own toJSONSchema",
      { inputSchema: { "~standard": standard, toJSONSchema: () => ({ type: "object", title: "own" }) } as never, execute: () => null },
      { title: "own" },
    ],
    ["jsonSchema, before all others", { ...good, jsonSchema: { type: "object", title: "given" } }, { title: "given" }],
    [
      "a schema that is a function, as arktype's are",
      {
        inputSchema: Object.assign(() => null, {
          "~standard": { ...standard, jsonSchema: { input: () => ({ type: "object", title: "ark" }) } },
        }) as never,
        execute: () => null,
      },
      { title: "ark" },
    ],
  ])("shows the model %s", async (_, given, schema) => {
    const used = createScriptedModel(["x"]);
    await createConversation().attempt(createReActAgent({ name: "a", model: used, tools: { t: { ...given, description: "does" } } }));
    expect(used.calls[0]?.tools).toMatchObject([{ name: "t", description: "does", inputSchema: schema }]);
  });

  it("runs a method of a class as execute, with its this", async () => {
    class Counter {
      inputSchema = z.object({});
      count = 4;
      execute(): number {
        return (this.count += 1);
      }
    }
    const used = createScriptedModel([{ toolCalls: [{ toolName: "count" }] }, "x"]);
    await createConversation().attempt(
      createReActAgent({
        name: "a",
        model: used,
        tools: { count: Object.defineProperty(new Counter(), "count", { enumerable: false }) as never },
      }),
    );
    expect(used.calls[1]?.prompt.at(-1)?.content[0].output).toEqual({ type: "json", value: 5 });
  });
});

describe("createScriptedModel", () => {
  it("answers in order, by functions of the call too, and fails beyond its last step", async () => {
    const used = createScriptedModel(["one", (call, index) => ({ text: `${index}: ${call.prompt.length}` })]);
    const agent = createReActAgent({ name: "a", model: used });
    const conversation = createConversation();
    await conversation.turn(agent, "x");
    expect((await conversation.turn(agent, "y")).answer.parts).toEqual([{ type: "text", text: "1: 3" }]);
    await expect(conversation.turn(agent, "z")).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("2 steps"),
    });
  });
});
