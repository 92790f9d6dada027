import { AixgoError, type MessageInput, type OpenTurn } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { Entry } from "../src/index.ts";
import { encodeMessage } from "../src/message-data.ts";
import type { Turn } from "../src/turn.ts";
import { entriesOf, lastOf, turnPlace as place } from "./turn-place.ts";
import { ask, recorded, start, texts, turnsOf, withCode } from "./turns.ts";

const says = (text: string, more: object = {}): Exclude<MessageInput, string> => ({
  role: "assistant",
  parts: [{ type: "text", text }],
  ...more,
});

describe("a turn knows", () => {
  it("whose it is, where it stands, and whether it has ended", async () => {
    const { a, id } = await start();
    const turn = (await a.openTurn(id, ask("q"))) as Turn;
    expect([turn.userId, turn.sessionId, turn.attempt, turn.hasEnded]).toEqual(["ada", id, 1, false]);
    expect(turn.place).toEqual({ life: expect.stringMatching(/^.{8}$/) as string, version: 2 });
    await turn.complete("done");
    expect(turn.hasEnded).toBe(true);
    const { open } = await place();
    const nobodys = await open();
    expect(nobodys.userId).toBeUndefined();
    await nobodys.fail(new Error("x"));
    expect(nobodys.hasEnded).toBe(true);
  });

  it("the latest state on its path", async () => {
    const { open, t } = await place();
    const first = await open();
    expect(await first.getState()).toBeUndefined();
    await first.setState({ step: 1 });
    await first.append("between");
    await first.setState(null);
    expect(await first.getState()).toBeNull();
    await first.setState({ step: 3 });
    await first.append("after it");
    expect(await first.getState()).toEqual({ step: 3 });
    await first.complete("done");
    const second = await open();
    expect(await second.getState()).toEqual({ step: 3 });
    await second.complete("done");
    expect((await entriesOf(t)).filter(({ type }) => type === "state").map(({ turn }) => turn)).toEqual([1, 1, 1]);
  });

  it("what fits: no state and no message that is larger than the limit", async () => {
    const { open } = await place(undefined, { maxMessageBytes: 300 });
    const turn = await open();
    await expect(turn.setState("x".repeat(300))).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await expect(turn.append("x".repeat(300))).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await turn.setState("x".repeat(200));
    await turn.append("x".repeat(200));
    await turn.complete("done");
  });
});

describe("what a turn writes", () => {
  it("stands in the order in which it was asked for, though nothing was waited for in between", async () => {
    const { open, t } = await place();
    const turn = await open();
    const others = encodeMessage("b", "user", { maxBytes: 1000, maxBlobBytes: undefined });
    await Promise.all([turn.append("a"), turn.setState(1), turn.appendAll([others]), turn.setState(2), turn.append("c")]);
    expect((await entriesOf(t)).slice(3).map(({ type }) => type)).toEqual(["message", "state", "message", "state", "message"]);
    expect(texts(await t.messages())).toEqual(["q", "a", "b", "c"]);
    await turn.complete("done");
  });
});

describe("an answer", () => {
  it("is the last line but one, and the end names it", async () => {
    const { open, t } = await place();
    const turn = await open({ turnKey: "k" });
    const usage = { inputTokens: 3 } as never;
    const reply = await turn.complete("done", usage);
    const [, began, , answer, end] = (await entriesOf(t)) as [Entry, Entry, Entry, Entry, Entry];
    expect([answer.batch, end.batch]).toEqual([
      [0, 2],
      [1, 2],
    ]);
    expect(end).toMatchObject({ type: "turn", turn: 1, fence: 1, op: began.op });
    expect(end.data).toEqual({ ...(began.data as object), phase: "end", status: "completed", replySeq: 3, usage });
    expect(reply).toEqual({
      message: (await t.messages()).at(-1),
      text: "done",
      usage,
      turn: { id: began.id, sessionId: t.id, version: 4, replayed: false, status: "completed" },
    });
    const plain = await open();
    expect(await plain.complete("done")).not.toHaveProperty("usage");
    expect((await lastOf(t)).data).not.toHaveProperty("usage");
    expect((await lastOf(t)).data).not.toHaveProperty("key");
    expect(await lastOf(t)).not.toHaveProperty("op");
  });

  it.each<[string, (turn: OpenTurn) => Promise<MessageInput>]>([
    [
      "the very object that was appended",
      async (turn) => {
        const step = says("answer");
        await turn.append(step);
        await turn.append("later");
        return step;
      },
    ],
    [
      "the message that came back",
      async (turn) => {
        const { message } = await turn.append(says("answer"));
        await turn.append("later");
        return message;
      },
    ],
    [
      "one with the same id of the caller's",
      async (turn) => {
        await turn.append(says("answer", { id: "mine" }));
        await turn.append("later");
        return says("answer", { id: "mine" });
      },
    ],
    [
      "whatever its role",
      async (turn) => {
        const { message } = await turn.append({ role: "user", parts: [{ type: "text", text: "answer" }] });
        await turn.append("later");
        return message;
      },
    ],
    [
      "one with the id of the entry",
      async (turn) => {
        const { message } = await turn.append(says("answer"));
        await turn.append("later");
        return says("answer", { id: message.id });
      },
    ],
  ])("that was stored on the way is not stored again: %s", async (_, body) => {
    const { s, t } = await place();
    const reply = await s.turn("q", body);
    expect(texts(await t.messages())).toEqual(["q", "answer", "later"]);
    expect((await lastOf(t)).data).toMatchObject({ status: "completed", replySeq: 3 });
    expect(reply.message).toEqual((await t.messages())[1]);
    expect(reply.text).toBe("answer");
  });

  it("that was not stored on the way costs one append, and no look at the log", async () => {
    let calls: string[] = [];
    const { open } = await place((store) => {
      const noted = recorded(store);
      ({ calls } = noted);
      return noted.backend;
    });
    const turn = await open();
    calls.length = 0;
    await turn.complete(says("done"));
    expect(calls).toEqual(["append"]);
  });

  it("is known by the id of its entry also where the caller gave it another", async () => {
    const { s, t } = await place();
    const reply = await s.turn("q", async (turn) => {
      await turn.append(says("answer", { id: "mine" }));
      return says("whatever", { id: (await lastOf(t)).id });
    });
    expect([reply.text, texts(await t.messages())]).toEqual(["answer", ["q", "answer"]]);
  });

  it("that an earlier attempt has stored is found by its id, the last one if there are several", async () => {
    const { s, t } = await place();
    const dies = async (turn: OpenTurn): Promise<never> => {
      await turn.append(says("first", { id: "mine" }));
      await turn.append(says("second", { id: "mine" }));
      await turn.append({ role: "user", parts: [{ type: "text", text: "a note" }], id: "mine" });
      throw new Error("died");
    };
    await expect(s.turn("q", dies, { turnKey: "k" })).rejects.toThrow("died");
    const reply = await t.turn("q", async () => says("whatever", { id: "mine" }), { turnKey: "k" });
    expect(reply.text).toBe("second");
    expect(texts(await s.messages())).toEqual(["q", "first", "second", "a note"]);
    await s.turn("q", async () => says("new", { id: "of another turn" }));
    expect((await s.turn("q", async () => says("new", { id: "of another turn" }))).text).toBe("new");
    expect(texts(await s.messages()).slice(4)).toEqual(["q", "new", "q", "new"]);
  });

  it("that cannot be stored ends the attempt as failed, and says why", async () => {
    for (const bad of ["\ud800", says("x".repeat(1000))]) {
      const { open, t } = await place(undefined, { maxMessageBytes: 500 });
      const turn = await open({ turnKey: "k" });
      await expect(turn.complete(bad)).rejects.toBeInstanceOf(AixgoError);
      expect([turn.hasEnded, await turnsOf(t)]).toEqual([true, ["start 1", "end 1 failed"]]);
      await expect(turn.complete("again")).rejects.toThrow(withCode("TURN_ENDED"));
    }
  });
});

describe("an end that is not an answer", () => {
  it.each<[string, unknown, string, string | undefined]>([
    ["an error", new Error("boom"), "failed", undefined],
    ["an error with a code", new AixgoError("TIMEOUT", "late"), "failed", "TIMEOUT"],
    ["a cancellation", new AixgoError("CANCELLED", "left"), "cancelled", "CANCELLED"],
  ])("is recorded once: %s", async (_, error, status, code) => {
    const { open, t } = await place();
    const turn = await open({ turnKey: "k" });
    await Promise.all([turn.fail(error), turn.fail(new Error("second"))]);
    await turn.fail(new Error("third"));
    const [, began, , end, ...more] = (await entriesOf(t)) as [Entry, Entry, Entry, Entry];
    expect(more).toEqual([]);
    expect(end).toMatchObject({ turn: 1, fence: 1, op: began.op });
    expect(end.data).toEqual({
      ...(began.data as object),
      phase: "end",
      status,
      error: { name: expect.any(String) as string, message: (error as Error).message, ...(code === undefined ? undefined : { code }) },
    });
    // Its lease is given up, and its place in the queue.
    await (await open()).complete("next");
  });

  it.each([
    ["cancelled", "enough", /was cancelled: enough$/],
    ["cancelled", "", /was cancelled$/],
    ["interrupted", "", /was interrupted$/],
  ] as const)("is what the turn was stopped as: %s", async (kind, reason, message) => {
    const { open, t } = await place();
    const turn = await open();
    turn.cancel(kind, reason);
    turn.cancel("cancelled", "a second time");
    expect(turn.signal.reason).toMatchObject({ code: "CANCELLED", message: expect.stringMatching(message) as string });
    await turn.fail(new Error("whatever came of it"));
    expect(await turnsOf(t)).toEqual(["start 1", `end 1 ${kind}`]);
  });

  it("does not come after another: a turn that has ended is not stopped", async () => {
    const { open } = await place();
    const turn = await open();
    await turn.complete("done");
    turn.cancel("cancelled", "late");
    await turn.fail(new Error("late"));
    expect(turn.signal.aborted).toBe(false);
  });

  it("frees the session also where it cannot be written, and no error hides the first", async () => {
    let isDown = false;
    const { open, t, s } = await place(
      (backend) => ({
        append: async (...parameters) => {
          if (isDown) throw new AixgoError("PERMISSION_DENIED", "no");
          return backend.append(...parameters);
        },
      }),
      { leaseMs: 60 },
    );
    const turn = await open();
    isDown = true;
    await turn.fail(new Error("first"));
    expect(turn.hasEnded).toBe(true);
    isDown = false;
    expect(await turnsOf(t)).toEqual(["start 1"]);
    expect((await s.turn("next", async () => "goes on")).text).toBe("goes on");
    expect(await turnsOf(t)).toEqual(["start 1", "end 1 interrupted", "start 1", "end 1 completed"]);
  });
});

describe("a request to stop that comes through the lease", () => {
  it.each([
    ["interrupt", /was interrupted$/, "interrupted"],
    ["cancel:enough", /was cancelled: enough$/, "cancelled"],
    ["cancel:", /was cancelled$/, "cancelled"],
    ["of an older node", /was cancelled: of an older node$/, "cancelled"],
  ])("as %j is seen at the next write", async (reason, message, status) => {
    const { open, t } = await place((backend) => ({
      append: async (...parameters) => {
        const answer = await backend.append(...parameters);
        if (!("head" in answer) || answer.head.lease === undefined || parameters[1].lease === undefined) return answer;
        return { head: { ...answer.head, lease: { ...answer.head.lease, cancelRequested: reason } } };
      },
    }));
    const turn = await open();
    expect(turn.signal.aborted).toBe(false);
    await turn.append("step");
    expect(turn.signal.reason).toMatchObject({ code: "CANCELLED", message: expect.stringMatching(message) as string });
    await turn.fail(turn.signal.reason);
    expect(await turnsOf(t)).toEqual(["start 1", `end 1 ${status}`]);
  });
});
