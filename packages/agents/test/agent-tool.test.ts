import {
  createRuntime,
  type Json,
  type Reply,
  type Runtime,
  type ToolResultPart,
  withMaxConcurrentCalls,
  withSessionManager,
} from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type AgentToolOptions, createAgentTool, createReActAgent, tool, type Tool } from "../src/index.ts";
import { createScriptedModel, type ScriptedCall, type ScriptedModel, type ScriptedStep } from "../src/testing.ts";

type Steps = Parameters<typeof createScriptedModel>[0];

interface Node {
  readonly runtime: Runtime;
  readonly boss: ScriptedModel;
  readonly clerk: ScriptedModel;
}
/** A process that knows both agents, on a store that outlives it. */
async function node(
  sessions: SessionManager,
  steps: { boss: Steps; clerk: Steps },
  more: { tools?: Record<string, Tool>; tool?: Partial<AgentToolOptions> & Partial<Tool> } = {},
): Promise<Node> {
  const [boss, clerk] = [createScriptedModel(steps.boss), createScriptedModel(steps.clerk)];
  const runtime = createRuntime(withSessionManager(sessions));
  const { needsApproval, ...options } = more.tool ?? {};
  const ask = createAgentTool({ agent: "clerk", description: "knows and pays", runtime, sessions, ...options });
  runtime
    .register(
      createReActAgent({ name: "boss", model: boss, tools: { clerk: needsApproval === undefined ? ask : { ...ask, needsApproval } } }),
    )
    .register(createReActAgent({ name: "clerk", model: clerk, tools: more.tools ?? {} }));
  await runtime.start();
  return { runtime, boss, clerk };
}

async function store(): Promise<{ readonly sessions: SessionManager; readonly session: Session }> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  return { sessions, session: await sessions.create("boss", { userId: "ada" }) };
}

const asks = (...tasks: string[]): Steps[number] => ({ toolCalls: tasks.map((task) => ({ toolName: "clerk", input: { task } })) });
const asksAs = (toolCallId: string, task: string): Steps[number] => ({ toolCalls: [{ toolCallId, toolName: "clerk", input: { task } }] });
const pays = (...to: string[]): Steps[number] => ({ toolCalls: to.map((name) => ({ toolName: "pay", input: { to: name } })) });

function bank(): { readonly tools: { pay: Tool }; readonly paid: string[] } {
  const paid: string[] = [];
  const pay = tool({
    inputSchema: z.object({ to: z.string() }),
    needsApproval: true,
    execute: ({ to }) => {
      paid.push(to);
      return "paid";
    },
  });
  return { tools: { pay }, paid };
}

const idsOf = (reply: Reply): string[] => reply.turn?.requests?.map(({ requestId }) => requestId) ?? [];
async function results(session: Session): Promise<unknown[]> {
  const parts = (await session.messages()).flatMap((message) => message.parts);
  return parts
    .filter((part): part is ToolResultPart => part.type === "tool-result")
    .map(({ output }) => ("value" in output ? output.value : output));
}
async function clerks(sessions: SessionManager): Promise<Session[]> {
  const found: Session[] = [];
  for await (const { id } of sessions.listAll({ agentName: "clerk" })) found.push(await sessions.get(id));
  return found;
}

describe("an agent as a tool", () => {
  it("is given the task, and its answer is told; without sessions it is a sub-call, which is lent the conversation where asked", async () => {
    for (const history of [false, true]) {
      const { sessions, session } = await store();
      await session.append("My name is Ada.");
      const { runtime, boss, clerk } = await node(
        sessions,
        { boss: [asks("look up the rent"), "It is 5."], clerk: ["5"] },
        { tool: { runtime: undefined, sessions: undefined, history } as unknown as Partial<AgentToolOptions> },
      );
      expect((await runtime.callWithSession("boss", "What is the rent?", session.id)).text).toBe("It is 5.");
      expect(await results(session)).toEqual(["5"]);
      const seen = JSON.stringify(clerk.calls[0]?.prompt);
      expect(seen).toContain("look up the rent");
      expect(seen.includes("My name is Ada.")).toBe(history);
      expect(JSON.stringify(boss.calls[0]?.tools)).toContain('"required":["task"]');
      expect(await clerks(sessions)).toEqual([]);
    }
  });

  it("has a session of its own for each call, the user's, which names the call, also where a provider uses an id again", async () => {
    const { sessions, session } = await store();
    const { runtime } = await node(sessions, {
      boss: [asksAs("same", "a"), asksAs("same", "a"), asks("b"), "Done."],
      clerk: ["1", "2", "3"],
    });
    await runtime.callWithSession("boss", "go", session.id);
    const found = (await sessions.list({ agentName: "clerk" })).items;
    expect(found).toHaveLength(3);
    for (const { id, userId, metadata } of found) {
      expect(userId).toBe("ada");
      expect(metadata?.["parent"]).toMatchObject({ sessionId: session.id, toolCallId: expect.stringMatching(/^same|^call/) as string });
      expect(await (await sessions.get(id)).messages()).toHaveLength(2);
    }
    expect(await results(session)).toEqual(["1", "2", "3"]);
  });

  it("asks through the turn that called it, across restarts: one question after the other, two at once, denied ones too", async () => {
    const { sessions, session } = await store();
    const { tools, paid } = bank();
    const first = await node(sessions, { boss: [asks("pay bob")], clerk: [pays("bob", "eve")] }, { tools });
    const reply = await first.runtime.callWithSession("boss", "pay bob", session.id);
    const [child] = (await clerks(sessions)) as [Session];
    expect(reply.turn).toMatchObject({
      status: "suspended",
      requests: [
        {
          reason: 'clerk: The tool "pay" needs approval.',
          data: {
            type: "agent-request",
            agent: "clerk",
            sessionId: child.id,
            data: { type: "tool-approval", toolName: "pay", input: { to: "bob" } },
          },
        },
        { data: { data: { input: { to: "eve" } } } },
      ],
    });
    await first.runtime.stop();
    expect(paid).toEqual([]);

    const second = await node(sessions, { boss: [], clerk: [pays("zoe")] }, { tools });
    const [bob, eve] = idsOf(reply) as [string, string];
    expect(idsOf(await second.runtime.resume(session.id, eve, { approved: false, reason: "too much" }))).toEqual([bob]);
    const more = await second.runtime.resume(session.id, bob, true);
    expect(paid).toEqual(["bob"]);
    expect(more.turn?.requests).toMatchObject([{ data: { data: { input: { to: "zoe" } } } }]);
    await second.runtime.stop();

    const third = await node(sessions, { boss: ["All is paid."], clerk: ["Paid bob and zoe."] }, { tools });
    const [zoe] = idsOf(more) as [string];
    expect((await third.runtime.resume(session.id, zoe, { approved: true })).text).toBe("All is paid.");
    expect((await third.runtime.resume(session.id, zoe, { approved: false })).text).toBe("All is paid.");
    expect(paid).toEqual(["bob", "zoe"]);
    expect(await results(session)).toEqual(["Paid bob and zoe."]);
    expect(await results(child)).toHaveLength(3);
    expect(await results(child)).toContainEqual({ type: "execution-denied", reason: "too much" });
    expect(await clerks(sessions)).toHaveLength(1);
    for (const each of [session, child]) expect((await each.verify()).problems).toEqual([]);
  });

  it("asks through several agents, for two calls at once, where only one call may run at a time", async () => {
    const { sessions, session } = await store();
    const { tools, paid } = bank();
    const runtime = createRuntime(withSessionManager(sessions), withMaxConcurrentCalls(1));
    const toolOf = (agent: string): Record<string, Tool> => ({
      [agent]: createAgentTool({ agent, description: agent, runtime, sessions }),
    });
    /** Hands the name that it is told on to the tool, and answers when it has a result. */
    const passesOn = (toolName: string, as: string): ScriptedModel => {
      const says = ({ prompt }: ScriptedCall): string | ScriptedStep => {
        const told = JSON.stringify(prompt);
        return told.includes("tool-call") ? "Done." : { toolCalls: [{ toolName, input: { [as]: told.includes("bob") ? "bob" : "eve" } }] };
      };
      return createScriptedModel(Array.from({ length: 4 }, () => says));
    };
    runtime
      .register(createReActAgent({ name: "boss", model: createScriptedModel([asks("bob", "eve"), "All done."]), tools: toolOf("clerk") }))
      .register(createReActAgent({ name: "clerk", model: passesOn("teller", "task"), tools: toolOf("teller") }))
      .register(createReActAgent({ name: "teller", model: passesOn("pay", "to"), tools }));
    await runtime.start();
    const asked = await runtime.callWithSession("boss", "pay both", session.id);
    expect(asked.turn?.requests?.map(({ reason }) => reason)).toEqual(Array(2).fill('clerk: teller: The tool "pay" needs approval.'));
    expect(new Set(idsOf(asked)).size).toBe(2);
    const answers = [];
    for (const id of idsOf(asked)) answers.push((await runtime.resume(session.id, id, true)).text);
    expect(answers.at(-1)).toBe("All done.");
    expect(paid.toSorted()).toEqual(["bob", "eve"]);
    expect((await sessions.list({ agentName: "teller" })).items).toHaveLength(2);
  });

  it("needs approval itself where it is told so, before its agent is asked", async () => {
    const { sessions, session } = await store();
    const { tools } = bank();
    const { runtime, clerk } = await node(
      sessions,
      { boss: [asks("x"), "Fine."], clerk: [pays("bob"), "ok"] },
      { tools, tool: { needsApproval: true } },
    );
    const asked = await runtime.callWithSession("boss", "go", session.id);
    expect(asked.turn?.requests).toMatchObject([{ data: { type: "tool-approval", toolName: "clerk" } }]);
    expect(clerk.calls).toHaveLength(0);
    const again = await runtime.resume(session.id, idsOf(asked)[0] as string, true);
    expect(again.turn?.requests).toMatchObject([{ data: { type: "agent-request" } }]);
    expect((await runtime.resume(session.id, idsOf(again)[0] as string, true)).text).toBe("Fine.");
  });

  it("goes on where it was when its caller was cut off: its steps are not taken again", async () => {
    const { sessions, session } = await store();
    let looked = 0;
    const look = tool({
      inputSchema: z.object({}),
      execute: () => {
        looked += 1;
        return "seen";
      },
    });
    const stop = new AbortController();
    const wait = tool({
      inputSchema: z.object({}),
      execute: async () => {
        stop.abort();
        await new Promise(() => {});
        return "never";
      },
    });
    const first = await node(
      sessions,
      { boss: [asks("look")], clerk: [{ toolCalls: [{ toolName: "look", input: {} }] }, { toolCalls: [{ toolName: "wait", input: {} }] }] },
      { tools: { look, wait } },
    );
    await expect(first.runtime.callWithSession("boss", "go", session.id, { turnKey: "k", signal: stop.signal })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    const second = await node(
      sessions,
      { boss: ["Done."], clerk: ["Seen it."] },
      { tools: { look, wait: { ...wait, execute: () => "waited" } } },
    );
    expect((await second.runtime.callWithSession("boss", "go", session.id, { turnKey: "k" })).text).toBe("Done.");
    expect(looked).toBe(1);
    expect(await clerks(sessions)).toHaveLength(1);
    expect(await results(session)).toEqual(["Seen it."]);
  });

  it("acts for the principal of its call", async () => {
    const { sessions } = await store();
    const principal = { id: "eve", tenantId: "acme" };
    const mine = await sessions.as(principal).create("boss");
    const { tools, paid } = bank();
    const { runtime } = await node(sessions, { boss: [asks("x"), "Done."], clerk: [pays("bob"), "ok"] }, { tools });
    const asked = await runtime.callWithSession("boss", "go", mine.id, { principal });
    const [id] = idsOf(asked) as [string];
    await expect(runtime.resume(mine.id, id, true, { principal: { id: "bob" } })).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect((await runtime.resume(mine.id, id, true, { principal })).text).toBe("Done.");
    expect(paid).toEqual(["bob"]);
    expect((await sessions.as(principal).list({ agentName: "clerk" })).items.map(({ userId }) => userId)).toEqual(["eve"]);
  });

  it("is told as an error when its agent fails, is gone, or the task is none; the turn goes on", async () => {
    const { sessions, session } = await store();
    const { runtime } = await node(sessions, {
      boss: [asks(" "), asks("x"), { toolCalls: [{ toolName: "clerk", input: {} }] }, "So be it."],
      clerk: [{ error: new Error("secret-of-the-provider") }],
    });
    expect((await runtime.callWithSession("boss", "go", session.id)).text).toBe("So be it.");
    const told = (await results(session)) as string[];
    expect(told[0]).toContain("must be a text that is not empty");
    expect(told[1]).toMatch(/^The tool failed: /);
    expect(told[2]).toContain("task");
  });

  it("cannot ask where it has no session: the model is told so", async () => {
    const { sessions, session } = await store();
    const { tools, paid } = bank();
    const { runtime } = await node(
      sessions,
      { boss: [asks("pay bob"), "I cannot."], clerk: [pays("bob"), "never"] },
      { tools, tool: { runtime: undefined, sessions: undefined } as unknown as Partial<AgentToolOptions> },
    );
    expect((await runtime.callWithSession("boss", "go", session.id)).text).toBe("I cannot.");
    expect(paid).toEqual([]);
    expect(String((await results(session))[0])).toContain("session");
  });

  it("is called without a session where its caller has none", async () => {
    const { sessions } = await store();
    const { runtime } = await node(sessions, { boss: [asks("x"), "Done."], clerk: ["ok"] });
    expect((await runtime.call("boss", "go")).text).toBe("Done.");
    expect(await clerks(sessions)).toEqual([]);
  });

  it("hands a question of any agent on, with an id that fits and the answer as it is", async () => {
    const { sessions, session } = await store();
    const long = "q".repeat(512);
    const answers: Json[] = [];
    const boss = createScriptedModel([asks("x"), "Done."]);
    const runtime = createRuntime(withSessionManager(sessions));
    runtime
      .register(
        createReActAgent({
          name: "boss",
          model: boss,
          tools: { clerk: createAgentTool({ agent: "clerk", description: "asks", runtime, sessions }) },
        }),
      )
      .register("clerk", async (_input, context) => {
        // Cut in the middle of a character.
        answers.push(await context.suspend({ requestId: long, reason: "r".repeat(4096 - "clerk: ".length - 1) + "\u{1F600}" }));
        return "ok";
      });
    await runtime.start();
    const asked = await runtime.callWithSession("boss", "go", session.id);
    expect(idsOf(asked)[0]?.length).toBeLessThanOrEqual(512);
    expect(asked.turn?.requests?.[0]?.data).toMatchObject({ requestId: long });
    expect((await runtime.resume(session.id, idsOf(asked)[0] as string, { color: "red" })).text).toBe("Done.");
    expect(answers).toEqual([{ color: "red" }]);
  });

  it.each([
    [{}, "createAgentTool: agent is missing"],
    [{ agent: "a" }, "createAgentTool: description is missing"],
    [{ agent: "a", description: "d", color: 1 }, "createAgentTool: unknown option color"],
    [{ agent: "a", description: "d", sessions: {} }, "createAgentTool: sessions must be an object with create, as"],
    [
      { agent: "a", description: "d", sessions: createSessionManager({ backend: createMemoryBackend() }) },
      "createAgentTool: runtime is missing",
    ],
    [{ agent: "a", description: "d", runtime: createRuntime() }, "createAgentTool: sessions is missing"],
    [
      {
        agent: "a",
        description: "d",
        history: true,
        runtime: createRuntime(),
        sessions: createSessionManager({ backend: createMemoryBackend() }),
      },
      "createAgentTool: history must be left out",
    ],
  ])("%# refuses options that do not fit: %s", (options, message) => {
    expect(() => createAgentTool(options as unknown as AgentToolOptions)).toThrow(message);
  });
});
