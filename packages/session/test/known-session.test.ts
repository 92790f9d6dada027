import { AixgoError } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, type Session } from "../src/index.ts";
import { ask, recorded, texts, withCode } from "./turns.ts";

/** A turn that runs until it is told to end. */
async function began(session: Session): Promise<{ finish(): Promise<unknown> }> {
  let finish = (): void => {};
  const told = new Promise<void>((resolve) => (finish = resolve));
  let running: Promise<unknown> = told;
  await new Promise<void>((resolve) => {
    running = session.turn("held", async () => {
      resolve();
      await told;
      return "done";
    });
  });
  return {
    finish: () => {
      finish();
      return running;
    },
  };
}

describe("a turn in a process that has written to the session before", () => {
  async function known() {
    const store = createMemoryBackend();
    const { backend, calls } = recorded(store);
    const manager = createSessionManager({ backend });
    const elsewhere = createSessionManager({ backend: store });
    const s = await manager.create("x", { userId: "ada" });
    for (let turn = 0; turn < 3; turn += 1) await s.turn("hi", async () => "hello", { turnKey: `warm ${turn}` });
    calls.length = 0;
    return { calls, manager, s, elsewhere, there: await elsewhere.get(s.id) };
  }

  it("writes twice and asks nothing", async () => {
    const { calls, s } = await known();
    await s.turn("hi", async () => "hello");
    expect(calls).toEqual(["append", "append"]);
  });

  it("with a key asks the store once for it, and writes twice", async () => {
    const { calls, s } = await known();
    await s.turn("hi", async () => "hello", { turnKey: "k" });
    expect(calls).toEqual(["find", "append", "append"]);
    calls.length = 0;
    expect((await s.turn("hi", async () => "hello", { turnKey: "k" })).turn?.replayed).toBe(true);
    expect(calls.filter((name) => name === "append")).toEqual([]);
  });

  it("sees what others have written, begun, finished under its key, asked and deleted meanwhile", async () => {
    const { s, there, elsewhere, manager } = await known();
    await there.append("from elsewhere");
    let seen: readonly string[] = [];
    await s.turn("one", async (turn) => {
      seen = texts(await turn.history());
      return "1";
    });
    expect(seen.slice(-2)).toEqual(["hello", "from elsewhere"]);

    await there.turn("two", async () => "2", { turnKey: "both" });
    expect(await s.turn("two", async () => "never", { turnKey: "both" })).toMatchObject({ text: "2", turn: { replayed: true } });
    await s.append("mine");
    await there.turn("three", async () => "3", { turnKey: "other" });
    await expect(s.turn("not three", async () => "never", { turnKey: "other" })).rejects.toThrow(withCode("TURN_KEY_REUSED"));

    await s.append("mine");
    const held = await began(there);
    await expect(s.turn("x", async () => "never", { ifBusy: "reject" })).rejects.toThrow(withCode("SESSION_BUSY"));
    await held.finish();

    await s.append("mine");
    await there.turn("asks", async (turn) => turn.suspend({ requestId: "r", reason: "may I?" }) as never);
    await expect(s.turn("x", async () => "never")).rejects.toThrow(withCode("TURN_SUSPENDED"));
    expect((await s.resume("r", true, async () => "answered")).text).toBe("answered");

    await elsewhere.delete(s.id);
    await expect(manager.openTurn(s.id, ask("x"))).rejects.toThrow(withCode("SESSION_DELETED"));
    await expect(manager.as({ id: "bob" }).openTurn(s.id, ask("x"))).rejects.toThrow(AixgoError);
  });
});
