import { textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Entry, type Session, type SessionManager } from "../src/index.ts";
import { asks, entriesOf, never, start, turnsOf, wellFormed, withCode } from "./suspends.ts";
import { beforeAppend } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

/** `hooked` opens the session in a node of its own: right before it first appends, the rival does its work. */
async function withRival(): Promise<{ s: Session; t: Session; hooked(rival: () => Promise<unknown>): Session }> {
  const store = createMemoryStore();
  const node = (): SessionManager => createSessionManager({ backend: createMemoryBackend({ store }) });
  let work: (() => Promise<unknown>) | undefined;
  const backend = createMemoryBackend({ store });
  const late = createSessionManager({
    backend: {
      ...backend,
      async append(...given) {
        const mine = work;
        work = undefined;
        await mine?.();
        return backend.append(...given);
      },
    },
  });
  const s = await node().create("x", { userId: "ada" });
  const slow = await late.get(s.id);
  return { s, t: await node().get(s.id), hooked: (rival) => ((work = rival), slow) };
}

describe("a restore to where a turn waits", () => {
  it("looks again if that turn has gone on meanwhile: then nobody waits there any more", async () => {
    const between = beforeAppend();
    const { a, b } = twoNodes({}, between.wrap);
    const s = await a.create("x");
    await s.turn("q", asks("r"), { turnKey: "k" });
    const waiting = await s.checkpoint();
    const t = await b.get(s.id);
    await t.requests();
    between.next = () => s.resume("r", true, asks("r"));
    await t.restore(waiting.id);
    for (const handle of [t, s]) {
      expect(await handle.requests()).toEqual([]);
      await handle.append("goes on");
    }
    await wellFormed(s);
  });
});

describe("a session whose turn waits", () => {
  it("rejects new messages and appends, naming what is asked; writes nothing", async () => {
    const { s, t, id } = await start();
    await s.turn("q", asks("r1", "r2"), { turnKey: "k" });
    const before = (await s.info()).version;
    for (const handle of [s, t]) {
      await expect(handle.turn("other", never)).rejects.toThrow(/waits for the answer to requests "r1", "r2"/);
      await expect(handle.turn("other", never)).rejects.toThrow(withCode("TURN_SUSPENDED"));
      await expect(handle.append("between")).rejects.toMatchObject({ code: "TURN_SUSPENDED", details: { requests: ["r1", "r2"] } });
      await expect(handle.append("between", { op: "o" })).rejects.toThrow(withCode("TURN_SUSPENDED"));
      await expect(handle.turn("another input", never, { turnKey: "k" })).rejects.toThrow(withCode("TURN_KEY_REUSED"));
    }
    expect((await s.info()).version).toBe(before);
    // Side entries are allowed, and change nothing.
    await t.setMetadata({ a: 1 });
    await t.checkpoint({ label: "waiting" });
    await expect(s.append("between")).rejects.toThrow(withCode("TURN_SUSPENDED"));
    expect((await s.fork()).id).not.toBe(id);
  });

  it("declines for a new message that says so: denied calls, the end and the new start in one batch", async () => {
    const { s, t } = await start();
    await s.turn("q", asks("r1", "r2"), { turnKey: "k" });
    await s.resume("r1", true, never);
    const reply = await t.turn("never mind", async (turn) => `after ${(await turn.history()).length}`, { ifSuspended: "decline" });
    expect(reply.text).toBe("after 3");
    expect(await turnsOf(s)).toEqual([
      "start 1",
      "suspend 1 waits for r1+r2",
      "decide 1 r1 waits for r2",
      "withdraw 1 r2",
      "end 1 cancelled",
      "start 1",
      "end 1 completed",
    ]);
    const denied = (await s.messages())[2];
    expect(denied?.parts.map((part) => part.type === "tool-result" && part.output.type)).toEqual(["execution-denied", "execution-denied"]);
    const batch = (await entriesOf(s)).filter(({ batch: place }) => place?.[1] === 5);
    expect(batch.map(({ type }) => type)).toEqual(["message", "turn", "turn", "turn", "message"]);
    await expect(t.resume("r2", true, never)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await expect(t.resume("r1", true, never)).rejects.toThrow(withCode("TURN_ENDED"));
    await wellFormed(s);
    // Where nothing waits, the option changes nothing.
    expect((await s.turn("next", async () => "fine", { ifSuspended: "decline" })).text).toBe("fine");
  });

  it("is asked by its own key what it waits for, and does not decline itself", async () => {
    const { s, t } = await start();
    await s.turn("q", asks("r1"), { turnKey: "k" });
    const again = await t.turn("q", never, { turnKey: "k", ifSuspended: "decline" });
    expect(again).toMatchObject({ turn: { status: "suspended", replayed: true, requests: [{ requestId: "r1" }] } });
  });

  it("is cancelled without a lease: denied calls and the end, written by whoever cancels", async () => {
    const { s, b, t, id } = await start();
    const reply = await s.turn("q", asks("r1"), { turnKey: "k" });
    expect(await b.cancelTurn(id, { turnId: reply.turn?.id as string, reason: "changed my mind" })).toBe(true);
    expect(await turnsOf(s)).toEqual(["start 1", "suspend 1 waits for r1", "withdraw 1 r1", "end 1 cancelled"]);
    expect((await t.messages()).at(-1)?.parts[0]).toMatchObject({
      output: { type: "execution-denied", reason: "cancelled: changed my mind" },
    });
    expect(await b.cancelTurn(id)).toBe(false);
    await expect(s.resume("r1", true, never)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await s.append("on we go");
    await wellFormed(s);
  });

  it("forgets the question when it is restored to before it, and remembers it when that is undone", async () => {
    const { s, t, b, id } = await start();
    await s.turn("first", async () => "1");
    const before = await s.checkpoint();
    await s.turn("q", asks("r1"), { turnKey: "k" });
    const asked = (await entriesOf(s)).at(-1) as Entry;
    await t.restore(before.id);
    await expect(s.resume("r1", true, never)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await s.append("something else");
    expect(await b.cancelTurn(id)).toBe(false);
    await s.turn("other", async () => "2");
    await t.restore(asked.id);
    await expect(s.append("between")).rejects.toThrow(withCode("TURN_SUSPENDED"));
    await expect(t.turn("other", never)).rejects.toThrow(withCode("TURN_SUSPENDED"));
    expect(await s.resume("r1", "yes", asks("r1"))).toMatchObject({ text: 'done: ["yes"]' });
    await wellFormed(s);
    // Back at the question, which has its answer on another branch: nothing waits there any more.
    await t.restore(asked.id);
    expect(await s.resume("r1", "no", never)).toMatchObject({ text: 'done: ["yes"]', turn: { replayed: true } });
    expect((await s.turn("on", async () => "fine")).text).toBe("fine");
    await wellFormed(s);
  });

  it("takes an append where a restore left a question behind that was answered, at once and on another node", async () => {
    const { s, t } = await start();
    await s.turn("q", asks("r1"));
    const asked = (await entriesOf(s)).at(-1) as Entry;
    await s.resume("r1", true, asks("r1"));
    await s.restore(asked.id);
    await s.append("here");
    await t.append("there");
    expect((await s.messages()).map(textOf).slice(-2)).toEqual(["here", "there"]);
    await wellFormed(s);
  });

  it("takes an append as soon as another node has answered or cancelled, whatever this one saw last", async () => {
    const { s, t, b, id } = await start();
    await s.turn("q", asks("r1"));
    await t.resume("r1", true, asks("r1"));
    await s.append("one");
    await s.turn("q", asks("r2"));
    await b.cancelTurn(id);
    await s.append("two");
    expect((await t.messages()).map(textOf).at(-1)).toBe("two");
    await wellFormed(s);
  });

  it("takes an append where another node has answered and come back to the question meanwhile", async () => {
    const { s, t } = await start();
    await s.turn("q", asks("r1"));
    const asked = (await entriesOf(s)).at(-1) as Entry;
    await t.resume("r1", true, asks("r1"));
    await t.restore(asked.id);
    await s.append("here");
    expect((await t.messages()).map(textOf).at(-1)).toBe("here");
    await wellFormed(s);
  });

  it("does not wait where it was restored to the question while another node answered it", async () => {
    const { s, t, hooked } = await withRival();
    await s.turn("q", asks("r1"));
    const asked = (await entriesOf(s)).at(-1) as Entry;
    await t.restore((await entriesOf(s))[0]?.id as string);
    await t.restore(asked.id);
    const restored = hooked(() => s.resume("r1", true, asks("r1")));
    await restored.restore(asked.id);
    await restored.append("here");
    expect((await t.messages()).map(textOf).at(-1)).toBe("here");
    await wellFormed(s);
  });

  it("is answered by two nodes at once: neither answer is forgotten", async () => {
    const { s, t, hooked } = await withRival();
    await s.turn("q", asks("r1", "r2"));
    const slow = hooked(() => t.resume("r2", "second", asks("r1", "r2")));
    const reply = await slow.resume("r1", "first", asks("r1", "r2"));
    expect(reply).toMatchObject({ text: 'done: ["first","second"]', turn: { status: "completed" } });
    expect(await turnsOf(s)).toEqual([
      "start 1",
      "suspend 1 waits for r1+r2",
      "decide 1 r2 waits for r1",
      "decide 1 r1",
      "start 2",
      "end 2 completed",
    ]);
    await wellFormed(s);
  });

  it("drops a turn whose later answer a restore left behind, and says so", async () => {
    const { s, t } = await start();
    await s.turn("q", asks("r1"), { turnKey: "k" });
    await expect(s.resume("r1", true, () => Promise.reject(new Error("died")))).rejects.toThrow("died");
    const first = (await entriesOf(s))[0] as Entry;
    await s.restore(first.id);
    await expect(t.resume("r1", true, never)).rejects.toThrow(/left behind by a restore/);
    await wellFormed(s);
  });

  it("does not travel with a fork, which has its calls closed", async () => {
    const { s } = await start();
    await s.turn("q", asks("r1"));
    const copy = await s.fork();
    expect((await copy.messages()).at(-1)?.parts[0]).toMatchObject({ output: { type: "interrupted" } });
    expect((await copy.turn("on", async () => "fine")).text).toBe("fine");
    await expect(copy.resume("r1", true, never)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
  });

  it("is another's, or gone: not found, deleted", async () => {
    const { s, a, b, id } = await start();
    await s.turn("q", asks("r1"));
    const resume = { requestId: "r1", decision: true };
    await expect(b.openTurn(id, { agent: "x", resume, options: { principal: { id: "bob" } } })).rejects.toThrow(
      withCode("SESSION_NOT_FOUND"),
    );
    await expect(b.openTurn(id, { agent: "y", resume, options: {} })).rejects.toThrow(withCode("AGENT_MISMATCH"));
    await expect(b.openTurn(id, { agent: "x", options: {} })).rejects.toThrow(withCode("INVALID_INPUT"));
    await a.delete(id);
    await expect(b.openTurn(id, { agent: "x", resume, options: {} })).rejects.toThrow(withCode("SESSION_DELETED"));
  });
});
