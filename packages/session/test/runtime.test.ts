import {
  type AgentEvent,
  createRuntime,
  defineAgent,
  type Option,
  type Runtime,
  type RuntimeOptions,
  textOf,
  withMaxConcurrentCalls,
  withMetrics,
  withSessionManager,
  withTimeout,
} from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { currentSession, type Session, type SessionManager } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

const echo = defineAgent({
  name: "echo",
  execute: async (input, context) => `${(await context.history()).length}: ${textOf(input)}`,
});

async function setup(
  ...options: readonly Option<RuntimeOptions>[]
): Promise<{ runtime: Runtime; other: Runtime; a: SessionManager; b: SessionManager; s: Session; t: Session }> {
  const { a, b } = twoNodes();
  const runtime = createRuntime(withSessionManager(a), ...options).register(echo);
  const other = createRuntime(withSessionManager(b), ...options).register(echo);
  await Promise.all([runtime.start(), other.start()]);
  const s = await a.create("echo", { userId: "ada" });
  return { runtime, other, a, b, s, t: await b.get(s.id) };
}

describe("callWithSession", () => {
  it("remembers, on every node", async () => {
    const { runtime, other, s } = await setup();
    expect((await runtime.callWithSession("echo", "one", s.id)).text).toBe("0: one");
    expect((await other.callWithSession("echo", "two", s.id)).text).toBe("2: two");
    expect((await runtime.callWithSession("echo", "three", s.id)).text).toBe("4: three");
    expect((await s.messages()).map(textOf)).toEqual(["one", "0: one", "two", "2: two", "three", "4: three"]);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("ends a chain of agents that call each other in new sessions without end", async () => {
    const { runtime, a } = await setup();
    let calls = 0;
    runtime.register("again", async (input) => {
      calls += 1;
      const next = await a.create("again");
      return (await runtime.callWithSession("again", input, next.id)).text;
    });
    const first = await a.create("again");
    const call = runtime.callWithSession("again", "x", first.id);
    await expect(call).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await expect(call).rejects.toThrow(/part of the turns of 64 sessions/);
    expect(calls).toBe(64);
    // One after the other is no chain.
    for (let each = 0; each < 70; each += 1) await runtime.callWithSession("echo", "x", (await a.create("echo")).id);
  }, 30_000);

  it("writes nothing before it knows that runtime, agent and session fit", async () => {
    const { runtime, a, s } = await setup();
    runtime
      .register("other", async () => "x")
      .register({ name: "stateless", sessions: "disabled", execute: async () => "x" })
      .register({ name: "asleep", execute: async () => "x", ready: () => false });
    const stopped = createRuntime(withSessionManager(a)).register(echo);
    const sleepy = await a.create("asleep");
    await expect(stopped.callWithSession("echo", "q", s.id)).rejects.toThrow(withCode("NOT_STARTED"));
    await expect(runtime.callWithSession("nobody", "q", s.id)).rejects.toThrow(withCode("AGENT_NOT_FOUND"));
    await expect(runtime.callWithSession("other", "q", s.id)).rejects.toThrow(withCode("AGENT_MISMATCH"));
    await expect(runtime.callWithSession("echo", "q", "..")).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(runtime.callWithSession("echo", "q", s.id, { principal: { id: "eve" } })).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(runtime.callWithSession("echo", "\ud800", s.id)).rejects.toThrow(withCode("INVALID_INPUT"));
    await expect(runtime.callWithSession("stateless", "q", s.id)).rejects.toThrow();
    await expect(runtime.callWithSession("asleep", "q", sleepy.id)).rejects.toThrow();
    expect((await s.info()).version).toBe(0);
    expect((await sleepy.info()).version).toBe(0);
  });

  it("three tries with one key are one question and one answer", async () => {
    const { runtime, other, s } = await setup();
    const replies = [];
    for (const node of [runtime, other, runtime]) replies.push(await node.callWithSession("echo", "q", s.id, { turnKey: "k" }));
    expect(replies.map(({ turn }) => turn?.replayed)).toEqual([false, true, true]);
    expect(await s.messages()).toHaveLength(2);
    await expect(runtime.callWithSession("echo", "else", s.id, { turnKey: "k" })).rejects.toThrow(withCode("TURN_KEY_REUSED"));
  });

  it("a text without a key is a new turn each time", async () => {
    const { runtime, s } = await setup();
    await runtime.callWithSession("echo", "q", s.id);
    await runtime.callWithSession("echo", "q", s.id);
    expect(await s.messages()).toHaveLength(4);
  });

  it("holds every limit that a call holds: timeout, concurrency, metrics", async () => {
    const counted: string[] = [];
    const metrics = {
      count: (name: string, _: number, labels: Record<string, string>) => void counted.push(`${name} ${labels["outcome"] ?? ""}`),
      observe: () => undefined,
    };
    const { runtime, a } = await setup(withMaxConcurrentCalls(1), withMetrics(metrics));
    let running = 0;
    let most = 0;
    runtime.register("slow", async () => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      return "x";
    });
    const sessions = await Promise.all(Array.from({ length: 5 }, () => a.create("slow")));
    await Promise.all(sessions.map(({ id }) => runtime.callWithSession("slow", "q", id)));
    expect(most).toBe(1);
    expect(counted.length).toBeGreaterThanOrEqual(5);
    const impatient = await setup(withTimeout(30));
    impatient.runtime.register("hangs", () => new Promise<string>(() => undefined));
    const hanging = await impatient.a.create("hangs");
    await expect(impatient.runtime.callWithSession("hangs", "q", hanging.id)).rejects.toThrow(withCode("TIMEOUT"));
    expect((await hanging.messages()).map(textOf)).toEqual(["q"]);
  });

  it("a throwing agent fails its turn, with the session ready for the next", async () => {
    const { runtime, a } = await setup();
    let isBroken = true;
    runtime.register("moody", async () => {
      if (isBroken) throw new TypeError("boom");
      return "fine";
    });
    const s = await a.create("moody");
    await expect(runtime.callWithSession("moody", "q", s.id)).rejects.toThrow(withCode("AGENT_FAILED"));
    isBroken = false;
    expect((await runtime.callWithSession("moody", "again", s.id)).text).toBe("fine");
    expect((await s.messages()).map(textOf)).toEqual(["q", "again", "fine"]);
  });

  it("a call of its own session is told at once, through whatever it calls", async () => {
    const { runtime, a } = await setup(withMaxConcurrentCalls(1));
    const s = await a.create("loop");
    runtime.register("middle", async () => (await runtime.callWithSession("loop", "inner", s.id)).text);
    runtime.register("loop", async (_, context) => (await context.call("middle", "go")).text);
    await expect(runtime.callWithSession("loop", "outer", s.id)).rejects.toThrow("turn of session");
    expect((await s.messages()).map(textOf)).toEqual(["outer"]);
  });

  it("sub-agents run under the turn, with the history only if it is lent", async () => {
    const { runtime, a } = await setup(withMaxConcurrentCalls(1));
    const s = await a.create("boss");
    runtime.register("boss", async (input, context) => {
      const blind = await context.call("echo", input);
      const sighted = await context.call("echo", input, { history: true });
      return `${blind.text} / ${sighted.text}`;
    });
    await runtime.callWithSession("boss", "one", s.id);
    expect((await runtime.callWithSession("boss", "two", s.id)).text).toBe("0: two / 2: two");
    expect(await s.messages()).toHaveLength(4);
  });

  it("inside, currentSession is the turn's session", async () => {
    const { runtime, a } = await setup();
    runtime.register("asks", async () => currentSession()?.id ?? "none");
    const s = await a.create("asks");
    expect((await runtime.callWithSession("asks", "q", s.id)).text).toBe(s.id);
    expect((await runtime.call("asks", "q")).text).toBe("none");
  });
});

describe("streamWithSession", () => {
  it("shows events as they come; a message is durable when the agent goes on; the answer is the last message", async () => {
    const { runtime, a } = await setup();
    const s = await a.create("streams");
    const stored: number[] = [];
    runtime.register("streams", async function* () {
      yield { type: "text-delta", text: "hm" };
      yield { type: "message", message: "thinking" };
      stored.push((await s.messages()).length);
      return "done";
    });
    const stream = runtime.streamWithSession("streams", "q", s.id);
    const events: AgentEvent[] = [];
    for await (const event of stream) events.push(event);
    expect(events.map(({ type }) => type)).toEqual(["text-delta", "message", "message"]);
    expect(stored).toEqual([2]);
    expect((await stream.reply).text).toBe("done");
    expect((await s.messages()).map(textOf)).toEqual(["q", "thinking", "done"]);
  });

  it("a reader that leaves does not stop the turn; cancelTurn does, from any node", async () => {
    const { runtime, other, a } = await setup();
    const s = await a.create("patient");
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    runtime.register("patient", async function* (_, context) {
      yield { type: "text-delta", text: "…" };
      await Promise.race([
        gate,
        new Promise((__, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason as Error), { once: true })),
      ]);
      return "done";
    });
    const stream = runtime.streamWithSession("patient", "q", s.id);
    for await (const _ of stream) break;
    release();
    expect((await stream.reply).text).toBe("done");

    const second = runtime.streamWithSession("patient", "r", s.id);
    await second.reply;
    runtime.register(
      "hangs",
      (_, context) =>
        new Promise<string>((__, reject) =>
          context.signal.addEventListener("abort", () => reject(context.signal.reason as Error), { once: true }),
        ),
    );
    const h = await a.create("hangs");
    const third = runtime.callWithSession("hangs", "q", h.id);
    const settled = expect(third).rejects.toThrow(withCode("CANCELLED"));
    while ((await h.messages()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await runtime.cancelTurn(h.id)).toBe(true);
    await settled;
    expect(await other.cancelTurn(h.id)).toBe(false);
  });
});

describe("stop", () => {
  it("ends running turns, which another node continues", async () => {
    const { runtime, other, a } = await setup();
    const s = await a.create("long");
    runtime.register(
      "long",
      (_, context) =>
        new Promise<string>((__, reject) =>
          context.signal.addEventListener("abort", () => reject(context.signal.reason as Error), { once: true }),
        ),
    );
    other.register("long", async (_, context) => `attempt ${context.session?.attempt}`);
    const call = runtime.callWithSession("long", "q", s.id, { turnKey: "k" });
    const settled = expect(call).rejects.toThrow();
    while ((await s.messages()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await runtime.stop({ graceMs: 10 });
    await settled;
    expect((await other.callWithSession("long", "q", s.id, { turnKey: "k" })).text).toBe("attempt 2");
    expect((await s.messages()).map(textOf)).toEqual(["q", "attempt 2"]);
  });
});

describe("an agent that is a generator", () => {
  it("keeps its session, history and state over every yield", async () => {
    const { runtime, a } = await setup();
    const s = await a.create("steps", { userId: "ada" });
    runtime.register("steps", async function* (_, context) {
      const seen = [currentSession()?.id];
      yield { type: "text-delta", text: "…" };
      await new Promise((resolve) => setTimeout(resolve, 2));
      seen.push(currentSession()?.id);
      yield { type: "message", message: "noted" };
      seen.push(currentSession()?.id);
      await context.setState({ seen: seen.length });
      return `${new Set(seen).size} ${(await context.steps()).length} ${context.session?.userId}`;
    });
    expect((await runtime.callWithSession("steps", "q", s.id)).text).toBe("1 1 ada");
  });
});
