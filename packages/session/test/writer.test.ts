import { AixgoError, type OpenTurn, textOf } from "@aixgo/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Append, SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createSessionManager } from "../src/index.ts";
import { faulty } from "./faulty-backend.ts";
import { twoNodes } from "./two-nodes.ts";

afterEach(() => void vi.useRealTimers());

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

/** Sees every append on its way to the store. */
function watched(backend: SessionBackend, onAppend: (request: Append) => void): SessionBackend {
  return new Proxy(backend, {
    get: (target, name, receiver) => {
      const member = Reflect.get(target, name, receiver) as unknown;
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]) => {
        if (name === "append") onAppend(parameters[1] as Append);
        return (member as (...all: unknown[]) => unknown).apply(target, parameters);
      };
    },
  });
}

function refusal(code: string): AixgoError {
  return new AixgoError(code, "nothing was written");
}

/** A store whose appends fail with what `failure` gives. */
function failing(failure: () => AixgoError | undefined): SessionBackend {
  const store = createMemoryBackend();
  return {
    ...store,
    append: async (...parameters) => {
      const error = failure();
      if (error !== undefined) throw error;
      return store.append(...parameters);
    },
  };
}

describe("appends over a network that does not keep to one request and one reply", () => {
  it("whose driver sends twice and brings the answer of the second are stored once", async () => {
    const backend = createMemoryBackend();
    const twice: SessionBackend = {
      ...backend,
      async append(ref, request) {
        await backend.append(ref, request);
        return backend.append(ref, request);
      },
    };
    const s = await createSessionManager({ backend: twice }).create("x");
    await Promise.all([s.append("one"), s.append(["two", "three"])]);
    await s.turn("four", async (turn) => {
      await turn.append("five");
      return "six";
    });
    expect((await s.messages()).map(textOf)).toEqual(["one", "two", "three", "four", "five", "six"]);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("whose outcome stays unknown say so", async () => {
    const backend = faulty(createMemoryBackend(), { lostRequests: 1, lostReplies: 0, doubled: 0, random: () => 0.5 });
    const s = await createSessionManager({ backend, rebaseMs: 30 }).create("x");
    await expect(s.append("x")).rejects.toThrow(withCode("OUTCOME_UNKNOWN"));
  });
});

describe("group commit", () => {
  it("appends made at once leave as one group, of at most 256 entries", async () => {
    const groups: number[] = [];
    const s = await createSessionManager({ backend: watched(createMemoryBackend(), ({ lines }) => groups.push(lines.length)) }).create("x");
    await Promise.all(Array.from({ length: 600 }, (_, index) => s.append(`m${index}`)));
    expect(groups).toEqual([256, 256, 88]);
    expect((await s.messages()).map(textOf)).toEqual(Array.from({ length: 600 }, (_, index) => `m${index}`));
  });

  it("never mixes appends of a turn with those of others", async () => {
    const requests: Append[] = [];
    const manager = createSessionManager({ backend: watched(createMemoryBackend(), (request) => requests.push(request)) });
    const s = await manager.create("x");
    await s.turn("q", async (turn) => {
      await Promise.all([turn.append("one"), s.checkpoint(), turn.append("two"), s.setMetadata({ a: 1 })]);
      return "done";
    });
    for (const { lease, lines } of requests)
      expect(
        lines.every(
          (line) => Buffer.from(line).includes('"fence":') === (lease !== undefined || requests[0]?.lines.includes(line) === true),
        ),
      ).toBe(true);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("an idle session keeps no queue", async () => {
    const s = await createSessionManager({ backend: createMemoryBackend() }).create("x");
    await expect(Promise.all(Array.from({ length: 10_200 }, (_, index) => s.append(`${index}`)))).rejects.toThrow(withCode("OVERLOADED"));
    await s.append("afterwards it works");
  });
});

describe("a conflict", () => {
  it("is answered by building anew at once, without sleeping", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const t = await b.get(s.id);
    await t.append("warm");
    // With timers that never fire, a pause between two tries would be for ever.
    vi.useFakeTimers({ toFake: ["setTimeout", "setImmediate", "setInterval"] });
    try {
      for (let round = 0; round < 100; round += 1) {
        await s.append("s");
        await t.append("t");
      }
    } finally {
      vi.useRealTimers();
    }
    expect(await t.messages()).toHaveLength(201);
  });

  it("that lasts is SESSION_BUSY in the end, not for ever", async () => {
    const store = createMemoryBackend();
    const manager = createSessionManager({ backend: store });
    const s = await manager.create("x");
    const never: SessionBackend = new Proxy(store, {
      get: (target, name, receiver) => {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (name === "append") return async () => ({ conflict: await target.head(s.id) });
        return typeof member === "function" ? (member as (...all: unknown[]) => unknown).bind(target) : member;
      },
    });
    const unlucky = await createSessionManager({ backend: never, rebaseMs: 20 }).get(s.id);
    await expect(unlucky.append("x")).rejects.toThrow(withCode("SESSION_BUSY"));
  });
});

describe("a turn that waits for an answer", () => {
  it("and got it elsewhere does not stand in the way of an append", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const ask = async (turn: OpenTurn): Promise<string> => `${JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" }))}!`;
    await s.turn("q", ask);
    await expect(s.append("too soon")).rejects.toThrow(withCode("TURN_SUSPENDED"));
    await (await b.get(s.id)).resume("r", true, ask);
    await s.append("on");
    expect((await s.messages()).map(textOf)).toEqual(["q", "true!", "on"]);
  });
});

describe("writes of others that never stop", () => {
  it("end an append with an op and a turn as SESSION_BUSY, not for ever, and nothing was written", async () => {
    const { a, backend } = twoNodes();
    const s = await a.create("x");
    const others = await a.get(s.id);
    // Each attempt finds that somebody was faster.
    const outrun: SessionBackend = new Proxy(backend, {
      get: (target, name, receiver) => {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (name === "append") {
          return async (...parameters: Parameters<SessionBackend["append"]>) => {
            await others.setMetadata({ at: performance.now() });
            return target.append(...parameters);
          };
        }
        return typeof member === "function" ? (member as (...all: unknown[]) => unknown).bind(target) : member;
      },
    });
    const unlucky = await createSessionManager({ backend: outrun, rebaseMs: 30, queueTimeoutMs: 30 }).get(s.id);
    await expect(unlucky.append("x", { op: "o" })).rejects.toThrow(withCode("SESSION_BUSY"));
    await expect(unlucky.turn("q", async () => "never")).rejects.toThrow(withCode("SESSION_BUSY"));
    expect(await s.messages()).toEqual([]);
    await s.turn("q", async () => "free again");
  });
});

describe("an error of the store", () => {
  it("rejects exactly the appends that it concerns; the next one works", async () => {
    let failures = 2;
    const backend = failing(() => ((failures -= 1) >= 0 ? refusal("LIMIT_EXCEEDED") : undefined));
    const s = await createSessionManager({ backend }).create("x");
    await expect(s.append("a")).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await expect(s.turn("q", async () => "never")).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
    await s.append("b");
    expect((await s.messages()).map(textOf)).toEqual(["b"]);
  });
});

describe("a store that cannot be had", () => {
  it("for a moment is asked again: appends and turns go on, nothing is doubled", async () => {
    let asked = 0;
    const s = await createSessionManager({
      backend: failing(() => (asked++ % 4 === 3 ? undefined : refusal("BACKEND_UNAVAILABLE"))),
    }).create("x");
    await s.append("a");
    const reply = await s.turn("q", async (turn) => {
      await turn.append({ role: "assistant", parts: [{ type: "text", text: "step" }] });
      return "answer";
    });
    expect(reply.text).toBe("answer");
    expect((await s.messages()).map(textOf)).toEqual(["a", "q", "step", "answer"]);
    expect((await s.verify()).problems).toEqual([]);
  });

  it("for longer than rebaseMs says so; what waited behind does not wait as long again", async () => {
    let asked = 0;
    let isDown = true;
    // No time passes but what the store takes to refuse.
    vi.useFakeTimers({ toFake: ["performance"] });
    const backend = failing(() => {
      asked += 1;
      vi.advanceTimersByTime(90);
      return isDown ? refusal("BACKEND_UNAVAILABLE") : undefined;
    });
    const s = await createSessionManager({ backend, rebaseMs: 200 }).create("x");
    // Two groups of as many entries as one may have, and more.
    const waiting = Array.from({ length: 6 }, async (_, i) => s.append(Array.from({ length: 200 }, (__, j) => `${i}.${j}`)));
    const outcomes = await Promise.allSettled(waiting);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "BACKEND_UNAVAILABLE" } });
    // The first until its time is over, each of the five others once more.
    expect(asked).toBe(4 + 5);
    isDown = false;
    await s.append("again");
    expect((await s.messages()).map(textOf)).toEqual(["again"]);
  });

  it("for good, as it says itself, is asked once", async () => {
    let asked = 0;
    const backend = failing(() => {
      asked += 1;
      return new AixgoError("BACKEND_UNAVAILABLE", "there are no tables", { retryable: false });
    });
    const s = await createSessionManager({ backend }).create("x");
    await expect(s.append("a")).rejects.toThrow(withCode("BACKEND_UNAVAILABLE"));
    expect(asked).toBe(1);
  });

  it.each(["BACKEND_UNAVAILABLE", "STORE_BUSY", "PERMISSION_DENIED"])(
    "after an answer that was lost leaves the outcome unknown, even if it says %s that nothing was written",
    async (code) => {
      let asked = 0;
      const store = createMemoryBackend();
      const backend: SessionBackend = {
        ...store,
        append: async (...parameters) => {
          asked += 1;
          if (asked > 1) throw refusal(code);
          await store.append(...parameters);
          throw refusal("OUTCOME_UNKNOWN");
        },
      };
      const s = await createSessionManager({ backend, rebaseMs: 50 }).create("x");
      await expect(s.append("written, but nobody knows")).rejects.toThrow(withCode("OUTCOME_UNKNOWN"));
      expect((await s.messages()).map(textOf)).toEqual(["written, but nobody knows"]);
    },
  );

  it("after an answer that was lost is asked again, and what was written is found", async () => {
    let asked = 0;
    const store = createMemoryBackend();
    const backend: SessionBackend = {
      ...store,
      append: async (...parameters) => {
        asked += 1;
        if (asked > 1 && asked < 4) throw refusal("BACKEND_UNAVAILABLE");
        const answer = await store.append(...parameters);
        if (asked === 1) throw refusal("OUTCOME_UNKNOWN");
        return answer;
      },
    };
    const s = await createSessionManager({ backend }).create("x");
    await s.append("once");
    expect(asked).toBe(4);
    expect((await s.messages()).map(textOf)).toEqual(["once"]);
  });
});

describe("a log of a later version", () => {
  it("can be read, and refuses writes with what to do", async () => {
    const store = createMemoryBackend();
    const s = await createSessionManager({ backend: store }).create("x");
    await s.append("old");
    const future: SessionBackend = new Proxy(store, {
      get: (target, name, receiver) => {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (name === "head") return async (id: string) => ({ ...(await target.head(id)), unsupported: "poem" });
        return typeof member === "function" ? (member as (...all: unknown[]) => unknown).bind(target) : member;
      },
    });
    const reader = await createSessionManager({ backend: future }).get(s.id);
    expect((await reader.messages()).map(textOf)).toEqual(["old"]);
    await expect(reader.append("new")).rejects.toThrow(withCode("UNSUPPORTED_ENTRY"));
  });
});
