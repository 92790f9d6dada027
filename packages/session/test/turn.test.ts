import { describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, currentSession, type Entry } from "../src/index.ts";
import { all, ask, die, recorded, start, texts, turnsOf, withCode, withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

describe("a turn", () => {
  it("stores input and answer, and is two appends without tools", async () => {
    const { backend, calls } = recorded(createMemoryBackend());
    const appends = (): number => calls.filter((name) => name === "append").length;
    const manager = createSessionManager({ backend });
    const s = await manager.create("x");
    const reply = await s.turn("hi", async () => "hello");
    expect(appends()).toBe(2);
    expect(reply).toMatchObject({ text: "hello", turn: { sessionId: s.id, replayed: false, status: "completed", version: 4 } });
    await s.turn("sum", async (turn) => {
      await turn.append({ role: "assistant", parts: [{ type: "tool-call", toolCallId: "1", toolName: "add", input: {} }] });
      await turn.append({
        role: "tool",
        parts: [{ type: "tool-result", toolCallId: "1", toolName: "add", output: { type: "text", value: "2" } }],
      });
      return "two";
    });
    expect(appends()).toBe(6);
    expect((await s.verify()).problems).toEqual([]);
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

describe("an answer under the id of another message of its turn", () => {
  it.each(["tool", "user"] as const)("is stored, where that is a %s's", async (role) => {
    const { a, s, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    await turn.append({ id: "m", role, parts: [{ type: "text", text: "not the answer" }] });
    const reply = await turn.complete({ id: "m", role: "assistant", parts: [{ type: "text", text: "the answer" }] });
    expect(reply).toMatchObject({ text: "the answer", message: { role: "assistant" } });
    expect((await s.messages()).at(-1)).toMatchObject({ role: "assistant", parts: [{ text: "the answer" }] });
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
