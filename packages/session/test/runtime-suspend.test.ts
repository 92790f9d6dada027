import {
  type AgentContext,
  createRuntime,
  type Execute,
  type Json,
  METRIC,
  type Reply,
  type Runtime,
  textOf,
  withSessionManager,
} from "@aixgo/core";
import { afterEach, describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "../src/index.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

interface Place {
  readonly runtime: Runtime;
  readonly sessions: SessionManager;
  readonly session: Session;
  readonly counted: Record<string, string>[];
  readonly logged: string[];
}
async function place(
  agents: Record<string, Execute>,
  options: { readonly started?: boolean; readonly maxConcurrentCalls?: number } = {},
): Promise<Place> {
  const { started = true, ...more } = options;
  const counted: Record<string, string>[] = [];
  const logged: string[] = [];
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const log = (_: object, message: string): void => void logged.push(message);
  const runtime = createRuntime(withSessionManager(sessions), {
    ...more,
    metrics: { count: (name, _, labels) => void (name === METRIC.count && counted.push(labels)), observe() {} },
    logger: { debug() {}, info: log, warn: log, error: log },
  });
  for (const [name, execute] of Object.entries(agents)) runtime.register(name, execute);
  if (started) await runtime.start();
  running.push({
    stop: async () => {
      await runtime.stop({ graceMs: 0 });
      await sessions.close();
    },
  });
  return { runtime, sessions, session: await sessions.create(Object.keys(agents)[0] as string, { userId: "ada" }), counted, logged };
}
const question = { requestId: "r", reason: "may I?" };

describe("an agent that suspends", () => {
  it("gives its caller a suspended reply, and the answer to whoever resumes it", async () => {
    const { runtime, session, counted } = await place({
      a: async function* (input, context) {
        yield { type: "message", message: "thinking" };
        const decision = await context.suspend({ ...question, data: { price: 3 } });
        return `${textOf(input)}: ${JSON.stringify(decision)}`;
      },
    });
    const stream = runtime.streamWithSession("a", "buy", session.id);
    const shown: string[] = [];
    for await (const event of stream)
      shown.push(event.type === "message" && typeof event.message !== "string" ? textOf(event.message as never) : event.type);
    expect(shown).toEqual(["thinking"]);
    expect(await stream.reply).toMatchObject({
      text: "thinking",
      turn: { status: "suspended", requests: [{ ...question, data: { price: 3 } }] },
    });
    await expect(runtime.callWithSession("a", "other", session.id)).rejects.toThrow(withCode("TURN_SUSPENDED"));
    expect(await runtime.resume(session.id, "r", { ok: true })).toMatchObject({ text: 'buy: {"ok":true}', turn: { status: "completed" } });
    expect(await runtime.resume(session.id, "r", "late")).toMatchObject({ text: 'buy: {"ok":true}', turn: { replayed: true } });
    expect(counted.map(({ kind, outcome }) => `${kind} ${outcome}`)).toEqual([
      "session-stream suspended",
      "session TURN_SUSPENDED",
      "resume ok",
      "resume ok",
    ]);
    expect((await session.messages()).map(textOf)).toEqual(["buy", "thinking", "thinking", 'buy: {"ok":true}']);
  });

  it("runs its finally blocks, holds no slot and no timer while it waits", async () => {
    const done: string[] = [];
    const { runtime, session } = await place(
      {
        a: async (_, context) => {
          try {
            return `so: ${JSON.stringify(await context.suspend(question))}`;
          } finally {
            done.push("finally");
          }
        },
        other: () => "free",
      },
      { maxConcurrentCalls: 1 },
    );
    await runtime.callWithSession("a", "q", session.id, { timeoutMs: 50 });
    expect(done).toEqual(["finally"]);
    expect((await runtime.call("other", "x")).text).toBe("free");
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect((await runtime.resume(session.id, "r", 1, { timeoutMs: 5000 })).text).toBe("so: 1");
  });

  it("asks several things at once; what it emitted without waiting is stored before", async () => {
    const { runtime, session } = await place({
      a: async (_, context) => {
        const work = [1, 2].map(async (n) => {
          void context.emit({ type: "message", message: `note ${n}` });
          return context.suspend({ requestId: `r${n}`, reason: "?" });
        });
        return `sum ${(await Promise.all(work)).map(Number).reduce((a, b) => a + b, 0)}`;
      },
    });
    const reply = await runtime.callWithSession("a", "q", session.id);
    expect(reply.turn?.requests?.map(({ requestId }) => requestId)).toEqual(["r1", "r2"]);
    expect((await session.messages()).map(textOf)).toEqual(["q", "note 1", "note 2"]);
    expect((await runtime.resume(session.id, "r2", 20)).turn?.requests).toEqual([{ requestId: "r1", reason: "?" }]);
    expect((await runtime.resume(session.id, "r1", 1)).text).toBe("sum 21");
  });

  it("that answers or breaks all the same is suspended, and the log says so", async () => {
    for (const end of [() => "an answer", () => Promise.reject(new Error("broken"))]) {
      const { runtime, session, logged } = await place({
        a: async (_, context) => {
          await context.suspend(question).catch(() => undefined);
          return end();
        },
      });
      expect(await runtime.callWithSession("a", "q", session.id)).toMatchObject({ turn: { status: "suspended" }, message: { parts: [] } });
      expect(logged.some((line) => /suspended/.test(line))).toBe(true);
      expect((await session.messages()).map(textOf)).toEqual(["q"]);
    }
  });

  it("cannot in a call without a session, nor in a sub-call", async () => {
    const asks = (_: unknown, context: AgentContext): Promise<string> => context.suspend(question).then(String);
    const { runtime, session } = await place({
      a: async (input, context) => (await context.call("b", input)).text,
      b: asks,
    });
    await expect(runtime.call("b", "q")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("no session") as string,
    });
    const nested = runtime.callWithSession("a", "q", session.id);
    await expect(nested).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(nested).rejects.toThrow(/agent "b" cannot suspend: .*createAgentTool.*runtime\.callWithSession.*context\.suspend/);
    expect((await session.turn("next", async () => "fine")).text).toBe("fine");
  });

  it("with a request that is none fails, and is told where", async () => {
    const { runtime, session } = await place({ a: (_, context) => context.suspend({ requestId: "r" } as never).then(String) });
    await expect(runtime.callWithSession("a", "q", session.id)).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringContaining("request.reason") as string,
    });
  });

  it("is not suspended when its caller has left, or the runtime stops", async () => {
    const { runtime, session } = await place({
      a: async (_, context) => {
        await context.suspend(question).catch(() => undefined);
        return new Promise((_resolve, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
      },
    });
    const stop = new AbortController();
    const call = runtime.callWithSession("a", "q", session.id, { signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await expect(call).rejects.toThrow(withCode("CANCELLED"));
    await expect(runtime.callWithSession("a", "q", session.id, { timeoutMs: 20 })).rejects.toThrow(withCode("TIMEOUT"));
    await expect(runtime.resume(session.id, "r", true)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
  });
});

describe("resume", () => {
  it("is refused before anything is written: options, sessions, agents, principals", async () => {
    const { runtime, sessions, session } = await place({ a: (_, context) => context.suspend(question).then(JSON.stringify) });
    await runtime.callWithSession("a", "q", session.id);
    const { version } = await session.info();
    const bad: [string, Json, object][] = [
      ["INVALID_OPTION", true, { turnKey: "k" }],
      ["INVALID_OPTION", true, { ifSuspended: "decline" }],
      ["INVALID_OPTION", true, { timeoutMs: 0 }],
      ["INVALID_INPUT", undefined as never, {}],
      ["SESSION_NOT_FOUND", true, { principal: { id: "bob" } }],
    ];
    for (const [code, decision, options] of bad)
      await expect(runtime.resume(session.id, "r", decision, options)).rejects.toThrow(withCode(code));
    await expect(runtime.resume("nowhere", "r", true)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(createRuntime().resume(session.id, "r", true)).rejects.toThrow(withCode("INVALID_OPTION"));
    const idle = createRuntime(withSessionManager(sessions)).register("a", () => "x");
    await expect(idle.resume(session.id, "r", true)).rejects.toThrow(withCode("NOT_STARTED"));
    const without = createRuntime(withSessionManager(sessions));
    await without.start();
    await expect(without.resume(session.id, "r", true)).rejects.toThrow(withCode("AGENT_NOT_FOUND"));
    expect((await session.info()).version).toBe(version);
    await expect(runtime.callWithSession("a", "q", session.id, { ifSuspended: "maybe" as never })).rejects.toThrow(
      withCode("INVALID_OPTION"),
    );
    expect((await runtime.resume(session.id, "r", null, { principal: { id: "ada" } })).text).toBe("null");
  });

  it("of a running turn waits for it, and of the turn itself is told at once", async () => {
    const { runtime, session } = await place({
      a: async (_, context) => {
        const decision = await context.suspend(question);
        const inner = await runtime.resume(session.id, "r", 2).catch((error: { code: string }) => error.code);
        return `${JSON.stringify(decision)} ${JSON.stringify(inner)}`;
      },
    });
    await runtime.callWithSession("a", "q", session.id);
    const replies = await Promise.all([runtime.resume(session.id, "r", 1), runtime.resume(session.id, "r", 3)]);
    expect(replies.map(({ text }) => text)).toEqual(['1 "TURN_REENTRANT"', '1 "TURN_REENTRANT"']);
  });

  it("streams what the next attempt shows, and can be cancelled", async () => {
    let slow = false;
    const { runtime, session } = await place({
      a: async function* (_, context) {
        const decision = await context.suspend(question);
        yield { type: "text-delta", text: "so" };
        if (slow)
          await new Promise((_resolve, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
        return `so ${JSON.stringify(decision)}`;
      },
    });
    await runtime.callWithSession("a", "q", session.id);
    slow = true;
    const first = runtime.streamResume(session.id, "r", "yes");
    for await (const event of first) {
      expect(event.type).toBe("text-delta");
      break;
    }
    await first.cancel("enough");
    await expect(first.reply).rejects.toThrow(withCode("CANCELLED"));
    await expect(runtime.resume(session.id, "r", "yes")).rejects.toThrow(withCode("TURN_ENDED"));
  });

  it("never takes an answer to one turn's question for another's: an id answered in one turn is refused in the next", async () => {
    const { runtime, session } = await place({
      a: async (input, context) => {
        const requestId = textOf(input) === "careful" ? `${context.session?.turnId}/pay` : "pay";
        return `${textOf(input)}: ${JSON.stringify(await context.suspend({ requestId, reason: "may I?" }))}`;
      },
    });
    await runtime.callWithSession("a", "first", session.id);
    expect((await runtime.resume(session.id, "pay", "yes")).text).toBe('first: "yes"');

    const second = runtime.callWithSession("a", "second", session.id, { turnKey: "k" });
    await expect(second).rejects.toThrow(/"pay", which was answered in another turn. Make the id of the turn's own/);
    await expect(second).rejects.toThrow(withCode("INVALID_INPUT"));
    expect(await session.requests()).toEqual([]);
    expect(await runtime.resume(session.id, "pay", "yes")).toMatchObject({ text: 'first: "yes"', turn: { replayed: true } });

    const careful = await runtime.callWithSession("a", "careful", session.id);
    const asked = careful.turn?.status === "suspended" ? (careful.turn.requests ?? []).map(({ requestId }) => requestId) : [];
    expect(asked).toEqual([`${careful.turn?.id}/pay`]);
    expect((await runtime.resume(session.id, asked[0] as string, "no")).text).toBe('careful: "no"');
  });

  it("can be looked up, once it is given, without asking for it", async () => {
    const seen: unknown[] = [];
    const { runtime, session } = await place({
      a: async (_, context) => {
        seen.push(await context.decisionOf("r"), await context.decisionOf("never asked"));
        return `${JSON.stringify(await context.suspend(question))} ${JSON.stringify(await context.decisionOf("r"))}`;
      },
    });
    expect((await runtime.callWithSession("a", "q", session.id)).turn?.status).toBe("suspended");
    expect((await runtime.resume(session.id, "r", { n: 1 })).text).toBe('{"n":1} {"n":1}');
    expect(seen).toEqual([undefined, undefined, { n: 1 }, undefined]);
    // Without a session nobody has decided anything.
    runtime.register("b", async (_, context) => typeof (await context.decisionOf("r")));
    expect((await runtime.call("b", "q")).text).toBe("undefined");
  });

  it("never takes an answer that comes late, to a question that was declined or cancelled, for another turn's", async () => {
    const { runtime, session } = await place({
      a: async (input, context) => {
        if (textOf(input) === "small talk") return "yes, a nice day";
        return `${textOf(input)}: ${JSON.stringify(await context.suspend({ requestId: "pay", reason: `${textOf(input)}?` }))}`;
      },
    });
    await runtime.callWithSession("a", "pay 1", session.id, { turnKey: "small" });
    await runtime.callWithSession("a", "small talk", session.id, { ifSuspended: "decline" });
    const large = (): Promise<Reply> => runtime.callWithSession("a", "pay 1000", session.id);
    await expect(large()).rejects.toThrow(/"pay", which was withdrawn with another turn. Make the id of the turn's own/);
    await expect(runtime.resume(session.id, "pay", true)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));

    // The turn that asked may go on: it is the same question.
    expect((await runtime.callWithSession("a", "pay 1", session.id, { turnKey: "small" })).turn?.status).toBe("suspended");
    expect(await runtime.cancelTurn(session.id)).toBe(true);
    await expect(large()).rejects.toThrow(withCode("INVALID_INPUT"));
    expect((await runtime.callWithSession("a", "pay 1", session.id, { turnKey: "small" })).turn?.status).toBe("suspended");
    expect((await runtime.resume(session.id, "pay", true)).text).toBe("pay 1: true");
    expect((await session.verify()).problems).toEqual([]);
  });

  it("asks again under the same id in a turn that a restore left behind and its key begins anew", async () => {
    const { runtime, session } = await place({ a: async (_, context) => JSON.stringify(await context.suspend(question)) });
    const before = await session.checkpoint();
    await runtime.callWithSession("a", "q", session.id, { turnKey: "k" });
    expect((await runtime.resume(session.id, "r", 1)).text).toBe("1");
    await session.restore(before.id);
    const again = await runtime.callWithSession("a", "q", session.id, { turnKey: "k" });
    expect(again.turn?.status).toBe("completed");
  });
});
