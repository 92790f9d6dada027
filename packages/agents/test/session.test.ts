import { createRuntime, type Message, textOf, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, tool, type Tool } from "../src/index.ts";
import { createScriptedModel, type ScriptedModel } from "../src/testing.ts";

type Steps = Parameters<typeof createScriptedModel>[0];

async function assistant(
  steps: Steps,
  tools: Record<string, Tool> = {},
): Promise<{
  model: ScriptedModel;
  session: Session;
  ask(text: string, turnKey?: string): Promise<string>;
  cancel(): Promise<boolean>;
  restart(next: Steps): ReturnType<typeof assistant>;
}> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const session = await sessions.create("assistant");
  const open = async (script: Steps): ReturnType<typeof assistant> => {
    const model = createScriptedModel(script);
    const runtime = createRuntime(withSessionManager(sessions)).register(
      createReActAgent({ name: "assistant", model, instructions: "Be brief.", tools }),
    );
    await runtime.start();
    const ask = async (text: string, turnKey?: string): Promise<string> =>
      (await runtime.callWithSession("assistant", text, session.id, turnKey === undefined ? {} : { turnKey })).text;
    return { model, session, ask, cancel: () => sessions.cancelTurn(session.id), restart: open };
  };
  return open(steps);
}

const told = (model: ScriptedModel, call = -1): string[] =>
  (model.calls.at(call)?.prompt ?? []).map(
    ({ role, content }) =>
      `${role}: ${typeof content === "string" ? content : (content as Message["parts"]).map((part) => ("text" in part ? part.text : part.type)).join(",")}`,
  );

const numbers = z.object({ a: z.number(), b: z.number() });
const add = tool({ description: "adds", inputSchema: numbers, execute: ({ a, b }) => a + b });

describe("a ReAct agent with a session", () => {
  it("shows the model each earlier turn exactly once, in order, before the input", async () => {
    const { model, ask } = await assistant(["Hello Ada.", "Nice.", "Your name is Ada."]);
    await ask("I am Ada");
    await ask("I like blue");
    await ask("Who am I?");
    expect(told(model)).toEqual([
      "system: Be brief.",
      "user: I am Ada",
      "assistant: Hello Ada.",
      "user: I like blue",
      "assistant: Nice.",
      "user: Who am I?",
    ]);
  });

  it("stores each step as it happens, shows the model every result, and answers", async () => {
    const { model, session, ask } = await assistant(
      [
        {
          toolCalls: [
            { toolName: "add", input: { a: 1, b: 2 } },
            { toolName: "add", input: { a: 3, b: 4 } },
          ],
        },
        { toolCalls: [{ toolName: "add", input: { a: 3, b: 7 } }] },
        "Ten.",
      ],
      { add },
    );
    expect(await ask("1+2+3+4?")).toBe("Ten.");
    expect((await session.messages()).map(({ role }) => role)).toEqual([
      "user",
      "assistant",
      "tool",
      "tool",
      "assistant",
      "tool",
      "assistant",
    ]);
    expect(model.calls).toHaveLength(3);
    expect(JSON.stringify(model.calls[2]?.prompt)).toContain('"value":10');
    expect((await session.verify()).problems).toEqual([]);
  });

  it("goes on where a failed attempt stopped: stored results stay, a `once` tool is not run again, others are", async () => {
    const ran: string[] = [];
    let isHanging = true;
    const work = (name: string, effect: "once" | "idempotent", hangs: boolean): Tool =>
      tool({
        description: name,
        inputSchema: z.object({}),
        effect,
        execute: async (_, { signal }) => {
          ran.push(name);
          if (hangs && isHanging)
            await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }));
          return `${name} done`;
        },
      });
    const tools = { fast: work("fast", "idempotent", false), slow: work("slow", "idempotent", true), pay: work("pay", "once", true) };
    const first = await assistant([{ toolCalls: [{ toolName: "fast" }, { toolName: "slow" }, { toolName: "pay" }] }], tools);
    const { session } = first;
    const dying = first.ask("go", "k").catch(() => "cancelled");
    while ((await session.messages()).filter(({ role }) => role === "tool").length === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    while (ran.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    isHanging = false;
    expect(await first.cancel()).toBe(true);
    expect(await dying).toBe("cancelled");

    const second = await first.restart(["All done."]);
    expect(await second.ask("go", "k")).toBe("All done.");
    expect(ran).toEqual(["fast", "slow", "pay", "slow"]);
    const prompt = JSON.stringify(second.model.calls[0]?.prompt);
    expect(prompt).toContain("fast done");
    expect(prompt).toContain("slow done");
    expect(prompt).toMatch(/at most once|unknown/);
    expect((await session.messages()).filter((message) => textOf(message) === "go")).toHaveLength(1);
    expect(await second.ask("go", "k")).toBe("All done.");
    expect(second.model.calls).toHaveLength(1);
  });

  it("returns an answer that was stored before the turn's end was, without asking the model again", async () => {
    const { session, restart, ask } = await assistant([]);
    await expect(
      session.turn(
        "q",
        async (turn) => {
          await turn.append({ role: "assistant", parts: [{ type: "text", text: "stored answer" }] });
          throw new Error("died before the end");
        },
        { turnKey: "k" },
      ),
    ).rejects.toThrow("died");
    expect(await ask("q", "k")).toBe("stored answer");
    const { model } = await restart([]);
    expect(model.calls).toHaveLength(0);
    expect((await session.messages()).map(textOf)).toEqual(["q", "stored answer"]);
  });

  it("a model that fails or calls what does not exist leaves a session whose next turn works", async () => {
    const { session, ask, model } = await assistant(
      [{ error: new Error("503") }, { toolCalls: [{ toolName: "nothing" }] }, "There is no such tool.", "Fine."],
      { add },
    );
    await expect(ask("one")).rejects.toMatchObject({ code: "AGENT_FAILED" });
    expect(await ask("two")).toBe("There is no such tool.");
    expect(await ask("three")).toBe("Fine.");
    expect(model.calls).toHaveLength(4);
    expect((await session.verify()).problems).toEqual([]);
  });
});
