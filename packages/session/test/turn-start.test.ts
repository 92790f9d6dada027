import { randomBytes } from "node:crypto";
import { type FilePart, type Message, type OpenTurn, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { Head, SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Entry, type Session, type SessionManager } from "../src/index.ts";
import { all, ask, beforeAppend, die, start, texts, turnsOf, withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

const entriesOf = (session: Session): Promise<Entry[]> => all(session.entries());
const fails = async (): Promise<never> => Promise.reject(new Error("breaks"));

/** Two nodes over one store; what the first sends to the store passes through `wrap`. */
async function place(wrap: (backend: SessionBackend) => SessionBackend): Promise<{ a: SessionManager; s: Session; t: Session }> {
  const store = createMemoryStore();
  const b = createSessionManager({ backend: createMemoryBackend({ store }) });
  const t = await b.create("x");
  const a = createSessionManager({ backend: wrap(createMemoryBackend({ store })), rebaseMs: 500 });
  return { a, s: await a.get(t.id), t };
}

describe("the first batch of a turn", () => {
  it.each([
    ["a key", "k"],
    ["no key", undefined],
  ])("with %s says what it is, and marks start and input as its own", async (_, turnKey) => {
    const { s, t, id, a } = await start();
    await s.append("before");
    const turn = await a.openTurn(id, ask("q", turnKey === undefined ? {} : { turnKey }));
    const [began, input] = (await entriesOf(t)).slice(-2) as [Entry, Entry];
    expect(began).toMatchObject({ type: "turn", seq: 2, turn: 2, fence: 1, batch: [0, 2] });
    expect(began.data).toEqual({
      phase: "start",
      ...(turnKey === undefined ? undefined : { key: turnKey, inputDigest: expect.stringMatching(/^[\w-]{43}$/) as string }),
      attempt: 1,
    });
    expect("op" in began).toBe(turnKey !== undefined);
    expect(input).toMatchObject({ type: "message", seq: 3, turn: 2, fence: 1, batch: [1, 2] });
    expect(input).not.toHaveProperty("op");
    expect(turn.input).toEqual((await t.messages()).at(-1));
    expect([turn.id, turn.attempt, turn.resumed, turn.userId]).toEqual([began.id, 1, false, "ada"]);
    await turn.complete("done");
  });

  it.each([
    ["a key", "k"],
    ["no key", undefined],
  ])("ends a dead turn with %s in its name, and counts that end in its own place", async (_, turnKey) => {
    const { a, b, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const s = await a.create("x");
    const dead = await a.openTurn(s.id, ask("old", turnKey === undefined ? {} : { turnKey }));
    await die(dead, backend, s.id);
    const t = await b.get(s.id);
    await t.turn("new", async (turn) => {
      await turn.append("step");
      expect(texts(await turn.steps())).toEqual(["step"]);
      expect(texts(await turn.history())).toEqual(["old"]);
      return "done";
    });
    const [, began, , end, next] = (await entriesOf(t)) as [Entry, Entry, Entry, Entry, Entry];
    expect(end).toMatchObject({ type: "turn", turn: began.seq, fence: 2 });
    expect(end.op).toBe(began.op);
    expect(end.data).toEqual({ ...(began.data as object), phase: "end", status: "interrupted" });
    expect(next).toMatchObject({ type: "turn", seq: 4, turn: 4, fence: 2 });
  });

  it("of a further attempt brings no second input, and keeps the place of the first", async () => {
    const { s, t } = await start();
    await expect(s.turn("q", fails, { turnKey: "k" })).rejects.toThrow("breaks");
    await s.setMetadata({ between: true });
    const [, first] = (await entriesOf(s)) as [Entry, Entry];
    await t.turn(
      "q",
      async (turn: OpenTurn) => {
        expect([turn.id, turn.attempt, textOf(turn.input)]).toEqual([first.id, 2, "q"]);
        expect(turn.input).toEqual((await t.messages())[0]);
        return "done";
      },
      { turnKey: "k" },
    );
    const began = (await entriesOf(t)).find(({ data }) => (data as { attempt?: number }).attempt === 2) as Entry;
    expect(began).toMatchObject({ type: "turn", turn: first.seq, fence: 2, op: first.op });
    expect(began.batch).toBeUndefined();
    expect(began.data).toEqual({ ...(first.data as object), attempt: 2 });
  });
});

describe("a turn that begins while others write", () => {
  it("is placed behind what came between, and has it in its history", async () => {
    const between = beforeAppend();
    const { s, t } = await place(between.wrap);
    await s.append("known");
    between.next = () => t.append(["came", "between"]);
    await s.turn("q", async (turn) => {
      expect(texts(await turn.history())).toEqual(["known", "came", "between"]);
      await turn.append("step");
      expect(texts(await turn.steps())).toEqual(["step"]);
      return "done";
    });
    const began = (await entriesOf(t)).find(({ type }) => type === "turn") as Entry;
    expect(began.turn).toBe(began.seq);
    expect(texts(await t.messages())).toEqual(["known", "came", "between", "q", "step", "done"]);
  });

  it("takes a fence that is higher than its log tells, as after the end of a log was lost", async () => {
    const shown = (head: Head): Head => ({ ...head, fence: head.fence + (isKnown ? 4 : 0) });
    let isKnown = false;
    const fences: number[] = [];
    const { a, t } = await place((backend) => ({
      ...backend,
      head: async (...parameters) => shown(await backend.head(...parameters)),
      async append(ref, request) {
        const { acquire } = request;
        if (acquire === undefined) return backend.append(ref, request);
        fences.push(acquire.fence);
        isKnown = true;
        const current = await backend.head(ref.id);
        if (acquire.fence !== current.fence + 5) return { conflict: shown(current) };
        return backend.append(ref, { ...request, acquire: { ...acquire, fence: current.fence + 1 } });
      },
    }));
    await a.openTurn(t.id, ask("q"));
    expect(fences).toEqual([1, 5]);
    expect(await turnsOf(t)).toEqual(["start 1"]);
  });
});

describe("the input of a turn that is kept beside the log", () => {
  const bytes = randomBytes(300 * 1024);
  const picture: FilePart = { type: "file", mediaType: "image/png", url: `data:image/png;base64,${bytes.toString("base64")}` };
  const input = { role: "user" as const, parts: [{ type: "text" as const, text: "look" }, picture], metadata: { a: 1 } };

  it("is shown to the agent whole, with the id and time of its entry, on every attempt", async () => {
    const { s, t } = await start();
    const shown: Message[] = [];
    const seen = async (turn: OpenTurn): Promise<never> => {
      shown.push(turn.input);
      return fails();
    };
    for (const node of [s, t]) await expect(node.turn(input, seen, { turnKey: "k" })).rejects.toThrow("breaks");
    const [stored] = (await s.messages()) as [Message];
    expect(stored.parts[1]).toMatchObject({ type: "file", url: expect.stringMatching(/^attachment:/) as string });
    for (const each of shown) expect(each).toEqual({ ...stored, parts: input.parts });
    expect(shown).toHaveLength(2);
  });
});
