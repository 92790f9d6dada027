import { type Message, type MessageInput, type OpenTurn, type OpenTurnRequest, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import {
  createMemoryBackend,
  createSessionManager,
  currentSession,
  type Entry,
  type Session,
  type SessionManager,
  type TurnData,
} from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};
const texts = (messages: readonly Message[]): string[] => messages.map(textOf);
const ask = (input: MessageInput, options: OpenTurnRequest["options"] = {}): OpenTurnRequest => ({
  agent: "x",
  input,
  options,
});
const turnsOf = async (session: Session): Promise<string[]> =>
  (await all(session.entries()))
    .filter(({ type }) => type === "turn")
    .map(({ data }) => {
      const { phase, attempt, status } = data as unknown as TurnData;
      return `${phase} ${attempt}${status === undefined ? "" : ` ${status}`}`;
    });

/** As if the process had died: its lease runs out, nothing is written any more. */
async function die(turn: OpenTurn, backend: SessionBackend, id: string): Promise<void> {
  (turn as unknown as { signal: AbortSignal }).signal.throwIfAborted();
  for (let waited = 0; waited < 5000; waited += 10) {
    const { lease } = await backend.head(id);
    if (lease === undefined || lease.expiresInMs <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the lease did not run out");
}

/** A node whose lease is never prolonged: what a killed or paused process looks like from outside. */
const withoutRenewal = (backend: SessionBackend): SessionBackend =>
  new Proxy(backend, {
    get: (target, name, receiver) => {
      if (name === "renew") return () => new Promise(() => undefined);
      const member = Reflect.get(target, name, receiver) as unknown;
      return typeof member === "function" ? (member as (...parameters: unknown[]) => unknown).bind(target) : member;
    },
  });

async function start(
  options: Parameters<typeof twoNodes>[0] = {},
): Promise<{ a: SessionManager; b: SessionManager; backend: SessionBackend; s: Session; t: Session; id: string }> {
  const { a, b, backend } = twoNodes(options);
  const s = await a.create("x", { userId: "ada" });
  return { a, b, backend, s, t: await b.get(s.id), id: s.id };
}

describe("a turn", () => {
  it("stores input and answer, and is two appends without tools", async () => {
    const store = createMemoryBackend();
    let appends = 0;
    const counting = new Proxy(store, {
      get: (target, name, receiver) => {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (typeof member !== "function") return member;
        return (...parameters: unknown[]) => {
          if (name === "append") appends += 1;
          return (member as (...all: unknown[]) => unknown).apply(target, parameters);
        };
      },
    });
    const manager = createSessionManager({ backend: counting });
    const s = await manager.create("x");
    const reply = await s.turn("hi", async () => "hello");
    expect(appends).toBe(2);
    expect(reply).toMatchObject({ text: "hello", turn: { sessionId: s.id, replayed: false, status: "completed", version: 4 } });
    await s.turn("sum", async (turn) => {
      await turn.append({ role: "assistant", parts: [{ type: "tool-call", toolCallId: "1", toolName: "add", input: {} }] });
      await turn.append({
        role: "tool",
        parts: [{ type: "tool-result", toolCallId: "1", toolName: "add", output: { type: "text", value: "2" } }],
      });
      return "two";
    });
    expect(appends).toBe(6);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("with a key asks the store once for it, once for the head, and writes twice", async () => {
    const calls: string[] = [];
    const counting = new Proxy(createMemoryBackend(), {
      get: (target, name, receiver) => {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (typeof member !== "function") return member;
        return (...parameters: unknown[]) => {
          calls.push(String(name));
          return (member as (...all: unknown[]) => unknown).apply(target, parameters);
        };
      },
    });
    const manager = createSessionManager({ backend: counting });
    const s = await manager.create("x");
    for (let turn = 0; turn < 3; turn += 1) await s.turn("hi", async () => "hello", { turnKey: `warm ${turn}` });
    calls.length = 0;
    await s.turn("hi", async () => "hello", { turnKey: "k" });
    expect(calls).toEqual(["head", "find", "append", "append"]);
    calls.length = 0;
    expect((await s.turn("hi", async () => "hello", { turnKey: "k" })).turn?.replayed).toBe(true);
    expect(calls.filter((name) => name === "append")).toEqual([]);
  });

  it("gives history without itself, its steps without its input, and both in order", async () => {
    const { s } = await start();
    await s.append("before");
    await s.turn("one", async () => "1");
    await s.turn("two", async (turn) => {
      expect(texts(await turn.history())).toEqual(["before", "one", "1"]);
      expect(await turn.steps()).toEqual([]);
      await turn.append("thinking");
      expect(texts(await turn.steps())).toEqual(["thinking"]);
      expect(texts(await turn.history({ last: 1 }))).toEqual(["1"]);
      expect(texts(await turn.history())).toEqual(["before", "one", "1"]);
      expect(currentSession()?.id).toBe(s.id);
      return "2";
    });
    expect(texts(await s.messages())).toEqual(["before", "one", "1", "two", "thinking", "2"]);
  });

  it("does not store an answer again that it stored on the way", async () => {
    const { s } = await start();
    const same = { role: "assistant" as const, parts: [{ type: "text" as const, text: "42" }] };
    const reply = await s.turn("q", async (turn) => {
      await turn.append(same);
      return same;
    });
    const again = await s.turn("q", async (turn) => (await turn.append("43")).message);
    expect(texts(await s.messages())).toEqual(["q", "42", "q", "43"]);
    expect(reply.message.id).toBe((await s.messages())[1]?.id);
    expect(again.text).toBe("43");
  });

  it("keeps state on the path: a restore brings back the state of then", async () => {
    const { s } = await start();
    const states: unknown[] = [];
    const set = (value: number) =>
      s.turn("set", async (turn) => {
        states.push(await turn.getState());
        await turn.setState({ value });
        return "ok";
      });
    await set(1);
    const one = await s.checkpoint();
    await set(2);
    await s.restore(one.id);
    await set(3);
    expect(states).toEqual([undefined, { value: 1 }, { value: 1 }]);
  });

  it("whose caller leaves while its start is written ends as cancelled, also when the manager is closed then", async () => {
    for (const closes of [false, true]) {
      const { b, backend } = twoNodes();
      let written = (): void => undefined;
      const arrived = new Promise<void>((resolve) => (written = resolve));
      const slow = new Proxy(backend, {
        get: (target, name, receiver) => {
          const member = Reflect.get(target, name, receiver) as unknown;
          if (typeof member !== "function") return member;
          if (name !== "append") return (member as (...all: unknown[]) => unknown).bind(target);
          return async (...parameters: unknown[]) => {
            const answer = await (member as (...all: unknown[]) => Promise<unknown>).apply(target, parameters);
            written();
            await new Promise((resolve) => setTimeout(resolve, 30));
            return answer;
          };
        },
      });
      const node = createSessionManager({ backend: slow });
      const { id } = await node.create("x");
      const stop = new AbortController();
      const opening = node.openTurn(id, ask("q", { turnKey: "k", signal: stop.signal }));
      opening.catch(() => undefined);
      await arrived;
      stop.abort();
      if (closes) await node.close();
      await expect(opening).rejects.toThrow(withCode("CANCELLED"));
      expect(await turnsOf(await b.get(id))).toEqual(["start 1", "end 1 cancelled"]);
    }
  });

  it("refuses what comes after its end", async () => {
    const { a, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    await turn.complete("done");
    await turn.fail(new Error("late"));
    for (const call of [() => turn.append("x"), () => turn.complete("x"), () => turn.setState(1)])
      await expect(call()).rejects.toThrow(withCode("TURN_ENDED"));
    expect(await turnsOf(await a.get(id))).toEqual(["start 1", "end 1 completed"]);
  });
});

describe("checked first", () => {
  it("an unknown or foreign session, another agent or a bad input write nothing", async () => {
    const { a, s, id } = await start();
    await expect(a.openTurn("0".repeat(32), ask("q"))).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(a.openTurn(id, { ...ask("q"), agent: "y" })).rejects.toThrow(withCode("AGENT_MISMATCH"));
    await expect(a.openTurn(id, ask("q", { principal: { id: "eve" } }))).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    await expect(a.openTurn(id, ask("\ud800"))).rejects.toThrow(withCode("INVALID_INPUT"));
    await expect(a.openTurn(id, ask("q", { turnKey: "" }))).rejects.toThrow(withCode("INVALID_INPUT"));
    await expect(a.openTurn(id, ask("q", { signal: AbortSignal.abort() }))).rejects.toThrow(withCode("CANCELLED"));
    expect((await s.info()).version).toBe(0);
  });
});

describe("exactly-once history", () => {
  it("the same key three times is one turn and one answer, from any node, also after a restore", async () => {
    const { s, t } = await start();
    let runs = 0;
    const body = async () => `answer ${(runs += 1)}`;
    const first = await s.turn("q", body, { turnKey: "k" });
    const second = await t.turn("q", body, { turnKey: "k" });
    await s.restore((await all(s.entries()))[0]?.id as string);
    const third = await s.turn("q", body, { turnKey: "k" });
    expect(runs).toBe(1);
    expect([second, third].map(({ text, turn, message }) => [text, turn?.replayed, message.id])).toEqual(
      Array(2).fill(["answer 1", true, first.message.id]),
    );
    expect(await s.messages()).toEqual([]);
  });

  it("at once from two nodes runs once", async () => {
    const { s, t } = await start();
    let runs = 0;
    const body = async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return `answer ${(runs += 1)}`;
    };
    const replies = await Promise.all(Array.from({ length: 6 }, (_, index) => (index % 2 ? s : t).turn("q", body, { turnKey: "k" })));
    expect(runs).toBe(1);
    expect(new Set(replies.map(({ message }) => message.id)).size).toBe(1);
    expect(texts(await s.messages())).toEqual(["q", "answer 1"]);
  });

  it("the id of the input is the key, if it has one", async () => {
    const { s } = await start();
    let runs = 0;
    const input = { id: "request-1", role: "user" as const, parts: [{ type: "text" as const, text: "q" }] };
    for (let time = 0; time < 3; time += 1) await s.turn(input, async () => `${(runs += 1)}`);
    expect(runs).toBe(1);
  });

  it("the same key with another input is refused, and nothing is written", async () => {
    const { s } = await start();
    await s.turn("q", async () => "a", { turnKey: "k" });
    const { version } = await s.info();
    await expect(s.turn("other", async () => "b", { turnKey: "k" })).rejects.toThrow(withCode("TURN_KEY_REUSED"));
    expect((await s.info()).version).toBe(version);
  });

  it("a failed turn is continued as a new attempt on the same path, without a second copy of its input", async () => {
    const { s } = await start();
    const failing = s.turn(
      "q",
      async (turn) => {
        await turn.append("step 1");
        throw new Error("boom password=hunter2");
      },
      { turnKey: "k" },
    );
    await expect(failing).rejects.toThrow("boom");
    const reply = await s.turn(
      "q",
      async (turn) => {
        expect(turn.attempt).toBe(2);
        expect(texts(await turn.steps())).toEqual(["step 1"]);
        return "done";
      },
      { turnKey: "k" },
    );
    expect(reply.text).toBe("done");
    expect(texts(await s.messages())).toEqual(["q", "step 1", "done"]);
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 failed", "start 2", "end 2 completed"]);
    expect(JSON.stringify(await all(s.entries()))).not.toContain("hunter2");
    expect((await s.verify()).problems).toEqual([]);
  });

  it("off the path it starts anew at the head", async () => {
    const { s } = await start();
    const root = await s.checkpoint();
    await expect(s.turn("q", async () => Promise.reject(new Error("boom")), { turnKey: "k" })).rejects.toThrow("boom");
    await s.restore(root.id);
    await s.turn(
      "q",
      async (turn) => {
        expect(turn.attempt).toBe(1);
        return "done";
      },
      { turnKey: "k" },
    );
    expect(texts(await s.messages())).toEqual(["q", "done"]);
  });

  it("a turn whose answer could not be stored fails, and can be tried again", async () => {
    const { s } = await start();
    await expect(s.turn("q", async () => "\ud800", { turnKey: "k" })).rejects.toThrow(withCode("INVALID_INPUT"));
    expect((await s.turn("q", async () => "fine", { turnKey: "k" })).text).toBe("fine");
    expect(texts(await s.messages())).toEqual(["q", "fine"]);
  });
});

describe("a dead process", () => {
  it("leaves an open turn; the next opener writes its end in its first batch and goes on", async () => {
    const { a, b, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const dead = await a.openTurn(s.id, ask("q", { turnKey: "k" }));
    await dead.append("step 1");
    await die(dead, backend, s.id);
    const t = await b.get(s.id);
    const reply = await t.turn(
      "q",
      async (turn) => {
        expect(turn.attempt).toBe(2);
        expect(texts(await turn.steps())).toEqual(["step 1"]);
        return "done";
      },
      { turnKey: "k" },
    );
    expect(reply.text).toBe("done");
    expect(await turnsOf(t)).toEqual(["start 1", "end 1 interrupted", "start 2", "end 2 completed"]);
    expect((await t.verify()).problems).toEqual([]);
  });

  it("that wakes up again cannot write: a stale attempt is fenced", async () => {
    const { a, b, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const paused = await a.openTurn(s.id, ask("old"));
    await die(paused, backend, s.id);
    const t = await b.get(s.id);
    await t.turn("new", async () => "done");
    await expect(paused.append("from the grave")).rejects.toThrow(withCode("FENCED"));
    expect(paused.signal.aborted).toBe(true);
    await expect(paused.complete("from the grave")).rejects.toThrow(withCode("FENCED"));
    await paused.fail(new Error("x"));
    expect(texts(await t.messages())).toEqual(["old", "new", "done"]);
  });

  it("whose expired lease nobody took may still write", async () => {
    const { a, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const slow = await a.openTurn(s.id, ask("q"));
    await die(slow, backend, s.id);
    await slow.append("late but alone");
    expect((await slow.complete("done")).text).toBe("done");
  });

  it("an append from outside after the lease ran out takes the turn's ground away", async () => {
    const { a, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const slow = await a.openTurn(s.id, ask("q"));
    await die(slow, backend, s.id);
    await s.append("somebody else");
    await expect(slow.complete("done")).rejects.toThrow(withCode("FENCED"));
    expect(texts(await s.messages())).toEqual(["q", "somebody else"]);
  });
});

describe("exclusive", () => {
  it("100 turns at once on two nodes run one after the other, none lost", async () => {
    const { s, t } = await start();
    let running = 0;
    let most = 0;
    const body = async (turn: OpenTurn) => {
      most = Math.max(most, (running += 1));
      await turn.append("working");
      running -= 1;
      return "done";
    };
    await Promise.all(Array.from({ length: 100 }, (_, index) => (index % 10 ? s : t).turn(`q${index}`, body)));
    expect(most).toBe(1);
    expect(await s.messages()).toHaveLength(300);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("within a process first come is first served", async () => {
    const { s } = await start();
    const order: string[] = [];
    await Promise.all(
      ["a", "b", "c", "d"].map((name) =>
        s.turn(name, async () => {
          order.push(name);
          return name;
        }),
      ),
    );
    expect(order).toEqual(["a", "b", "c", "d"]);
  });

  it("rejects at once, waits no longer than told, and queues no more than allowed", async () => {
    const { a, b, id } = await start({ maxQueued: 1 });
    const turn = await a.openTurn(id, ask("q"));
    for (const node of [a, b]) {
      await expect(node.openTurn(id, ask("r", { ifBusy: "reject" }))).rejects.toThrow(withCode("SESSION_BUSY"));
      await expect(node.openTurn(id, ask("r", { queueTimeoutMs: 20 }))).rejects.toThrow(withCode("SESSION_BUSY"));
    }
    const waiting = a.openTurn(id, ask("r"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(a.openTurn(id, ask("s"))).rejects.toThrow(withCode("SESSION_BUSY"));
    await turn.complete("done");
    await (await waiting).complete("done too");
  });

  it("a waiting caller that gives up leaves the queue", async () => {
    const { a, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    const leaving = new AbortController();
    const waiting = a.openTurn(id, ask("r", { signal: leaving.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    leaving.abort();
    await expect(waiting).rejects.toThrow(withCode("CANCELLED"));
    await turn.complete("done");
    await (await a.openTurn(id, ask("s"))).complete("next");
  });

  it("appends and restores from outside are refused; checkpoint, fork and metadata are not", async () => {
    const { a, s, t, id } = await start();
    const root = await s.checkpoint();
    const turn = await a.openTurn(id, ask("q"));
    for (const outside of [s, t]) {
      await expect(outside.append("x")).rejects.toThrow(withCode("SESSION_BUSY"));
      await expect(outside.restore(root.id)).rejects.toThrow(withCode("SESSION_BUSY"));
      await outside.checkpoint();
      await outside.setMetadata({ running: true });
      expect(texts(await (await outside.fork()).messages())).toEqual(["q"]);
    }
    await turn.append("step");
    await turn.complete("done");
    await s.append("after");
    expect(texts(await t.messages())).toEqual(["q", "step", "done", "after"]);
  });

  it("an append of the turn's own code is part of the turn", async () => {
    const { s, t } = await start();
    await s.turn("q", async () => {
      await currentSession()?.append("note");
      return "done";
    });
    expect(texts(await t.messages())).toEqual(["q", "note", "done"]);
  });

  it("a turn that calls its own session is told at once", async () => {
    const { a, b, s, id } = await start();
    await s.turn("q", async () => {
      await expect(s.turn("again", async () => "never")).rejects.toThrow(withCode("TURN_REENTRANT"));
      await expect(b.openTurn(id, { ...ask("again"), within: [id] })).rejects.toThrow(withCode("TURN_REENTRANT"));
      return "done";
    });
    // The chain of a turn that is over binds nobody.
    await (await a.openTurn(id, { ...ask("later"), within: [id] })).complete("fine");
  });
});

describe("cancel and interrupt", () => {
  it("reach a turn of this process at once, and of another at its next append or renewal", async () => {
    const { a, b, id } = await start({ leaseMs: 150 });
    for (const [node, renewed] of [
      [a, false],
      [b, true],
    ] as const) {
      const turn = await a.openTurn(id, ask("q"));
      expect(await node.cancelTurn(id, { turnId: "another" })).toBe(false);
      expect(await node.cancelTurn(id, { turnId: turn.id, reason: "enough" })).toBe(true);
      if (renewed) await new Promise((resolve) => turn.signal.addEventListener("abort", resolve, { once: true }));
      expect(turn.signal.reason).toMatchObject({ code: "CANCELLED", message: expect.stringContaining("enough") as string });
      await turn.fail(turn.signal.reason);
    }
    const last = await a.openTurn(id, ask("q"));
    await b.cancelTurn(id);
    await last.append("one more step");
    expect(last.signal.aborted).toBe(true);
    await last.fail(last.signal.reason);
    expect(await turnsOf(await a.get(id))).toEqual(Array(3).fill(["start 1", "end 1 cancelled"]).flat());
    expect(await a.cancelTurn(id)).toBe(false);
  });

  it("a new message may interrupt a turn that is only being opened, and those that wait before it", async () => {
    const { s } = await start();
    const untilStopped = (turn: OpenTurn): Promise<never> =>
      new Promise((_, reject) => {
        const stopped = (): void => reject(turn.signal.reason as Error);
        if (turn.signal.aborted) stopped();
        else turn.signal.addEventListener("abort", stopped, { once: true });
      });
    const before = [s.turn("one", untilStopped), s.turn("two", untilStopped)].map((each) =>
      expect(each).rejects.toThrow(withCode("CANCELLED")),
    );
    expect((await s.turn("three", async () => "done", { ifBusy: "interrupt" })).text).toBe("done");
    await Promise.all(before);
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 interrupted", "start 1", "end 1 interrupted", "start 1", "end 1 completed"]);
  });

  it("a new message may interrupt the running turn, here or elsewhere", async () => {
    const { a, s, t } = await start({ leaseMs: 150 });
    for (const [index, other] of [s, t].entries()) {
      const running = s.turn(
        `old ${index}`,
        (turn) =>
          new Promise((_, reject) => turn.signal.addEventListener("abort", () => reject(turn.signal.reason as Error), { once: true })),
      );
      const settled = expect(running).rejects.toThrow(withCode("CANCELLED"));
      while ((await s.messages()).length !== index * 3 + 1) await new Promise((resolve) => setTimeout(resolve, 5));
      expect((await other.turn(`new ${index}`, async () => "done", { ifBusy: "interrupt" })).text).toBe("done");
      await settled;
    }
    expect(await turnsOf(s)).toEqual([
      "start 1",
      "end 1 interrupted",
      "start 1",
      "end 1 completed",
      "start 1",
      "end 1 interrupted",
      "start 1",
      "end 1 completed",
    ]);
    expect(await a.cancelTurn(s.id)).toBe(false);
  });

  it("that was stopped keeps what it had stored, and goes on from there", async () => {
    const { a, b, s, t, id } = await start();
    const stopped = s.turn(
      "q",
      async (turn) => {
        await turn.append("half of it");
        expect(await b.cancelTurn(id, { reason: "stop" })).toBe(true);
        // Whatever is stored next notices what the other node asked for.
        for (let n = 0; n < 1000 && !turn.signal.aborted; n += 1) await turn.setState(n);
        throw turn.signal.reason;
      },
      { turnKey: "k" },
    );
    await expect(stopped).rejects.toThrow(withCode("CANCELLED"));
    expect(texts(await t.messages())).toEqual(["q", "half of it"]);
    const reply = await t.turn(
      "q",
      async (turn) => {
        expect([turn.attempt, texts(await turn.steps())]).toEqual([2, ["half of it"]]);
        return "the rest";
      },
      { turnKey: "k" },
    );
    expect(reply.text).toBe("the rest");
    expect(texts(await s.messages())).toEqual(["q", "half of it", "the rest"]);
    expect(await turnsOf(await a.get(id))).toEqual(["start 1", "end 1 cancelled", "start 2", "end 2 completed"]);
  });
  it("a turn that takes too long is failed, and its caller told", async () => {
    const { s } = await start();
    await expect(s.turn("q", () => new Promise(() => undefined), { timeoutMs: 20 })).rejects.toThrow(withCode("TIMEOUT"));
    await s.turn("q", async () => "next");
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 failed", "start 1", "end 1 completed"]);
  });

  it("a deleted session ends its turn", async () => {
    const { a, b, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    await b.delete(id);
    await expect(turn.append("x")).rejects.toThrow(withCode("SESSION_DELETED"));
    expect(turn.signal.aborted).toBe(true);
    await turn.fail(new Error("x"));
  });

  it("closing the manager stops running turns and sends waiting callers away", async () => {
    const { a, b, s, id } = await start();
    const running = s.turn(
      "q",
      (turn) =>
        new Promise((_, reject) => turn.signal.addEventListener("abort", () => reject(turn.signal.reason as Error), { once: true })),
    );
    const settled = expect(running).rejects.toThrow(withCode("CANCELLED"));
    while ((await s.messages()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const waiting = expect(a.openTurn(id, ask("r"))).rejects.toThrow(withCode("CANCELLED"));
    await new Promise((resolve) => setTimeout(resolve, 10));
    await a.close();
    await Promise.all([settled, waiting]);
    expect(await turnsOf(await b.get(id))).toEqual(["start 1", "end 1 interrupted"]);
  });
});

describe("an open call", () => {
  it("of a killed attempt is closed on every read and never recorded", async () => {
    const { a, b, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const dead = await a.openTurn(s.id, ask("q", { turnKey: "k" }));
    await dead.append({ role: "assistant", parts: [{ type: "tool-call", toolCallId: "1", toolName: "pay", input: {} }] });
    await die(dead, backend, s.id);
    const t = await b.get(s.id);
    const open = (await t.messages()).at(-1);
    expect(open).toMatchObject({ role: "tool", parts: [{ type: "tool-result", toolCallId: "1", output: { type: "interrupted" } }] });
    expect((await all(t.entries())).filter(({ type }) => type === "message")).toHaveLength(2);
    await t.turn(
      "q",
      async (turn) => {
        expect((await turn.steps()).at(-1)).toMatchObject({ role: "tool" });
        await turn.append({
          role: "tool",
          parts: [{ type: "tool-result", toolCallId: "1", toolName: "pay", output: { type: "text", value: "paid" } }],
        });
        return "done";
      },
      { turnKey: "k" },
    );
    expect((await t.messages()).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    expect(((await all(t.entries())) as Entry[]).filter(({ type }) => type === "message")).toHaveLength(4);
  });
});
