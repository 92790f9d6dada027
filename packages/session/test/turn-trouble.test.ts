import { AixgoError, type FilePart, type OpenTurn, textOf, type TurnOptions } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import type { Turn } from "../src/turn.ts";
import { lastOf, turnPlace as place } from "./turn-place.ts";
import { die, texts, turnsOf, withCode, withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

const question = { requestId: "r", reason: "?" };

describe("a turn that has lost its ground", () => {
  it.each(["FENCED", "SESSION_DELETED", "INCARNATION_CHANGED"])("by %s stops at once, and keeps the reason", async (code) => {
    const lost = new AixgoError(code, "gone");
    let isLost = false;
    let renewals = 0;
    const { open } = await place(
      (backend) => ({
        append: (...parameters) => (isLost ? Promise.reject(lost) : backend.append(...parameters)),
        renew: (...parameters) => ((renewals += 1), backend.renew(...parameters)),
      }),
      { leaseMs: 90 },
    );
    const turn = await open();
    isLost = true;
    await expect(turn.append("x")).rejects.toBe(lost);
    expect(turn.signal.reason).toBe(lost);
    const before = renewals;
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(renewals).toBe(before);
    await turn.fail(lost);
  });

  it("because another holds its lease is stopped without a write", async () => {
    const lost = new AixgoError("FENCED", "another holds it");
    const { open } = await place(() => ({ renew: () => Promise.reject(lost) }), { leaseMs: 60 });
    const turn = await open();
    if (!turn.signal.aborted) await new Promise((resolve) => turn.signal.addEventListener("abort", resolve, { once: true }));
    expect(turn.signal.reason).toBe(lost);
    await turn.fail(lost);
  });

  it("is not one whose write merely failed", async () => {
    let fails = true;
    const { open, t } = await place((backend) => ({
      append: (ref, request) => {
        if (request.lease === undefined || !fails) return backend.append(ref, request);
        fails = false;
        return Promise.reject(new AixgoError("PERMISSION_DENIED", "for a moment"));
      },
    }));
    const turn = await open();
    await expect(turn.append("x")).rejects.toThrow(withCode("PERMISSION_DENIED"));
    expect(turn.signal.aborted).toBe(false);
    await turn.append("y");
    await turn.complete("done");
    expect(texts(await t.messages())).toEqual(["q", "y", "done"]);
  });

  it("because somebody restored under it writes nothing more", async () => {
    let expires = false;
    const { open, t, s } = await place(
      (backend) => ({
        renew: () => new Promise(() => undefined),
        append: async (...parameters) => backend.append(...parameters),
      }),
      { leaseMs: 60 },
    );
    const before = await s.checkpoint();
    const turn = await open();
    while (!expires) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      expires = await t.restore(before.id).then(
        () => true,
        () => false,
      );
    }
    await expect(turn.append("x")).rejects.toThrow(withCode("FENCED"));
    expect(turn.signal.reason).toMatchObject({ code: "FENCED" });
    expect(texts(await t.messages())).toEqual([]);
  });
});

describe("what a turn asks for", () => {
  it("is told to a caller who was stopped as that, not as a question", async () => {
    const { open } = await place();
    const turn = await open();
    turn.cancel("cancelled", "enough");
    await expect(turn.suspend(question)).rejects.toBe(turn.signal.reason);
    expect(turn.requests).toEqual([]);
    await turn.fail(turn.signal.reason);
  });

  it("is nothing: then it cannot be suspended, and goes on", async () => {
    const { open, t } = await place();
    const turn = await open();
    await expect(turn.endSuspended()).rejects.toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining("asked for nothing") as string }) as Error,
    );
    expect(turn.hasEnded).toBe(false);
    await turn.complete("done");
    await expect(turn.endSuspended()).rejects.toThrow(withCode("TURN_ENDED"));
    await expect(turn.suspend(question)).rejects.toThrow(withCode("TURN_ENDED"));
    await expect(turn.appendAll([])).rejects.toThrow(withCode("TURN_ENDED"));
    expect(await turnsOf(t)).toEqual(["start 1", "end 1 completed"]);
  });

  it("is written with its end as a suspended one, and the reply says so", async () => {
    const { open, t } = await place();
    const turn = await open({ turnKey: "k" });
    await turn.append("thinking");
    await expect(turn.suspend(question)).rejects.toThrow(withCode("TURN_SUSPENDED"));
    const reply = await turn.endSuspended();
    const last = await lastOf(t);
    expect(last.data).toEqual({
      phase: "suspend",
      key: "k",
      inputDigest: expect.any(String) as string,
      attempt: 1,
      requests: [question],
    });
    expect(reply).toMatchObject({
      text: "thinking",
      turn: { status: "suspended", version: last.seq, requests: [question], replayed: false },
    });
    expect([turn.hasEnded, turn.requests]).toEqual([true, [question]]);
  });

  it("fails with the turn if it cannot be written", async () => {
    let isDown = false;
    const { open, t } = await place((backend) => ({
      append: (...parameters) => {
        if (!isDown) return backend.append(...parameters);
        isDown = false;
        return Promise.reject(new AixgoError("PERMISSION_DENIED", "no"));
      },
    }));
    const turn = await open();
    await turn.suspend(question).catch(() => undefined);
    isDown = true;
    await expect(turn.endSuspended()).rejects.toThrow(withCode("PERMISSION_DENIED"));
    expect([turn.hasEnded, await turnsOf(t)]).toEqual([true, ["start 1", "end 1 failed"]]);
  });
});

describe("a question under an id that was answered before", () => {
  const asks = async (turn: OpenTurn): Promise<string> => `so ${JSON.stringify(await turn.suspend(question))}`;

  it.each<[string, string | undefined, string | undefined]>([
    ["that neither has a key", undefined, undefined],
    ["the first has a key", "k", undefined],
    ["the second has a key", undefined, "k"],
    ["each has its own", "k", "l"],
  ])("of another turn is refused, and ends its turn as failed: %s", async (_, first, second) => {
    const { s, t } = await place();
    const keyed = (turnKey: string | undefined): TurnOptions => (turnKey === undefined ? {} : { turnKey });
    await s.turn("q", asks, keyed(first));
    expect((await s.resume("r", "yes", asks)).text).toBe('so "yes"');
    await expect(s.turn("another", asks, keyed(second))).rejects.toThrow(
      expect.objectContaining({
        code: "INVALID_INPUT",
        message: expect.stringContaining('"r", which was answered in another turn') as string,
      }) as Error,
    );
    expect((await turnsOf(t)).slice(-2)).toEqual(["start 1", "end 1 failed"]);
    expect(await t.requests()).toEqual([]);
  });

  it("may be asked again by the turn of the same key that a restore left behind", async () => {
    const { s, t } = await place();
    const before = await s.checkpoint();
    await s.turn("q", async (turn) => asks(turn), { turnKey: "k" });
    await expect(s.resume("r", "yes", async () => Promise.reject(new Error("breaks")))).rejects.toThrow("breaks");
    await s.restore(before.id);
    await s.turn("q", asks, { turnKey: "k" });
    expect((await t.requests()).map(({ requestId }) => requestId)).toEqual(["r"]);
  });

  it("is not held against an attempt that was overtaken by the next one of its turn: that has lost its lease", async () => {
    const { a, b, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const { id } = await a.create("x");
    const t = await b.get(id);
    await t.turn("q", (turn) => turn.suspend({ requestId: "first", reason: "?" }).then(String));
    const overtaken = (await a.openTurn(id, { agent: "x", resume: { requestId: "first", decision: 1 }, options: {} })) as Turn;
    await die(overtaken, backend, id);
    await t.resume("first", 1, asks);
    expect((await t.resume("r", "yes", asks)).text).toBe('so "yes"');
    await overtaken.suspend(question).catch(() => undefined);
    await expect(overtaken.endSuspended()).rejects.toThrow(withCode("FENCED"));
    expect((await t.verify()).problems).toEqual([]);
  });
});

describe("attachments of a turn", () => {
  const url = `data:image/png;base64,${Buffer.alloc(300 * 1024, 7).toString("base64")}`;
  const picture: FilePart = { type: "file", mediaType: "image/png", url };

  it("are stored before what names them, whether appended, appended by others' code, or answered", async () => {
    const { open, t, s } = await place();
    const turn = await open();
    await turn.append({ role: "assistant", parts: [picture] });
    await turn.run(() => s.append([{ role: "user", parts: [picture] }, "and"]));
    await turn.complete({ role: "assistant", parts: [{ type: "text", text: "done" }, picture] });
    const messages = await t.messages({ attachments: "inline" });
    expect(messages.map((message) => textOf(message))).toEqual(["q", "", "", "and", "done"]);
    expect(messages.flatMap(({ parts }) => parts.flatMap((part) => (part.type === "file" ? [part.url === url] : [])))).toEqual(
      Array(3).fill(true),
    );
    expect((await t.verify()).problems).toEqual([]);
  });

  it("that cannot be stored keep what names them out of the log", async () => {
    const { open, t, s } = await place((backend) => ({
      blobs: {
        ...(backend.blobs as NonNullable<SessionBackend["blobs"]>),
        put: () => Promise.reject(new AixgoError("PERMISSION_DENIED", "no room")),
      },
    }));
    const turn = await open();
    const refused = withCode("PERMISSION_DENIED");
    await expect(turn.append({ role: "assistant", parts: [picture] })).rejects.toThrow(refused);
    await expect(turn.run(() => s.append({ role: "user", parts: [picture] }))).rejects.toThrow(refused);
    await turn.append("still here");
    await expect(turn.complete({ role: "assistant", parts: [picture] })).rejects.toThrow(refused);
    expect([texts(await t.messages()), await turnsOf(t)]).toEqual([
      ["q", "still here"],
      ["start 1", "end 1 failed"],
    ]);
  });

  it("that take longer than the turn lasts are told so, and nothing that names them is written", async () => {
    let release = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (release = resolve));
    const { open, t } = await place((backend) => ({
      blobs: {
        ...(backend.blobs as NonNullable<SessionBackend["blobs"]>),
        put: async (...parameters) => {
          await waiting;
          return (backend.blobs as NonNullable<SessionBackend["blobs"]>).put(...parameters);
        },
      },
    }));
    const turn = await open();
    const late = turn.append({ role: "assistant", parts: [picture] });
    late.catch(() => undefined);
    await turn.fail(new Error("meanwhile"));
    release();
    await expect(late).rejects.toThrow(withCode("TURN_ENDED"));
    expect(texts(await t.messages())).toEqual(["q"]);
  });
});
