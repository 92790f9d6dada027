import { createRuntime, type Reply, type Runtime, textOf, type ToolResultPart, withSessionManager } from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createReActAgent, tool, type Tool } from "../src/index.ts";
import { createScriptedModel, type ScriptedModel } from "../src/testing.ts";

type Steps = Parameters<typeof createScriptedModel>[0];

interface Node {
  readonly model: ScriptedModel;
  readonly runtime: Runtime;
}
/** A process that knows the agent, on a store that outlives it. */
async function node(sessions: SessionManager, steps: Steps, tools: Record<string, Tool>, maxParallelTools = 8): Promise<Node> {
  const model = createScriptedModel(steps);
  const runtime = createRuntime(withSessionManager(sessions)).register(
    createReActAgent({ name: "assistant", model, tools, maxParallelTools }),
  );
  await runtime.start();
  return { model, runtime };
}

async function store(): Promise<{ readonly sessions: SessionManager; readonly session: Session }> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  return { sessions, session: await sessions.create("assistant") };
}

const payment = z.object({ to: z.string(), amount: z.number() });
function bank(more: Partial<Tool> = {}): { readonly pay: Tool; readonly paid: string[] } {
  const paid: string[] = [];
  const pay = tool({
    description: "pays",
    inputSchema: payment,
    needsApproval: true,
    execute: ({ to, amount }) => {
      paid.push(`${to} ${amount}`);
      return { paid: amount };
    },
    ...more,
  });
  return { pay, paid };
}
const pays = (...to: string[]): Steps[number] => ({ toolCalls: to.map((name) => ({ toolName: "pay", input: { to: name, amount: 5 } })) });
const idsOf = (reply: Reply): string[] => reply.turn?.requests?.map(({ requestId }) => requestId) ?? [];
const outputs = async (session: Session): Promise<unknown[]> =>
  (await session.messages())
    .flatMap(({ parts }) => parts.filter((part): part is ToolResultPart => part.type === "tool-result"))
    .map(({ output }) => output);
const wellFormed = async (session: Session): Promise<void> => expect((await session.verify()).problems).toEqual([]);

describe("a tool that needs approval", () => {
  it("waits, with what is to be decided, and runs once it is approved: on a node that never saw the question", async () => {
    const { sessions, session } = await store();
    const { pay, paid } = bank();
    const first = await node(sessions, [pays("bob")], { pay });
    const reply = await first.runtime.callWithSession("assistant", "pay bob", session.id);
    expect(reply.turn).toMatchObject({
      status: "suspended",
      requests: [
        {
          reason: 'The tool "pay" needs approval.',
          data: { type: "tool-approval", toolCallId: "call-0-0", toolName: "pay", input: { to: "bob", amount: 5 } },
        },
      ],
    });
    expect(paid).toEqual([]);
    await first.runtime.stop();
    const second = await node(sessions, ["Bob has his money."], { pay });
    const [id] = idsOf(reply) as [string];
    expect((await second.runtime.resume(session.id, id, { approved: true })).text).toBe("Bob has his money.");
    expect((await second.runtime.resume(session.id, id, { approved: false })).text).toBe("Bob has his money.");
    expect(paid).toEqual(["bob 5"]);
    expect(second.model.calls).toHaveLength(1);
    expect(JSON.stringify(second.model.calls[0]?.prompt)).toContain('{"paid":5}');
    expect((await session.messages()).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    await wellFormed(session);
  });

  it("is not run when it is denied; the model is told the reason, and nothing that is no answer approves", async () => {
    for (const [decision, output] of [
      [false, { type: "execution-denied" }],
      [
        { approved: false, reason: "too much" },
        { type: "execution-denied", reason: "too much" },
      ],
      [{ approved: "true" }, { type: "execution-denied", reason: "the answer was neither true, false nor { approved, reason }" }],
      ["yes", { type: "execution-denied", reason: "the answer was neither true, false nor { approved, reason }" }],
      [1, { type: "execution-denied", reason: "the answer was neither true, false nor { approved, reason }" }],
    ] as const) {
      const { sessions, session } = await store();
      const { pay, paid } = bank();
      const { runtime, model } = await node(sessions, [pays("bob"), "Not paid."], { pay });
      const reply = await runtime.callWithSession("assistant", "pay bob", session.id);
      expect((await runtime.resume(session.id, idsOf(reply)[0] as string, decision)).text).toBe("Not paid.");
      expect(paid).toEqual([]);
      expect(await outputs(session)).toEqual([output]);
      expect(JSON.stringify(model.calls[1]?.prompt)).toContain("execution-denied");
    }
  });

  it("is not run when it was denied, though it would not need approval any more", async () => {
    const { sessions, session } = await store();
    let limit = 1;
    const { pay, paid } = bank({ needsApproval: ({ amount }: { readonly amount: number }) => amount > limit });
    const { runtime, model } = await node(sessions, [pays("bob", "carol"), "done"], { pay });
    const [bob, carol] = idsOf(await runtime.callWithSession("assistant", "pay them", session.id)) as [string, string];
    limit = 100;
    await runtime.resume(session.id, bob, { approved: false, reason: "not him" });
    expect((await runtime.resume(session.id, carol, true)).text).toBe("done");
    expect(paid).toEqual(["carol 5"]);
    expect(await outputs(session)).toEqual(
      expect.arrayContaining([
        { type: "execution-denied", reason: "not him" },
        { type: "json", value: { paid: 5 } },
      ]),
    );
    expect(model.calls).toHaveLength(2);
    await wellFormed(session);
  });

  it("waits once the step's other calls have run and are stored, and several wait together", async () => {
    const { sessions, session } = await store();
    const { pay, paid } = bank();
    const looked: string[] = [];
    const look = tool({
      inputSchema: z.object({ at: z.string() }),
      execute: async ({ at }) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        looked.push(at);
        return at;
      },
    });
    const step = {
      toolCalls: [
        { toolName: "pay", input: { to: "bob", amount: 1 } },
        { toolName: "look", input: { at: "a" } },
        { toolName: "pay", input: { to: "eve", amount: 2 } },
        { toolName: "look", input: { at: "b" } },
        { toolName: "pay", input: { to: "zoe", amount: 3 } },
      ],
    };
    const { runtime } = await node(sessions, [step, "Done."], { pay, look }, 2);
    const reply = await runtime.callWithSession("assistant", "go", session.id);
    expect(idsOf(reply)).toHaveLength(3);
    expect(looked).toEqual(["a", "b"]);
    expect((await outputs(session)).filter((output) => (output as { type: string }).type === "text")).toHaveLength(2);
    const [bob, eve, zoe] = idsOf(reply) as [string, string, string];
    expect(idsOf(await runtime.resume(session.id, zoe, true))).toEqual([bob, eve]);
    expect(idsOf(await runtime.resume(session.id, bob, { approved: false, reason: "no" }))).toEqual([eve]);
    expect(paid).toEqual([]);
    expect((await runtime.resume(session.id, eve, true)).text).toBe("Done.");
    expect(paid.toSorted()).toEqual(["eve 2", "zoe 3"]);
    expect(looked).toEqual(["a", "b"]);
    await wellFormed(session);
  });

  it("asks as its checked input demands; a bad input is not asked for, nor one whose question breaks", async () => {
    const { sessions, session } = await store();
    const { pay, paid } = bank({
      needsApproval: async ({ amount }: { amount: number }) => {
        if (amount === 13) throw new Error("unlucky");
        return amount > 100;
      },
    });
    const calls = [
      { to: "bob", amount: 5 },
      { to: "bob", amount: "x" },
      { to: "bob", amount: 13 },
      { to: "eve", amount: 500 },
    ];
    const { runtime } = await node(sessions, [{ toolCalls: calls.map((input) => ({ toolName: "pay", input })) }, "Ok."], { pay });
    const reply = await runtime.callWithSession("assistant", "go", session.id);
    expect(reply.turn?.requests?.map(({ data }) => (data as { input: unknown }).input)).toEqual([{ to: "eve", amount: 500 }]);
    expect(paid).toEqual(["bob 5"]);
    const told = JSON.stringify(await outputs(session));
    expect(told).toContain("Invalid input");
    expect(told).toContain("unlucky");
    expect((await runtime.resume(session.id, idsOf(reply)[0] as string, true)).text).toBe("Ok.");
    expect(paid).toEqual(["bob 5", "eve 500"]);
  });

  it("is asked for anew in each step and turn, though the provider uses its ids again", async () => {
    const { sessions, session } = await store();
    const { pay, paid } = bank();
    const same = (to: string): Steps[number] => ({ toolCalls: [{ toolName: "pay", toolCallId: "call_1", input: { to, amount: 1 } }] });
    const { runtime } = await node(sessions, [same("a"), same("b"), "One.", same("c"), "Two."], { pay });
    const ids: string[] = [];
    let reply = await runtime.callWithSession("assistant", "one", session.id);
    for (const text of [undefined, "One."]) {
      ids.push(...idsOf(reply));
      reply = await runtime.resume(session.id, ids.at(-1) as string, true);
      expect(reply.turn?.status).toBe(text === undefined ? "suspended" : "completed");
    }
    expect(reply.text).toBe("One.");
    reply = await runtime.callWithSession("assistant", "two", session.id);
    ids.push(...idsOf(reply));
    expect(new Set(ids).size).toBe(3);
    expect(paid).toEqual(["a 1", "b 1"]);
    expect((await runtime.resume(session.id, ids[0] as string, true)).text).toBe("One.");
    expect(paid).toEqual(["a 1", "b 1"]);
    await runtime.resume(session.id, ids[2] as string, false);
    expect(paid).toEqual(["a 1", "b 1"]);
  });

  it("of effect once runs after its approval, and never again when that attempt was cut off", async () => {
    for (const [effect, runs] of [
      ["once", 1],
      ["idempotent", 2],
    ] as const) {
      const { sessions, session } = await store();
      let started = 0;
      let hangs = true;
      const { pay } = bank({
        effect,
        execute: async (_: unknown, { signal }: { signal: AbortSignal }) => {
          started += 1;
          if (hangs) await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
          return "paid";
        },
      });
      const { runtime } = await node(sessions, [pays("bob"), "Done."], { pay });
      const reply = await runtime.callWithSession("assistant", "go", session.id);
      const [id] = idsOf(reply) as [string];
      await expect(runtime.resume(session.id, id, true, { timeoutMs: 50 })).rejects.toMatchObject({ code: "TIMEOUT" });
      expect(started).toBe(1);
      hangs = false;
      expect((await runtime.resume(session.id, id, true)).text).toBe("Done.");
      expect(started).toBe(runs);
      expect(JSON.stringify(await outputs(session))).toContain(effect === "once" ? "at most once" : "paid");
      await wellFormed(session);
    }
  });

  it("is declined by a new message that says so, and the model is told", async () => {
    const { sessions, session } = await store();
    const { pay, paid } = bank();
    const { runtime, model } = await node(sessions, [pays("bob", "eve"), "Fine, no payment."], { pay });
    const reply = await runtime.callWithSession("assistant", "go", session.id);
    await expect(runtime.callWithSession("assistant", "stop that", session.id)).rejects.toMatchObject({ code: "TURN_SUSPENDED" });
    expect((await runtime.callWithSession("assistant", "stop that", session.id, { ifSuspended: "decline" })).text).toBe(
      "Fine, no payment.",
    );
    const prompt = JSON.stringify(model.calls[1]?.prompt);
    expect(prompt.match(/execution-denied/g)).toHaveLength(2);
    expect(prompt).not.toContain("Interrupted");
    expect(paid).toEqual([]);
    await expect(runtime.resume(session.id, idsOf(reply)[0] as string, true)).rejects.toMatchObject({ code: "ENTRY_NOT_FOUND" });
    await wellFormed(session);
  });

  it("never runs in a call without a session: nobody could be asked", async () => {
    const { sessions } = await store();
    const { pay, paid } = bank();
    const { runtime } = await node(sessions, [pays("bob"), "never"], { pay });
    await expect(runtime.call("assistant", "go")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("no session") as string,
    });
    expect(paid).toEqual([]);
  });

  it("is refused with an option that is neither a boolean nor a function", () => {
    const { pay } = bank({ needsApproval: "yes" as never });
    expect(() => createReActAgent({ name: "x", model: createScriptedModel([]), tools: { pay } })).toThrow(
      /tools\.pay\.needsApproval must be true, false or a function/,
    );
  });
});

describe("a tool that asks while it runs", () => {
  it("has no result until it is answered, whatever it makes of the error, and then runs from its beginning", async () => {
    const { sessions, session } = await store();
    const began: string[] = [];
    const ask = (swallows: boolean): Tool =>
      tool({
        inputSchema: z.object({}),
        execute: async (_, context) => {
          began.push(context.toolCallId);
          const asked = context.suspend({ requestId: `${context.session?.turnId}/${context.toolCallId}`, reason: "which colour?" });
          return swallows ? await asked.catch(() => "no answer") : await asked;
        },
      });
    const { runtime } = await node(sessions, [{ toolCalls: [{ toolName: "lets" }, { toolName: "swallows" }] }, "Blue and red."], {
      lets: ask(false),
      swallows: ask(true),
    });
    const reply = await runtime.callWithSession("assistant", "go", session.id);
    const [first, second] = idsOf(reply) as [string, string];
    expect(await outputs(session)).toMatchObject([{ type: "interrupted" }, { type: "interrupted" }]);
    await runtime.resume(session.id, second, "red");
    expect((await runtime.resume(session.id, first, "blue")).text).toBe("Blue and red.");
    expect(began).toEqual(["call-0-0", "call-0-1", "call-0-0", "call-0-1"]);
    expect((await outputs(session)).toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))).toEqual([
      { type: "text", value: "blue" },
      { type: "text", value: "red" },
    ]);
    expect((await session.messages()).map(textOf).at(-1)).toBe("Blue and red.");
  });

  it("that asks wrongly fails as tools fail, and the model is told", async () => {
    const { sessions, session } = await store();
    const bad = tool({ inputSchema: z.object({}), execute: (_, context) => context.suspend({ requestId: "" } as never) });
    const { runtime } = await node(sessions, [{ toolCalls: [{ toolName: "bad" }] }, "It broke."], { bad });
    expect((await runtime.callWithSession("assistant", "go", session.id)).text).toBe("It broke.");
    expect(JSON.stringify(await outputs(session))).toContain("request.requestId");
  });
});
