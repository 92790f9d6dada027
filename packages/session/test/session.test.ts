import { type Json, type MessageInput, textOf } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryBackend, createSessionManager, type Entry, type Session } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

const texts = async (session: Session): Promise<string[]> => (await session.messages()).map(textOf);
const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};
const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

async function session(): Promise<Session> {
  return createSessionManager({ backend: createMemoryBackend() }).create("assistant");
}

describe("append", () => {
  it("stores messages in order, all or nothing, with ids and times", async () => {
    const s = await session();
    const { version, messages } = await s.append([
      "one",
      { role: "assistant", parts: [{ type: "text", text: "two" }], metadata: { k: 1 } },
    ]);
    expect(version).toBe(2);
    expect(messages.map(textOf)).toEqual(["one", "two"]);
    expect(await s.messages()).toEqual(messages);
    expect(new Set(messages.map(({ id }) => id)).size).toBe(2);
    await expect(s.append(["three", { role: "user", parts: [{ type: "text", text: "\ud800" }] }])).rejects.toThrow(
      withCode("INVALID_INPUT"),
    );
    expect(await texts(s)).toEqual(["one", "two"]);
  });

  it("keeps the caller's id and time, and neither where none were given", async () => {
    const s = await session();
    await s.append({ role: "user", parts: [], id: "mine", timestamp: "2020-01-01T00:00:00.000Z" });
    await s.append("x");
    const [mine, ours] = await s.messages();
    expect(mine).toMatchObject({ id: "mine", timestamp: "2020-01-01T00:00:00.000Z" });
    const entries = await all(s.entries());
    expect((entries[2] as Entry).data).toEqual({ role: "user", parts: [{ type: "text", text: "x" }] });
    expect(ours?.id).toBe(entries[2]?.id);
  });

  it("round-trips what JSON can hold: U+2028, NUL, __proto__, deep values, 64 KiB and more", async () => {
    const s = await session();
    const hostile = JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":null}') as { [key: string]: Json };
    const input: MessageInput = {
      role: "user",
      parts: [
        { type: "text", text: `\u2028\u0000\u{1f600}${"x".repeat(100_000)}` },
        { type: "data-x", data: hostile },
      ],
    };
    await s.append(input);
    const [message] = await s.messages();
    expect(JSON.stringify(message?.parts)).toBe(JSON.stringify(input.parts));
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each<[string, unknown, string]>([
    ["no message", [], "INVALID_INPUT"],
    ["null", null, "INVALID_INPUT"],
    ["a number", 7, "INVALID_INPUT"],
    ["an unknown role", { role: "robot", parts: [] }, "INVALID_INPUT"],
    ["no parts", { role: "user" }, "INVALID_INPUT"],
    ["an unknown part", { role: "user", parts: [{ type: "hologram" }] }, "INVALID_INPUT"],
    ["a lone surrogate", "\udc00", "INVALID_INPUT"],
    ["NaN", { role: "user", parts: [{ type: "data-x", data: Number.NaN }] }, "INVALID_INPUT"],
    [
      "100,000 nested arrays",
      { role: "user", parts: [{ type: "data-x", data: JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) as Json }] },
      "INVALID_INPUT",
    ],
    ["20 MiB", "x".repeat(20 * 1024 * 1024), "LIMIT_EXCEEDED"],
  ])("refuses %s with a code, and writes nothing", async (_, input, expected) => {
    const s = await session();
    await expect(s.append(input as MessageInput)).rejects.toThrow(withCode(expected));
    expect((await s.info()).version).toBe(0);
    await s.append("still works");
  });

  it("gives parts back in their order and number, to every reader and after another append", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("assistant");
    const same = { type: "text", text: "same" } as const;
    const parts: MessageInput & object = {
      role: "assistant",
      parts: [
        same,
        { type: "tool-call", toolCallId: "2", toolName: "t", input: { b: 1, a: 2 } },
        { type: "reasoning", text: "why", providerOptions: { p: { signature: "s" } } },
        { type: "tool-call", toolCallId: "1", toolName: "t", input: {} },
        same,
      ],
    };
    await s.append(parts);
    const written = JSON.stringify(parts.parts);
    const t = await b.get(s.id);
    expect((await t.messages()).map((message) => JSON.stringify(message.parts))).toContain(written);
    await t.append("more");
    for (const reader of [s, t, await b.get(s.id)]) {
      const messages = await reader.messages();
      expect(messages.filter((message) => message.role === "assistant").map((message) => JSON.stringify(message.parts))).toEqual([written]);
      expect(await all(reader.readMessages())).toEqual(messages);
    }
  });

  it("to what was never created is refused, and stays unknown", async () => {
    const { a, b, backend } = twoNodes();
    const id = "0123456789abcdef0123456789abcdef";
    await expect(a.get(id)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    const ref = { id, incarnation: "never-created" };
    await expect(backend.append(ref, { expect: { seq: 0, hash: "-" }, lines: [Buffer.from("{}")] })).rejects.toThrow(
      withCode("SESSION_NOT_FOUND"),
    );
    await expect(b.get(id)).rejects.toThrow(withCode("SESSION_NOT_FOUND"));
    expect((await b.list()).items).toEqual([]);
  });

  it("with an expected version fails alone, and says both versions", async () => {
    const s = await session();
    const [first, second, third] = await Promise.allSettled([
      s.append("a", { expectedVersion: 0 }),
      s.append("b", { expectedVersion: 0 }),
      s.append("c"),
    ]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ reason: { code: "VERSION_CONFLICT", details: { expected: 0, actual: 1 } } });
    expect(third.status).toBe("fulfilled");
    expect(await texts(s)).toEqual(["a", "c"]);
  });

  it("with the same op is stored once, whoever sends it, also after others wrote", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const t = await b.get(s.id);
    const same = await Promise.all([s.append("pay", { op: "o1" }), s.append("pay", { op: "o1" }), t.append("pay", { op: "o1" })]);
    await s.append("other");
    const again = await t.append("pay", { op: "o1" });
    expect(new Set([...same, again].map(({ version, messages }) => `${version} ${messages[0]?.id}`)).size).toBe(1);
    expect(await texts(t)).toEqual(["pay", "other"]);
    await expect(t.append("pay twice", { op: "o1" })).rejects.toThrow(withCode("OP_REUSED"));
    await expect(t.append(["pay", "more"], { op: "o1" })).rejects.toThrow(withCode("OP_REUSED"));
    await expect(t.append("x", { op: "" })).rejects.toThrow(withCode("INVALID_INPUT"));
  });

  it("made at once by two nodes loses and doubles nothing", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const t = await b.get(s.id);
    await Promise.all(Array.from({ length: 200 }, async (_, index) => (index % 2 ? s : t).append(`m${index}`)));
    const found = await texts(s);
    expect(found.toSorted()).toEqual(Array.from({ length: 200 }, (_, index) => `m${index}`).toSorted());
    expect((await t.verify()).problems).toEqual([]);
  });

  it("that is cancelled while it waits is not made", async () => {
    const s = await session();
    await expect(s.append("x", { signal: AbortSignal.abort() })).rejects.toThrow(withCode("CANCELLED"));
    expect(await texts(s)).toEqual([]);
  });
});

describe("reads", () => {
  it("see at once what another node has acknowledged", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    const t = await b.get(s.id);
    for (let round = 0; round < 20; round += 1) {
      await (round % 2 ? s : t).append(`m${round}`);
      expect(await texts(round % 2 ? t : s)).toHaveLength(round + 1);
    }
  });

  it("return the last messages without the rest, and those after an id", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    for (let index = 0; index < 300; index += 1)
      await s.append({ role: "user", parts: [{ type: "text", text: `m${index}` }], id: `id${index}` });
    const t = await b.get(s.id);
    expect((await t.messages({ last: 3 })).map(textOf)).toEqual(["m297", "m298", "m299"]);
    expect((await t.messages({ after: "id297" })).map(textOf)).toEqual(["m298", "m299"]);
    expect((await t.messages({ last: 1000 })).length).toBe(300);
    expect((await t.messages({ last: 0 })).length).toBe(0);
    expect(await all(t.readMessages())).toEqual(await s.messages());
    await expect(t.messages({ last: -1 })).rejects.toThrow(withCode("INVALID_OPTION"));
    await expect(t.messages({ after: "nobody" })).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
  });

  it("are those of when they were asked for, also if their reader writes while it goes through them", async () => {
    const s = await createSessionManager({ backend: createMemoryBackend() }).create("x");
    await s.append(["a", "b"]);
    const seen: string[] = [];
    for await (const message of s.readMessages()) {
      seen.push(textOf(message));
      if (seen.length > 9) break;
      await s.append(`on ${textOf(message)}`);
      await s.messages();
    }
    expect(seen).toEqual(["a", "b"]);
    expect((await s.messages()).map(textOf)).toEqual(["a", "b", "on a", "on b"]);
  });

  it("that were cancelled before they began say so with a code, as creating does", async () => {
    const manager = createSessionManager({ backend: createMemoryBackend() });
    const s = await manager.create("x");
    const signal = AbortSignal.abort();
    await expect(s.messages({ signal })).rejects.toThrow(withCode("CANCELLED"));
    await expect(all(s.readMessages({ signal }))).rejects.toThrow(withCode("CANCELLED"));
    await expect(manager.create("x", { signal })).rejects.toThrow(withCode("CANCELLED"));
    expect((await manager.list()).items).toHaveLength(1);
  });

  it("give frozen messages: nobody changes another's history", async () => {
    const s = await session();
    await s.append("x");
    const message = (await s.messages())[0] as unknown as { role: string; parts: { text: string }[] };
    expect(() => {
      message.role = "system";
    }).toThrow(TypeError);
    expect(() => {
      (message.parts[0] as { text: string }).text = "y";
    }).toThrow(TypeError);
  });
});

describe("checkpoint and restore", () => {
  it("brings back the head of then; what is written next is a sibling branch; all survives another process", async () => {
    const { a, b } = twoNodes();
    const s = await a.create("x");
    await s.append(["one", "two"]);
    const checkpoint = await s.checkpoint({ label: "before" });
    expect(checkpoint).toMatchObject({ label: "before", messageCount: 2, version: 3 });
    await s.append("three");
    expect(await s.restore(checkpoint.id)).toEqual({ version: 5, messageCount: 2 });
    await s.append("other three");
    const t = await b.get(s.id);
    expect(await texts(t)).toEqual(["one", "two", "other three"]);
    expect(await t.checkpoints()).toEqual([checkpoint]);
    expect((await all(t.entries())).map(({ type }) => type)).toEqual([
      "session",
      "message",
      "message",
      "checkpoint",
      "message",
      "restore",
      "message",
    ]);
    expect((await t.verify()).problems).toEqual([]);
  });

  it("to an empty checkpoint works, and counts no messages", async () => {
    const s = await session();
    const empty = await s.checkpoint();
    await s.append("x");
    expect(await s.restore(empty.id)).toMatchObject({ messageCount: 0 });
    expect(await texts(s)).toEqual([]);
    expect((await s.info()).messageCount).toBe(0);
  });

  it("can be undone, and go to any entry or message, on any branch", async () => {
    const s = await session();
    const { messages } = await s.append([{ role: "user", parts: [], id: "first" }, "two"]);
    await s.append("three");
    const before = (await all(s.entries())).at(-1) as Entry;
    await s.restore("first");
    expect(await s.messages()).toHaveLength(1);
    await s.restore(before.id);
    expect(await texts(s)).toEqual(["", "two", "three"]);
    await s.restore(messages[1]?.id as string);
    expect(await texts(s)).toEqual(["", "two"]);
    const restores = (await all(s.entries())).filter(({ type }) => type === "restore");
    await s.restore((restores[0] as Entry).id);
    expect(await s.messages()).toHaveLength(1);
    await expect(s.restore("unknown")).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await expect(s.restore("")).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
    await expect(s.restore({ id: "first" } as never)).rejects.toThrow(
      /named by a text, such as checkpoint.id or message.id, not by object/,
    );
    await expect(s.restore(undefined as never)).rejects.toThrow(withCode("INVALID_INPUT"));
  });

  it("does not flatten branches: each head has its own path", async () => {
    const s = await session();
    const root = await s.checkpoint();
    const heads: string[] = [];
    for (const name of ["a", "b", "c"]) {
      await s.restore(root.id);
      await s.append([`${name}1`, `${name}2`]);
      heads.push((await s.checkpoint()).id);
    }
    for (const [index, name] of ["a", "b", "c"].entries()) {
      await s.restore(heads[index] as string);
      expect(await texts(s)).toEqual([`${name}1`, `${name}2`]);
    }
  });
});

describe("fork", () => {
  it("starts a session of its own with the same messages, ids and times", async () => {
    const manager = createSessionManager({ backend: createMemoryBackend() });
    const s = await manager.create("x", { userId: "ada", metadata: { topic: "t" } });
    await s.append(["one", "two"]);
    const here = await s.checkpoint();
    await s.append("three");
    const f = await s.fork({ at: here.id });
    expect(await f.messages()).toEqual((await s.messages()).slice(0, 2));
    expect(await f.info()).toMatchObject({ agentName: "x", userId: "ada", metadata: { topic: "t" }, messageCount: 2 });
    await f.append("own");
    expect(await texts(s)).toEqual(["one", "two", "three"]);
    expect(((await all(f.entries()))[0] as Entry).data).toMatchObject({ origin: { id: s.id, seq: 2 } });
    expect((await f.verify()).problems).toEqual([]);
    expect(await texts(await s.fork())).toEqual(["one", "two", "three"]);
  });

  it("takes the path over and nothing of other branches, and the state that counts there", async () => {
    const s = await session();
    const { messages } = await s.append(["one", "left behind"]);
    await s.turn("also", async (turn) => {
      await turn.setState("left behind");
      return "left behind";
    });
    await s.restore(messages[0]?.id as string);
    await s.append("two");
    const fork = await s.fork();
    expect(await texts(fork)).toEqual(["one", "two"]);
    expect(await fork.info()).toMatchObject({ version: 2, messageCount: 2 });
    await fork.turn("q", async (turn) => ((await turn.getState()) === undefined ? "no state" : "another branch's"));
    expect((await texts(fork)).at(-1)).toBe("no state");
    expect((await fork.verify()).problems).toEqual([]);
  });
});

describe("metadata", () => {
  it("is kept from the beginning, replaced as a whole, and searched", async () => {
    const s = await session();
    await s.setMetadata({ a: 1 });
    await s.setMetadata({ b: [1, { c: null }] }, { expectedVersion: 1 });
    expect((await s.info()).metadata).toEqual({ b: [1, { c: null }] });
    await expect(s.setMetadata({ a: 2 }, { expectedVersion: 1 })).rejects.toThrow(withCode("VERSION_CONFLICT"));
    await expect(s.setMetadata([] as never)).rejects.toThrow(withCode("INVALID_INPUT"));
    await expect(s.setMetadata({ big: "x".repeat(70_000) })).rejects.toThrow(withCode("LIMIT_EXCEEDED"));
  });
});

describe("any sequence of operations", () => {
  it("agrees with a tree held in memory, on two nodes", async () => {
    const command = fc.oneof(
      fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant("checkpoint" as const) }),
      fc.record({ do: fc.constant("restore" as const), to: fc.nat() }),
      fc.record({ do: fc.constant("metadata" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(command, fc.boolean()), { maxLength: 25 }), async (commands) => {
        const { a, b } = twoNodes();
        const s = await a.create("x");
        const t = await b.get(s.id);
        let path: string[] = [];
        const places: { id: string; path: string[] }[] = [];
        let counter = 0;
        for (const [step, onB] of commands) {
          const node = onB ? t : s;
          if (step.do === "append") {
            const added = Array.from({ length: step.count }, () => `m${(counter += 1)}`);
            const { messages } = await node.append(added);
            for (const [index, message] of messages.entries()) {
              path = [...path, added[index] as string];
              places.push({ id: message.id, path });
            }
          } else if (step.do === "checkpoint") places.push({ id: (await node.checkpoint()).id, path });
          else if (step.do === "metadata") await node.setMetadata({ counter });
          else if (places.length > 0) {
            const place = places[step.to % places.length] as (typeof places)[number];
            const { messageCount } = await node.restore(place.id);
            path = place.path;
            expect(messageCount).toBe(path.length);
          }
          expect(await texts(onB ? s : t)).toEqual(path);
          expect((await node.info()).messageCount).toBe(path.length);
        }
        expect((await s.verify()).problems).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});
