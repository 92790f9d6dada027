import { type MessageInput, type OpenTurn, textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { Entry } from "../src/index.ts";
import { asks, entriesOf, idsOf, never, start, turnsOf, wellFormed, withCode } from "./suspends.ts";

describe("a turn that asks somebody", () => {
  it("is suspended with its requests, and free of its lease, in one append", async () => {
    const { s, a, id } = await start();
    const reply = await s.turn("buy it", asks("r1"), { turnKey: "k" });
    expect(reply).toMatchObject({
      message: { role: "assistant", parts: [{ type: "tool-call", toolCallId: "r1" }] },
      turn: { status: "suspended", replayed: false, sessionId: id, requests: [{ requestId: "r1", reason: "may I r1?" }] },
    });
    const last = (await entriesOf(s)).at(-1) as Entry;
    expect(last).toMatchObject({ type: "turn", seq: reply.turn?.version, data: { phase: "suspend", requests: [{ requestId: "r1" }] } });
    expect(last.batch).toBeUndefined();
    // No lease: another handle may checkpoint, fork and restore, and a cancel has nobody to tell.
    await s.checkpoint();
    await wellFormed(s);
    expect(await a.cancelTurn(id, { turnId: "another" })).toBe(false);
  });

  it("goes on with the answer as a new attempt, on another node, days of restarts later", async () => {
    const { s, t } = await start();
    await s.turn("buy it", asks("r1"), { turnKey: "k" });
    const reply = await t.resume("r1", { approved: true }, asks("r1"));
    expect(reply).toMatchObject({ text: 'done: [{"approved":true}]', turn: { status: "completed", replayed: false } });
    expect(await turnsOf(s)).toEqual(["start 1", "suspend 1 waits for r1", "decide 1 r1", "start 2", "end 2 completed"]);
    expect((await s.messages()).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    expect((await entriesOf(s)).find(({ type, op }) => type === "turn" && op?.startsWith("r:") === true)?.batch).toEqual([0, 2]);
    await wellFormed(s);
    // The turn's key is answered from the log like any other.
    expect(await t.turn("buy it", never, { turnKey: "k" })).toMatchObject({
      text: reply.text,
      turn: { replayed: true, status: "completed" },
    });
  });

  it("tells its attempts apart: only the one that follows the answer is resumed", async () => {
    const { s } = await start();
    const seen: [number, boolean][] = [];
    const body = async (turn: OpenTurn): Promise<MessageInput> => {
      seen.push([turn.attempt, turn.resumed]);
      await turn.suspend({ requestId: "r", reason: "?" });
      if (turn.attempt === 2) throw new Error("breaks");
      return "ok";
    };
    await s.turn("q", body, { turnKey: "k" });
    await expect(s.resume("r", true, body)).rejects.toThrow("breaks");
    expect(await s.turn("q", body, { turnKey: "k" })).toMatchObject({ text: "ok" });
    expect(seen).toEqual([
      [1, false],
      [2, true],
      [3, false],
    ]);
  });

  it("without a key is found by its own id, also after attempts that failed", async () => {
    const { s, t } = await start();
    let breaks = true;
    const body = async (turn: OpenTurn): Promise<MessageInput> => {
      await turn.suspend({ requestId: "r", reason: "?" });
      if (breaks) throw new Error("broken");
      return "ok";
    };
    await s.turn("q", body);
    await expect(s.resume("r", true, body)).rejects.toThrow("broken");
    breaks = false;
    expect(await t.resume("r", true, body)).toMatchObject({ text: "ok", turn: { status: "completed", replayed: false } });
    expect(await s.resume("r", false, never)).toMatchObject({ text: "ok", turn: { replayed: true } });
    expect(await turnsOf(s)).toEqual([
      "start 1",
      "suspend 1 waits for r",
      "decide 1 r",
      "start 2",
      "end 2 failed",
      "start 3",
      "end 3 completed",
    ]);
  });

  it("counts an answer once: two nodes at once, and again later with another decision", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { s, t } = await start();
      await s.turn("buy it", asks("r1"));
      const replies = await Promise.all([
        s.resume("r1", "first", asks("r1")),
        t.resume("r1", "second", asks("r1")),
        s.resume("r1", "third", asks("r1")),
      ]);
      expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
      expect(replies.filter(({ turn }) => turn?.replayed === false)).toHaveLength(1);
      expect(await t.resume("r1", "fourth", never)).toMatchObject({ text: replies[0]?.text, turn: { replayed: true } });
      expect((await turnsOf(s)).filter((turn) => turn.startsWith("decide"))).toHaveLength(1);
      await wellFormed(s);
    }
  });

  it("collects what was asked in one attempt, and goes on when everything is answered", async () => {
    const { s, t } = await start();
    const body = asks("r1", "r2", "r3");
    expect(idsOf(await s.turn("q", body, { turnKey: "k" }))).toEqual(["r1", "r2", "r3"]);
    expect(await t.requests()).toEqual(["r1", "r2", "r3"].map((requestId) => ({ requestId, reason: `may I ${requestId}?` })));
    const second = await t.resume("r2", 2, never);
    expect((await s.requests()).map(({ requestId }) => requestId)).toEqual(["r1", "r3"]);
    expect(await s.requests({ answered: true })).toEqual([
      { requestId: "r1", reason: "may I r1?" },
      { requestId: "r2", reason: "may I r2?", decision: 2 },
      { requestId: "r3", reason: "may I r3?" },
    ]);
    expect(second).toMatchObject({ turn: { status: "suspended", replayed: false } });
    expect(idsOf(second)).toEqual(["r1", "r3"]);
    expect(idsOf(await s.resume("r2", "again", never))).toEqual(["r1", "r3"]);
    expect(idsOf(await s.turn("q", never, { turnKey: "k" }))).toEqual(["r1", "r3"]);
    expect(idsOf(await s.resume("r1", 1, never))).toEqual(["r3"]);
    const reply = await t.resume("r3", 3, body);
    expect(reply.text).toBe("done: [1,2,3]");
    expect(await s.requests()).toEqual([]);
    expect(await s.requests({ answered: true })).toEqual([]);
    expect(await turnsOf(s)).toEqual([
      "start 1",
      "suspend 1 waits for r1+r2+r3",
      "decide 1 r2 waits for r1+r3",
      "decide 1 r1 waits for r3",
      "decide 1 r3",
      "start 2",
      "end 2 completed",
    ]);
    await wellFormed(s);
  });

  it("tells of what was answered only what it asked for last", async () => {
    const { s, t } = await start();
    const rounds = async (turn: OpenTurn): Promise<string> => {
      for (const round of ["a", "b"]) await Promise.all(["1", "2"].map((n) => turn.suspend({ requestId: round + n, reason: "?" })));
      return "done";
    };
    await s.turn("q", rounds);
    await s.resume("a2", 2, never);
    await s.resume("a1", 1, rounds);
    await t.resume("b2", null, never);
    expect(await s.requests({ answered: true })).toEqual([
      { requestId: "b1", reason: "?" },
      { requestId: "b2", reason: "?", decision: null },
    ]);
    expect((await s.resume("b1", 1, rounds)).text).toBe("done");
    await expect(s.requests({ answered: 1 as never })).rejects.toThrow(withCode("INVALID_OPTION"));
  });

  it("whose requests are answered by several nodes at once runs once", async () => {
    for (let round = 0; round < 10; round += 1) {
      const { s, t } = await start();
      const ids = ["r0", "r1", "r2", "r3"];
      await s.turn("q", asks(...ids));
      let ran = 0;
      const body = async (turn: OpenTurn): Promise<MessageInput> => {
        ran += 1;
        return asks(...ids)(turn);
      };
      const replies = await Promise.all(
        ids.flatMap((id, index) => [(index % 2 === 0 ? s : t).resume(id, index, body), t.resume(id, index, body)]),
      );
      expect(ran).toBe(1);
      expect(replies.filter(({ turn }) => turn?.status === "completed").every(({ text }) => text === "done: [0,1,2,3]")).toBe(true);
      expect(replies.some(({ turn }) => turn?.status === "completed")).toBe(true);
      expect((await turnsOf(s)).filter((turn) => turn.startsWith("decide"))).toHaveLength(4);
      await wellFormed(s);
    }
  });

  it("may ask again and again in one turn", async () => {
    const { s } = await start();
    const body = async (turn: OpenTurn): Promise<MessageInput> => {
      const first = await turn.suspend({ requestId: "1", reason: "one?" });
      const second = await turn.suspend({ requestId: "2", reason: "two?" });
      return `${JSON.stringify(first)} ${JSON.stringify(second)}`;
    };
    expect(idsOf(await s.turn("q", body))).toEqual(["1"]);
    expect(idsOf(await s.resume("1", "a", body))).toEqual(["2"]);
    expect(idsOf(await s.resume("1", "a", never))).toEqual(["2"]);
    expect(await s.resume("2", "b", body)).toMatchObject({ text: '"a" "b"' });
    expect((await s.messages()).map(textOf)).toEqual(["q", '"a" "b"']);
  });

  it("is suspended whatever its code makes of the error, and keeps what was stored before", async () => {
    const { s } = await start();
    const swallows = await s.turn("q", async (turn) => {
      await turn.append("so far");
      await turn.suspend({ requestId: "r", reason: "?" }).catch(() => undefined);
      return "an answer that nobody waits for";
    });
    expect(swallows).toMatchObject({ text: "so far", turn: { status: "suspended" } });
    expect((await s.messages()).map(textOf)).toEqual(["q", "so far"]);
    const { s: other } = await start();
    const wraps = await other.turn("q", async (turn) =>
      turn.suspend({ requestId: "r", reason: "?" }).then(
        () => "yes",
        (error: unknown) => Promise.reject(new Error("wrapped", { cause: error })),
      ),
    );
    expect(wraps).toMatchObject({ message: { role: "assistant", parts: [] }, text: "", turn: { status: "suspended" } });
    expect((await other.messages()).map(textOf)).toEqual(["q"]);
  });

  it("that is cancelled, or out of time, after it asked is not suspended", async () => {
    const { s, a, id } = await start();
    const hangs = async (turn: OpenTurn): Promise<MessageInput> => {
      await turn.suspend({ requestId: "r", reason: "?" }).catch(() => undefined);
      return new Promise(() => undefined);
    };
    await expect(s.turn("q", hangs, { timeoutMs: 30 })).rejects.toThrow(withCode("TIMEOUT"));
    const stop = new AbortController();
    const dying = s.turn("q", hangs, { signal: stop.signal });
    setTimeout(() => stop.abort(), 30);
    await expect(dying).rejects.toThrow(withCode("CANCELLED"));
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 failed", "start 1", "end 1 cancelled"]);
    await expect(a.get(id).then((session) => session.resume("r", true, never))).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
  });

  it("holds limits: bad requests, too many, too large, unknown members", async () => {
    const { s } = await start({ maxMessageBytes: 2000 });
    const problems: string[] = [];
    await s.turn("q", async (turn) => {
      const attempts: unknown[] = [
        undefined,
        {},
        { requestId: "", reason: "?" },
        { requestId: "r", reason: "" },
        { requestId: "\ud800", reason: "?" },
        { requestId: "r".repeat(513), reason: "?" },
        { requestId: "r", reason: "?", data: Number.NaN },
        { requestId: "r", reason: "?", more: 1 },
        { requestId: "r", reason: "?", data: "x".repeat(3000) },
      ];
      for (const bad of attempts) {
        await turn
          .suspend(bad as never)
          .catch((error: Error) => problems.push(`${(error as unknown as { code: string }).code} ${error.message}`));
      }
      expect(turn.requests).toEqual([]);
      return "ok";
    });
    expect(problems.map((problem) => problem.split(" ")[0])).toEqual([...Array<string>(8).fill("INVALID_INPUT"), "LIMIT_EXCEEDED"]);
    expect(problems[7]).toContain("request.more");
    const { s: many } = await start();
    const reply = await many.turn("q", async (turn) => {
      for (let n = 0; n < 256; n += 1) await turn.suspend({ requestId: `r${n}`, reason: "?" }).catch(() => undefined);
      await turn.suspend({ requestId: "r0", reason: "the same again" }).catch(() => undefined);
      await expect(turn.suspend({ requestId: "one more", reason: "?" })).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
      return "x";
    });
    expect(idsOf(reply)).toHaveLength(256);
  });

  it("refuses answers that are none, and names what is open for one to nothing", async () => {
    const { s } = await start();
    await expect(s.resume("r9", true, never)).rejects.toThrow(/no open request "r9"; none is open/);
    await s.turn("q", asks("r1", "r2"));
    await expect(s.resume("r9", true, never)).rejects.toThrow(/no open request "r9"; open are requests "r1", "r2"/);
    await expect(s.resume("", true, never)).rejects.toThrow(withCode("INVALID_INPUT"));
    await expect(s.resume(7 as never, true, never)).rejects.toThrow(withCode("INVALID_INPUT"));
    for (const bad of [undefined, Number.NaN, () => 1, "\ud800"])
      await expect(s.resume("r1", bad as never, never)).rejects.toThrow(withCode("INVALID_INPUT"));
    expect((await turnsOf(s)).at(-1)).toBe("suspend 1 waits for r1+r2");
    // As in messages, what is undefined is left out: { approved, reason } with or without a reason.
    await s.resume("r1", { approved: true, reason: undefined } as never, never);
    expect(await s.requests({ answered: true })).toMatchObject([{ requestId: "r1", decision: { approved: true } }, { requestId: "r2" }]);
    expect(Object.keys((await s.requests({ answered: true }))[0]?.decision as object)).toEqual(["approved"]);
  });
});
