import {
  Agent,
  type AgentInputItem,
  MemorySession,
  type Model,
  type ModelRequest,
  type ModelResponse,
  run,
  type Session,
  setTracingDisabled,
  type StreamEvent,
  tool,
  Usage,
} from "@openai/agents";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { asOpenAISession } from "../src/index.ts";
import { fileStore, memoryStore, newSession, type Store } from "./stores.ts";

beforeAll(() => setTracingDisabled(true));

type Output = Extract<StreamEvent, { type: "response_done" }>["response"]["output"][number];

const says = (text: string): Output => ({
  id: "msg",
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text }],
});
const calls = (callId: string, name = "lookup"): Output => ({
  id: `fc_${callId}`,
  type: "function_call",
  callId,
  name,
  status: "completed",
  arguments: JSON.stringify({ id: callId }),
});

/** A model that gives these outputs one after the other, and remembers what it was asked. */
class ScriptedModel implements Model {
  readonly asked: unknown[] = [];
  readonly #outputs: (readonly Output[] | Error)[];

  constructor(...outputs: (readonly Output[] | Error)[]) {
    this.#outputs = outputs;
  }

  async getResponse(request: ModelRequest): Promise<ModelResponse> {
    return { output: this.#next(request), usage: new Usage() };
  }

  async *getStreamedResponse(request: ModelRequest): AsyncIterable<StreamEvent> {
    const output = this.#next(request);
    yield { type: "response_started" };
    yield {
      type: "response_done",
      response: { id: "resp", output, usage: { requests: 1, inputTokens: 1, outputTokens: 1, totalTokens: 2 } },
    };
  }

  #next({ input }: ModelRequest): Output[] {
    this.asked.push(structuredClone(input));
    const output = this.#outputs.shift();
    if (output === undefined) throw new Error("the model was asked once more than planned");
    if (output instanceof Error) throw output;
    return structuredClone([...output]);
  }
}

function assistant(model: Model, options: { readonly needsApproval?: boolean; readonly execute?: (id: string) => unknown } = {}): Agent {
  const lookup = tool({
    name: "lookup",
    description: "Looks up",
    parameters: z.object({ id: z.string() }),
    needsApproval: options.needsApproval ?? false,
    execute: ({ id }) => options.execute?.(id) ?? `found ${id}`,
  });
  return new Agent({ name: "assistant", instructions: "Be brief.", model, tools: [lookup] });
}

/** What a model is asked and a session holds must be the same as with the SDK's own session. */
async function compare(scenario: (session: Session) => Promise<unknown>): Promise<void> {
  const seen: unknown[] = [];
  for (const session of [new MemorySession(), asOpenAISession(await newSession(fileStore()))]) {
    const asked = await scenario(session);
    seen.push({ asked, items: await session.getItems() });
  }
  expect(seen[1]).toEqual(seen[0]);
}

describe("runs of the SDK are the same as with its own MemorySession", () => {
  it("turns that remember, with calls made one by one and together", () =>
    compare(async (session) => {
      const model = new ScriptedModel([says("Hello Ada.")], [calls("1"), calls("2")], [calls("3")], [says("Three things.")]);
      const agent = assistant(model);
      await run(agent, "My name is Ada", { session });
      const { finalOutput } = await run(agent, "Look up three things", { session });
      expect(finalOutput).toBe("Three things.");
      return model.asked;
    }));

  it("streamed", () =>
    compare(async (session) => {
      const model = new ScriptedModel([calls("1")], [says("One.")], [says("Two.")]);
      for (const question of ["first", "second"]) {
        const stream = await run(assistant(model), question, { session, stream: true });
        for await (const _ of stream);
        await stream.completed;
      }
      return model.asked;
    }));

  it("a tool that throws, and a model that fails and is asked again", () =>
    compare(async (session) => {
      const model = new ScriptedModel([calls("1")], new Error("503"), [says("It is not there.")]);
      const agent = assistant(model, {
        execute: () => {
          throw new Error("no such thing");
        },
      });
      await expect(run(agent, "Look", { session })).rejects.toThrow("503");
      await run(agent, "Once more", { session });
      return model.asked;
    }));

  it("a call that a person approves, and one that is rejected", () =>
    compare(async (session) => {
      const model = new ScriptedModel([calls("1"), calls("2")], [says("Done.")], [says("Later.")]);
      const agent = assistant(model, { needsApproval: true });
      const first = await run(agent, "Look", { session });
      expect(first.interruptions).toHaveLength(2);
      const [one, two] = first.interruptions;
      if (one !== undefined) first.state.approve(one);
      if (two !== undefined) first.state.reject(two);
      const second = await run(agent, first.state, { session });
      expect(second.finalOutput).toBe("Done.");
      await run(agent, "And now?", { session });
      return model.asked;
    }));

  it("a hand-off to another agent", () =>
    compare(async (session) => {
      const expert = new Agent({ name: "expert", model: new ScriptedModel([says("I know.")]) });
      const model = new ScriptedModel([calls("h", "transfer_to_expert")]);
      const desk = new Agent({ name: "desk", model, handoffs: [expert] });
      const { finalOutput } = await run(desk, "Who knows?", { session });
      expect(finalOutput).toBe("I know.");
      return model.asked;
    }));

  it("a sessionInputCallback that shortens the history", () =>
    compare(async (session) => {
      const model = new ScriptedModel([says("1")], [says("2")], [says("3")]);
      const agent = assistant(model);
      const sessionInputCallback = (history: AgentInputItem[], input: AgentInputItem[]): AgentInputItem[] => [
        ...history.slice(-2),
        ...input,
      ];
      for (const question of ["a", "b", "c"]) await run(agent, question, { session, sessionInputCallback });
      expect(model.asked.at(-1)).toHaveLength(3);
      return model.asked;
    }));

  it("a question that is asked in other words: the last two items are popped", () =>
    compare(async (session) => {
      const model = new ScriptedModel([says("2")], [says("I do not understand")], [says("4")]);
      const agent = assistant(model);
      await run(agent, "1+1?", { session });
      await run(agent, "2++2?", { session });
      await session.popItem();
      await session.popItem();
      await run(agent, "2+2?", { session });
      return model.asked;
    }));
});

describe("what MemorySession cannot", () => {
  /** The session as a new process opens it. */
  async function reopened(store: Store, id: string): Promise<Session> {
    return asOpenAISession(await store.open().get(id));
  }

  it("a conversation goes on after a restart", async () => {
    const store = fileStore();
    const { id } = await newSession(store);
    await run(assistant(new ScriptedModel([calls("1")], [says("Found.")])), "My name is Ada", { session: await reopened(store, id) });
    const model = new ScriptedModel([says("Ada.")]);
    const { finalOutput } = await run(assistant(model), "What is my name?", { session: await reopened(store, id) });
    expect(finalOutput).toBe("Ada.");
    expect(model.asked[0]).toMatchObject([
      { role: "user", content: "My name is Ada" },
      { type: "function_call", callId: "1" },
      { type: "function_call_result", callId: "1", output: { type: "text", text: "found 1" } },
      { role: "assistant" },
      { role: "user", content: "What is my name?" },
    ]);
  });

  it("a call that waits for a person is approved in another process", async () => {
    const store = fileStore();
    const { id } = await newSession(store);
    const waiting = await run(assistant(new ScriptedModel([calls("1")]), { needsApproval: true }), "Look", {
      session: await reopened(store, id),
    });
    const saved = waiting.state.toString();

    const { RunState } = await import("@openai/agents");
    const model = new ScriptedModel([says("Done.")]);
    const agent = assistant(model, { needsApproval: true });
    const state = await RunState.fromString(agent, saved);
    for (const each of state.getInterruptions()) state.approve(each);
    const { finalOutput } = await run(agent, state, { session: await reopened(store, id) });
    expect(finalOutput).toBe("Done.");
    const types = (await (await reopened(store, id)).getItems()).map((item) => item.type ?? "message");
    expect(types).toEqual(["message", "function_call", "function_call_result", "message"]);
  });

  it("two runs at once in two processes leave both, each in its order", async () => {
    const store = memoryStore();
    const { id } = await newSession(store);
    await Promise.all(
      ["alpha", "beta"].map(async (name) =>
        run(assistant(new ScriptedModel([calls(`${name}1`)], [says(`${name} done`)])), name, { session: await reopened(store, id) }),
      ),
    );
    const items = await (await reopened(store, id)).getItems();
    expect(items).toHaveLength(8);
    for (const name of ["alpha", "beta"]) {
      const mine = items.filter((item) => JSON.stringify(item).includes(name)).map((item) => item.type ?? "message");
      expect(mine).toEqual(["message", "function_call", "function_call_result", "message"]);
    }
    expect(
      (
        await store
          .open()
          .get(id)
          .then((session) => session.verify())
      ).problems,
    ).toEqual([]);
  });
});
