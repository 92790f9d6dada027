import { isAixgoError } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { all, start, turnsOf, withCode } from "./turns.ts";

describe("the body of session.turn", () => {
  it("returns the answer with what it cost, which a replay brings as well", async () => {
    const { s, t } = await start();
    const usage = { inputTokens: 12, outputTokens: 3 };
    const reply = await s.turn("hi", async () => ({ message: "hello", usage }), { turnKey: "k" });
    expect(reply).toMatchObject({ text: "hello", usage, turn: { replayed: false } });
    expect(await t.turn("hi", async () => "another", { turnKey: "k" })).toMatchObject({ text: "hello", usage, turn: { replayed: true } });
  });

  it("that cost something after a question is told too", async () => {
    const { s } = await start();
    await s.turn("hi", async (turn) => JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" })));
    const reply = await s.resume("r", 5, async (turn) => ({
      message: JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" })),
      usage: { outputTokens: 1 },
    }));
    expect(reply).toMatchObject({ text: "5", usage: { outputTokens: 1 } });
  });

  it.each([undefined, null])("that returns %s is told that an answer is wanted; the turn can be tried again", async (nothing) => {
    const { s } = await start();
    const error: unknown = await s.turn("hi", async () => nothing as never, { turnKey: "k" }).catch((thrown: unknown) => thrown);
    expect(isAixgoError(error, "INVALID_INPUT") && error.message).toMatch(`must return one, a text or a message, and returned ${nothing}`);
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 failed"]);
    expect(await s.turn("hi", async () => "hello", { turnKey: "k" })).toMatchObject({ text: "hello" });
  });

  it("with a usage that is none fails its turn by name", async () => {
    const { s } = await start();
    await expect(s.turn("hi", async () => ({ message: "hello", usage: { inputTokens: Number.NaN } }))).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("usage.inputTokens") as string,
    });
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 failed"]);
  });

  it("that is no function is refused before anything is written", async () => {
    const { s } = await start();
    for (const none of [undefined, "hello", {}]) {
      await expect(s.turn("hi", none as never)).rejects.toMatchObject({ code: "INVALID_OPTION", message: /session\.turn: the body/ });
      await expect(s.resume("r", true, none as never)).rejects.toMatchObject({
        code: "INVALID_OPTION",
        message: /session\.resume: the body/,
      });
    }
    expect(await all(s.entries())).toHaveLength(1);
  });
});

describe("the options of session.turn", () => {
  it("that are misspelt or do not fit are refused by name, before anything is written", async () => {
    const { s } = await start();
    const wrong: readonly (readonly [object, string])[] = [
      [{ turnkey: "k" }, '"turnkey"'],
      [{ turnKey: "" }, '"turnKey"'],
      [{ timeoutMs: -1 }, '"timeoutMs"'],
      [{ timeoutMs: "1000" }, '"timeoutMs"'],
      [{ queueTimeoutMs: Number.NaN }, '"queueTimeoutMs"'],
      [{ ifBusy: "wait" }, '"ifBusy"'],
      [{ ifSuspended: true }, '"ifSuspended"'],
      [{ signal: {} }, '"signal"'],
    ];
    for (const [options, name] of wrong) {
      const error: unknown = await s.turn("hi", async () => "hello", options).catch((thrown: unknown) => thrown);
      expect(isAixgoError(error, "INVALID_OPTION") && error.message).toContain(`session.turn: `);
      expect((error as Error).message).toContain(name);
    }
    expect(await all(s.entries())).toHaveLength(1);
    await expect(s.resume("r", true, async () => "hello", { turnKey: "k" } as object)).rejects.toEqual(withCode("INVALID_OPTION"));
  });
});
