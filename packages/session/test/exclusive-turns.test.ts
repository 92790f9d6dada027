import type { OpenTurn } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { currentSession } from "../src/index.ts";
import { ask, die, start, texts, turnsOf, withCode, withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

/** Of a turn that lives: short, for it is renewed in a third of it, and longer than a busy machine stops. */
const LIVES_MS = 4_000;

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
    const { a, b, id } = await start({ leaseMs: LIVES_MS });
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
    const { a, s, t } = await start({ leaseMs: LIVES_MS });
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
