import { type Agent, createRuntime, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  createClassifierAgent,
  createPlannerAgent,
  createStructuredAgent,
  type Plan,
  planWaves,
  readClassification,
  readOutput,
  readPlan,
} from "../src/index.ts";
import { createScriptedModel, type ScriptedModel } from "../src/testing.ts";
import { createConversation, message } from "./harness.ts";

type Steps = Parameters<typeof createScriptedModel>[0];
const person = z.object({ name: z.string(), born: z.string().transform((text) => new Date(text)) });
const ada = '{"name":"Ada","born":"1815-12-10"}';

async function ask(steps: Steps, make: (model: ScriptedModel) => Agent) {
  const model = createScriptedModel(steps);
  await using runtime = createRuntime().register(make(model));
  await runtime.start();
  const reply = await runtime.call("a", "Who?");
  return { model, reply };
}
const structured = (model: ScriptedModel, more: object = {}) => createStructuredAgent({ name: "a", model, schema: person, ...more });

describe("a structured agent", () => {
  it("asks for JSON of the schema, and answers with it; readOutput gives what the schema makes of it", async () => {
    const { model, reply } = await ask([{ text: ada, usage: { inputTokens: 5, outputTokens: 2 } }], structured);
    expect(model.calls[0]?.["responseFormat"]).toEqual({
      type: "json",
      name: "answer",
      schema: expect.objectContaining({ type: "object", required: ["name", "born"] }),
    });
    expect(JSON.parse(reply.text)).toEqual({ name: "Ada", born: "1815-12-10" });
    expect(reply.usage).toEqual({ inputTokens: 5, outputTokens: 2 });
    const read: { name: string; born: Date } = await readOutput(person, reply);
    expect(read).toEqual({ name: "Ada", born: new Date("1815-12-10") });
    expect((await readOutput(person, reply.message)).name).toBe("Ada");
  });

  it.each([
    ["no JSON", "Ada, I think", "it is not JSON"],
    ["nothing", "", "it is empty"],
    ["another shape", '{"name":5,"born":"1815"}', "name: "],
  ])("gives an answer that is %s back once, with what is wrong", async (_what, bad, problem) => {
    const steps = [
      { text: bad, usage: { inputTokens: 1 } },
      { text: ada, usage: { inputTokens: 2 } },
    ];
    const { model, reply } = await ask(steps, structured);
    expect(reply.text).toBe(ada);
    expect(reply.usage).toEqual({ inputTokens: 3 });
    const repair = model.calls[1]?.prompt.at(-1);
    expect(repair?.role).toBe("user");
    expect(repair?.content[0].text).toContain(problem);
    if (bad !== "") expect(model.calls[1]?.prompt.at(-2)).toMatchObject({ role: "assistant", content: [{ text: bad }] });
  });

  it("fails with what is wrong after one repair, and after maxRepairs", async () => {
    await expect(ask(["x", '{"name":1}', ada], structured)).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringContaining("does not fit its schema after 2 calls"),
      details: { calls: 2, problem: expect.stringContaining("name: ") },
    });
    await expect(ask(["x", ada], (model) => structured(model, { maxRepairs: 0 }))).rejects.toMatchObject({ details: { calls: 1 } });
    expect((await ask(["x", "y", "z", ada], (model) => structured(model, { maxRepairs: 3 }))).reply.text).toBe(ada);
    await expect(
      ask(
        [
          { text: '{"na', finishReason: "length" },
          { text: '{"na', finishReason: "length" },
        ],
        structured,
      ),
    ).rejects.toThrow("it ended with length");
  });

  it("takes JSON in a code block, shows no deltas, and retries a failing model", async () => {
    const model = createScriptedModel([{ error: Object.assign(new Error("x"), { statusCode: 503 }) }, `\`\`\`json\n${ada}\n\`\`\``]);
    const done = await createConversation().attempt(structured(model, { retry: { minDelayMs: 1 } }));
    expect(done.answer.parts).toEqual([{ type: "text", text: ada }]);
    expect(done.events).toEqual([]);
  });

  it("takes any schema of JSON, not only objects", async () => {
    const { reply } = await ask(["[1, 2]"], (model) => createStructuredAgent({ name: "a", model, schema: z.array(z.number()) }));
    expect(await readOutput(z.array(z.number()), reply)).toEqual([1, 2]);
  });

  it("reads the history of its session, and its JSON is part of it", async () => {
    const model = createScriptedModel([ada, ada]);
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    await using runtime = createRuntime(withSessionManager(sessions)).register(structured(model, { instructions: "Find people." }));
    await runtime.start();
    const session = await sessions.create("a");
    await runtime.callWithSession("a", "Who?", session.id);
    await runtime.callWithSession("a", "Again?", session.id);
    expect(model.calls[1]?.prompt.map(({ role, content }) => [role, typeof content === "string" ? content : content[0].text])).toEqual([
      ["system", "Find people."],
      ["user", "Who?"],
      ["assistant", ada],
      ["user", "Again?"],
    ]);
    expect(await readOutput(person, (await session.messages()).at(-1) as never)).toMatchObject({ name: "Ada" });
  });

  it("is cancelled while the model is silent", async () => {
    const model = createScriptedModel([{ text: ada, delayMs: 60_000 }]);
    const stop = new AbortController();
    const failed = createConversation().attempt(structured(model), { signal: stop.signal });
    setTimeout(() => stop.abort(), 10);
    await expect(failed).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("that was given another reply says so when it is read", async () => {
    await expect(readOutput(person, { text: "Hello" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("it is not JSON"),
    });
    await expect(readOutput(person, { text: '{"born":"x"}' })).rejects.toThrow("name: ");
    await expect(readOutput({} as never, { text: ada })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    for (const none of [undefined, null, "Hello", {}, { text: 5 }, { parts: "x" }])
      await expect(readOutput(person, none as never)).rejects.toMatchObject({
        code: "INVALID_INPUT",
        message: expect.stringContaining("neither a reply with a text nor a message with parts") as string,
      });
  });

  it.each([
    [{ schema: undefined }, "schema is missing"],
    [{ schema: {} }, "schema must be a Standard Schema"],
    [{ schema: { "~standard": { version: 1, vendor: "x", validate: () => ({}) } } }, "give jsonSchema beside it"],
    [{ maxRepairs: -1 }, "maxRepairs"],
    [{ tools: {} }, "unknown option tools"],
    [{ settings: { heat: 1 } }, "settings.heat"],
    [{ retry: { maxRetries: NaN } }, "retry.maxRetries"],
    [{ history: { last: 1 } }, "history.last"],
    [{ name: "" }, "name"],
  ])("refuses the options %#", (options, words) => {
    expect(() => structured(createScriptedModel([]), options)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

const labels = { spam: "advertisements", ham: "everything else" };
const found = (label: string, confidence: unknown = 0.9) => JSON.stringify({ label, confidence, reason: "it sells pills" });

describe("a classifier", () => {
  const classifier =
    (more: object = {}) =>
    (model: ScriptedModel) =>
      createClassifierAgent({ name: "a", model, labels, ...more });

  it("tells the model the labels and reads its answer", async () => {
    const { model, reply } = await ask([found("spam")], classifier({ instructions: "You sort mail." }));
    expect(await readClassification(reply, labels)).toEqual({ label: "spam", confidence: 0.9, reason: "it sells pills" });
    expect(model.calls[0]?.prompt[0]?.content).toContain("You sort mail.\n");
    expect(model.calls[0]?.prompt[0]?.content).toContain("- ham: everything else");
    expect(model.calls[0]?.["responseFormat"]).toMatchObject({ schema: { properties: { label: { enum: ["spam", "ham"] } } } });
  });

  it("gives another label, or a confidence beyond 0 to 1, back once", async () => {
    const { model, reply } = await ask([found("eggs", 90), found("ham")], classifier());
    expect((await readClassification(reply)).label).toBe("ham");
    expect(model.calls[1]?.prompt.at(-1)?.content[0].text).toMatch(
      /label: must be one of spam, ham; confidence: must be a number from 0 to 1/,
    );
    await expect(ask([found("eggs"), found("eggs")], classifier())).rejects.toMatchObject({ code: "AGENT_FAILED" });
  });

  it("answers with the fallback when it is not sure enough", async () => {
    const sure = classifier({ fallback: "ham", minConfidence: 0.7 });
    expect(await readClassification((await ask([found("spam", 0.69)], sure)).reply)).toMatchObject({ label: "ham", confidence: 0.69 });
    expect(await readClassification((await ask([found("spam", 0.7)], sure)).reply)).toMatchObject({ label: "spam" });
  });

  it("that was given a reply of another says so when it is read", async () => {
    await expect(readClassification({ text: found("spam") }, ["ham", "eggs"])).rejects.toThrow("must be one of ham, eggs");
  });

  it.each([
    [{ labels: { one: "x" } }, "at least two"],
    [{ labels: ["a", "b"] }, "labels must be an object"],
    [{ labels: { a: 1, b: "x" } }, "labels.a"],
    [{ fallback: "ham" }, "fallback and minConfidence"],
    [{ fallback: "eggs", minConfidence: 0.5 }, "fallback must be one of the labels: spam, ham"],
    [{ fallback: "ham", minConfidence: 70 }, "minConfidence"],
    [{ label: "x" }, "unknown option label"],
  ])("refuses the options %j", (options, words) => {
    expect(() => classifier(options)(createScriptedModel([]))).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

const step = (id: string, ...dependsOn: string[]) => ({ id, task: `do ${id}`, dependsOn });
const plan = (...steps: object[]) => JSON.stringify({ goal: "tea", steps });

describe("a planner", () => {
  const planner =
    (more: object = {}) =>
    (model: ScriptedModel) =>
      createPlannerAgent({ name: "a", model, ...more });

  it("makes a plan whose waves can be done one after the other", async () => {
    const { reply } = await ask([plan(step("pour", "boil", "leaf"), step("boil"), step("leaf"), step("drink", "pour"))], planner());
    const read = await readPlan(reply);
    expect(planWaves(read).map((wave) => wave.map(({ id }) => id))).toEqual([["boil", "leaf"], ["pour"], ["drink"]]);
  });

  it.each([
    ["a circle", plan(step("a", "c"), step("b", "a"), step("c", "b"), step("d")), "in a circle: a, b, c"],
    ["a step that needs itself", plan(step("a", "a")), "in a circle: a"],
    ["a step that is not there", plan(step("a", "z")), 'names "z", which is no step'],
    ["an id twice", plan(step("a"), step("a")), 'used twice: "a"'],
    ["no steps", plan(), "must be a list that is not empty"],
    ["too many steps", plan(step("a"), step("b"), step("c"), step("d"), step("e")), "has 5 steps, at most 4"],
    ["no task", plan({ id: "a", dependsOn: [] }), "steps.0.task"],
    ["an agent that is not there", plan({ ...step("a"), agent: "chef" }), "must be one of kettle, cook"],
  ])("gives a plan with %s back once, with what is wrong", async (_what, bad, problem) => {
    const good = plan({ ...step("a"), agent: "cook" });
    const { model, reply } = await ask(
      [bad, good],
      planner({ maxSteps: 4, ...(bad.includes("chef") ? { agents: { kettle: "boils", cook: "cooks" } } : {}) }),
    );
    expect(model.calls[1]?.prompt.at(-1)?.content[0].text).toContain(problem);
    expect(reply.text).toBe(good);
  });

  it("that was given a reply without a plan says so when it is read", async () => {
    await expect(readPlan({ text: plan(step("a", "a")) })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("in a circle: a"),
    });
  });

  it("tells the model who can do the steps", async () => {
    const { model } = await ask([plan({ ...step("a"), agent: "cook" })], planner({ agents: { kettle: "boils water", cook: "cooks" } }));
    expect(model.calls[0]?.prompt[0]?.content).toContain("- kettle: boils water");
  });

  it("of any graph gives every step after all that it needs, or names a circle", () => {
    const id = fc.integer({ min: 0, max: 7 }).map(String);
    const graph = fc.uniqueArray(fc.record({ id, task: fc.constant("t"), dependsOn: fc.array(id, { maxLength: 3 }) }), {
      selector: (each) => each.id,
      minLength: 1,
    });
    fc.assert(
      fc.property(graph, (steps) => {
        const given: Plan = { goal: "g", steps };
        let ordered;
        try {
          ordered = planWaves(given);
        } catch (error) {
          expect(error).toMatchObject({ code: "INVALID_INPUT" });
          // Someone among those left truly waits for ever: there is no order in which all can be done.
          const done = new Set<string>();
          for (let round = 0; round < steps.length; round += 1)
            for (const each of steps) if (each.dependsOn.every((needed) => done.has(needed))) done.add(each.id);
          expect(done.size).toBeLessThan(steps.length);
          return;
        }
        const done = new Set<string>();
        for (const wave of ordered) {
          for (const { dependsOn } of wave) expect(dependsOn.every((needed) => done.has(needed))).toBe(true);
          for (const each of wave) done.add(each.id);
        }
        expect(done.size).toBe(steps.length);
      }),
    );
  });

  it("has no waves if it is no plan", () => {
    for (const none of [undefined, {}, { steps: "x" }, { steps: [null] }, { steps: [{ id: "a" }] }])
      expect(() => planWaves(none as never)).toThrowError(
        expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining("no plan") as string }),
      );
  });

  it.each([
    [{ agents: {} }, "agents must name at least one"],
    [{ agents: { a: 5 } }, "agents.a"],
    [{ maxSteps: 0 }, "maxSteps"],
  ])("refuses the options %j", (options, words) => {
    expect(() => planner(options)(createScriptedModel([]))).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

it("an input without text is refused before the model is called", async () => {
  const model = createScriptedModel([ada]);
  await expect(createConversation([], message("user", [{ type: "data-x", data: 1 }])).attempt(structured(model))).rejects.toMatchObject({
    code: "INVALID_INPUT",
  });
  expect(model.calls).toHaveLength(0);
});
