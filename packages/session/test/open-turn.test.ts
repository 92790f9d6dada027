import type * as Timers from "node:timers/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Session, type SessionManager } from "../src/index.ts";
import { ask, die, recorded, start, texts, turnsOf, withCode, withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

/** While there is a list, pauses are noted in it and not made. */
const noted = vi.hoisted(() => ({ pauses: undefined as number[] | undefined }));
vi.mock("node:timers/promises", async (original) => {
  const real = await original<typeof Timers>();
  return {
    ...real,
    setTimeout: (ms: number) => (noted.pauses === undefined ? real.setTimeout(ms) : (noted.pauses.push(ms), real.setImmediate())),
  };
});
afterEach(() => {
  noted.pauses = undefined;
  vi.restoreAllMocks();
});

interface Place {
  readonly a: SessionManager;
  readonly s: Session;
  readonly t: Session;
  readonly id: string;
}
/** Two nodes over one store; what the first sends to the store passes through `wrap`. */
async function place(wrap: (backend: SessionBackend) => Partial<SessionBackend>, rebaseMs = 5000): Promise<Place> {
  const store = createMemoryStore();
  const t = await createSessionManager({ backend: createMemoryBackend({ store }) }).create("x");
  const backend = createMemoryBackend({ store });
  const a = createSessionManager({ backend: { ...backend, ...wrap(backend) }, rebaseMs });
  return { a, s: await a.get(t.id), t, id: t.id };
}

describe("a turn that was ended before", () => {
  it("is answered at once, though another turn runs and nobody would wait for it", async () => {
    const { a, b, s, id } = await start();
    const first = await s.turn("q", async () => "answer", { turnKey: "k" });
    const running = await a.openTurn(id, ask("long"));
    for (const node of [a, b]) {
      const again = await node.openTurn(id, ask("q", { turnKey: "k", ifBusy: "reject" }));
      expect(again.finished?.message).toEqual(first.message);
      await expect(node.openTurn(id, ask("q", { turnKey: "other", ifBusy: "reject" }))).rejects.toThrow(withCode("SESSION_BUSY"));
    }
    await running.complete("done");
    expect(await turnsOf(s)).toEqual(["start 1", "end 1 completed", "start 1", "end 1 completed"]);
  });

  it("is answered also to a caller who leaves while it is looked for", async () => {
    const leaving = new AbortController();
    let leaves = false;
    const { a, s, id } = await place((backend) => ({
      find: (...parameters) => {
        if (leaves) leaving.abort();
        return backend.find(...parameters);
      },
    }));
    const first = await s.turn("q", async () => "answer", { turnKey: "k" });
    leaves = true;
    const again = await a.openTurn(id, ask("q", { turnKey: "k", signal: leaving.signal }));
    expect(again.finished?.message).toEqual(first.message);
  });
});

describe("a call that is part of a turn", () => {
  it("is told at once that the session has one, on its node and on others", async () => {
    const { a, b, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    for (const node of [a, b]) {
      await expect(node.openTurn(id, { ...ask("again"), within: ["another", id] })).rejects.toThrow(withCode("TURN_REENTRANT"));
      await expect(node.openTurn(id, { ...ask("again", { ifBusy: "reject" }), within: ["another"] })).rejects.toThrow(
        withCode("SESSION_BUSY"),
      );
    }
    await turn.complete("done");
  });

  it("is told so on the node that runs the turn, though its lease ran out", async () => {
    const { a, backend } = twoNodes({ leaseMs: 60 }, withoutRenewal);
    const { id } = await a.create("x");
    const turn = await a.openTurn(id, ask("q"));
    await die(turn, backend, id);
    await expect(a.openTurn(id, { ...ask("again"), within: [id] })).rejects.toThrow(withCode("TURN_REENTRANT"));
    await turn.complete("done");
  });

  it("may open a turn of another session", async () => {
    const { a, s } = await start();
    const other = await a.create("x");
    const reply = await s.turn("q", async () => (await other.turn("sub", async () => "sub answer")).text);
    expect(reply.text).toBe("sub answer");
  });
});

describe("a turn that nobody is in the way of", () => {
  it.each(["queue", "reject", "interrupt"] as const)("begins at once with one append, whatever was to be done else: %s", async (ifBusy) => {
    let calls: string[] = [];
    const { a, s, id } = await place((store) => {
      const noted = recorded(store);
      ({ calls } = noted);
      return noted.backend;
    });
    for (const input of ["first", "second"]) await s.turn(input, async () => "warm");
    calls.length = 0;
    const turn = await a.openTurn(id, ask("r", { ifBusy }));
    expect(calls).toEqual(["append"]);
    await turn.complete("done");
  });
});

describe("a turn that runs elsewhere", () => {
  it("is not disturbed by those who wait for it", async () => {
    const { a, b, backend, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    await expect(b.openTurn(id, ask("r", { queueTimeoutMs: 60 }))).rejects.toThrow(withCode("SESSION_BUSY"));
    expect((await backend.head(id)).lease).not.toHaveProperty("cancelRequested");
    expect(turn.signal.aborted).toBe(false);
    await turn.complete("done");
  });

  it.each([
    [1, [10, 15, 22.5, 33.75, 50.625, 75.9375, 113.90625, 170.859375, 250, 250, 250]],
    [0, [5, 7.5, 11.25, 16.875, 25.3125, 37.96875, 56.953125, 85.4296875, 125, 125, 125]],
  ])("is looked at after pauses that grow to a quarter of a second, at random half as long (%d)", async (random, pauses) => {
    const { a, b, id } = await start();
    const turn = await a.openTurn(id, ask("q"));
    vi.spyOn(Math, "random").mockReturnValue(random);
    const made: number[] = [];
    noted.pauses = made;
    const waiting = b.openTurn(id, ask("r", { queueTimeoutMs: 30_000 }));
    await vi.waitUntil(() => made.length >= pauses.length, { timeout: 30_000 });
    await turn.complete("done");
    await (await waiting).complete("done too");
    expect(made.slice(0, pauses.length)).toEqual(pauses);
  });

  it("is asked to stop once by who interrupts it, however long it takes to", async () => {
    const asked: string[] = [];
    const { a, t, id } = await place((backend) => ({
      cancel: (ref, reason) => {
        asked.push(reason);
        return backend.cancel(ref, reason);
      },
    }));
    let release = (): void => undefined;
    const began = new Promise<void>((resolve) => {
      void t
        .turn("stubborn", async () => {
          resolve();
          await new Promise<void>((done) => (release = done));
          return "done";
        })
        .catch(() => undefined);
    });
    await began;
    await expect(a.openTurn(id, ask("r", { ifBusy: "interrupt", queueTimeoutMs: 150 }))).rejects.toThrow(withCode("SESSION_BUSY"));
    expect(asked).toEqual(["interrupt"]);
    release();
    await (await a.openTurn(id, ask("r"))).complete("done");
  });
});

describe("a turn that finds others' writes in its way", () => {
  /** Others write before each of the first appends of this node; each takes its time. */
  async function outrun(times: number, rebaseMs: number, takesMs = 0): Promise<Place> {
    let left = times;
    const there: Session[] = [];
    const opened = await place(
      (backend) => ({
        async append(...parameters) {
          if ((left -= 1) >= 0) {
            await there[0]?.append("theirs");
            await delay(takesMs);
          }
          return backend.append(...parameters);
        },
      }),
      rebaseMs,
    );
    there.push(opened.t);
    return opened;
  }

  it("tries again for as long as an append may, though it would not wait for a turn", async () => {
    const { s, t } = await outrun(3, 10_000);
    await s.turn("q", async () => "done", { queueTimeoutMs: 0 });
    expect(texts(await t.messages())).toEqual(["theirs", "theirs", "theirs", "q", "done"]);
  });

  it("tries again for as long as it may wait, though an append would give up", async () => {
    const { s, t } = await outrun(3, 1, 10);
    await s.turn("q", async () => "done", { queueTimeoutMs: 10_000 });
    expect(texts(await t.messages()).slice(-2)).toEqual(["q", "done"]);
  });

  it("gives up in the end, and leaves the session free", async () => {
    const { s, t } = await outrun(100_000, 500);
    await expect(s.turn("q", async () => "never", { queueTimeoutMs: 50 })).rejects.toThrow(withCode("SESSION_BUSY"));
    expect(texts(await t.messages()).every((text) => text === "theirs")).toBe(true);
    expect((await t.turn("free", async () => "again")).text).toBe("again");
  });
});

describe("a request for a turn", () => {
  it("needs an input or an answer", async () => {
    const { a, id } = await start();
    await expect(a.openTurn(id, { agent: "x", options: {} })).rejects.toThrow(
      expect.objectContaining({
        code: "INVALID_INPUT",
        message: expect.stringMatching(/neither an input nor an answer/) as string,
      }) as Error,
    );
  });

  it("holds the limit of messages, and the store's of attachments", async () => {
    const { a, id } = await start({ maxMessageBytes: 2000 });
    await expect(a.openTurn(id, ask("x".repeat(2000)))).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await (await a.openTurn(id, ask("x".repeat(1900)))).complete("fits");
  });

  it("that was cancelled says why", async () => {
    const { a, s, id } = await start();
    const reason = new Error("the user left");
    await expect(a.openTurn(id, ask("q", { signal: AbortSignal.abort(reason) }))).rejects.toMatchObject({
      code: "CANCELLED",
      cause: reason,
    });
    expect((await s.info()).version).toBe(0);
    // Nothing is left behind in the queue.
    await (await a.openTurn(id, ask("q", { signal: new AbortController().signal }))).complete("done");
  });
});
