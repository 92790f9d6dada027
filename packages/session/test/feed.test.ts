import { setTimeout as sleep } from "node:timers/promises";
import { AixgoError, textOf } from "@aixgo/core";
import { describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import {
  createMemoryBackend,
  createMemoryStore,
  createSessionManager,
  type EntriesOptions,
  type Entry,
  type EntryCursor,
  type Session,
} from "../src/index.ts";
import { decodeMessage } from "../src/message-data.ts";
import { twoNodes } from "./two-nodes.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const without = (member: "watch"): ((backend: SessionBackend) => SessionBackend) => {
  return (backend) => {
    const { [member]: _, ...rest } = backend;
    return rest;
  };
};
const words = (entries: readonly Entry[]): string[] =>
  entries.filter(({ type }) => type === "message").map((entry) => textOf(decodeMessage(entry)));

/** Follows until so many entries have come. */
async function take(session: Session, count: number, options: EntriesOptions = {}): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of session.entries({ ...options, follow: true })) {
    entries.push(entry);
    if (entries.length === count) break;
  }
  return entries;
}

/** What a loop that follows ends with. */
async function endOf(session: Session, options: EntriesOptions, seen: Entry[] = []): Promise<unknown> {
  try {
    for await (const entry of session.entries({ ...options, follow: true })) seen.push(entry);
    return "it ended quietly";
  } catch (error) {
    return error;
  }
}

for (const [how, wrap] of [
  ["hints", (backend: SessionBackend) => backend],
  ["time", without("watch")],
] as const) {
  describe(`entries({ follow: true }), woken by ${how}`, () => {
    it("gives each entry once and in order, also batches and side entries of another node, then goes on from a cursor", async () => {
      const { a, b } = twoNodes({}, wrap);
      const writer = await a.create("x");
      const reader = await b.get(writer.id);
      const following = take(reader, 12);
      await writer.append(["1", "2", "3"]);
      await writer.checkpoint();
      await sleep(60);
      await Promise.all(["4", "5", "6"].map((text) => writer.append(text)));
      await writer.setMetadata({ a: 1 });
      await writer.turn("7", async () => "8");
      const entries = await following;
      expect(entries.map(({ seq }) => seq)).toEqual([...entries.keys()]);
      expect(entries.map(({ type }) => type).slice(0, 5)).toEqual(["session", "message", "message", "message", "checkpoint"]);
      const cursor = JSON.parse(JSON.stringify(reader.cursorOf(entries[5] as Entry))) as EntryCursor;
      expect(words(await take(await a.get(writer.id), 3, { after: cursor }))).toEqual(["5", "6"]);
      await a.close();
      await b.close();
    });

    it("ends with the session, the manager, the handle and the signal", async () => {
      const { a, b } = twoNodes({}, wrap);
      const s = await a.create("x");
      const other = await b.get(s.id);
      const controller = new AbortController();
      const aborted = endOf(other, { signal: controller.signal, after: 0 });
      await sleep(40);
      controller.abort(new Error("enough"));
      expect(await aborted).toMatchObject({ code: "CANCELLED", cause: { message: "enough" } });
      expect(await endOf(other, { signal: AbortSignal.abort() })).toMatchObject({ code: "CANCELLED" });

      const handle = await b.get(s.id);
      const closed = endOf(handle, { after: 0 });
      await sleep(40);
      await handle.close();
      expect(await closed).toMatchObject({ code: "BACKEND_CLOSED" });

      const deleted = endOf(other, { after: 0 });
      await sleep(40);
      await a.delete(s.id);
      expect(await deleted).toMatchObject({ code: "SESSION_DELETED" });

      const last = await b.create("x");
      const ended = endOf(last, { after: 0 });
      await sleep(40);
      await b.close();
      expect(await ended).toMatchObject({ code: "BACKEND_CLOSED" });
      await a.close();
    });
  });
}

describe("entries", () => {
  it("without follow end at the head; a version names a place without a hash", async () => {
    const sessions = createSessionManager({ backend: createMemoryBackend() });
    const s = await sessions.create("x");
    await s.append(["a", "b"]);
    const all: Entry[] = [];
    for await (const entry of s.entries()) all.push(entry);
    expect(all).toHaveLength(3);
    const rest: Entry[] = [];
    for await (const entry of s.entries({ after: 1 })) rest.push(entry);
    for await (const entry of s.entries({ after: s.cursorOf(all[1] as Entry) })) rest.push(entry);
    for await (const entry of s.entries({ after: 2 })) rest.push(entry);
    for await (const entry of s.entries({ after: 99 })) rest.push(entry);
    expect(words(rest)).toEqual(["b", "b"]);
    for (const after of [-2, 1.5, Number.NaN, "1", {}, null, { incarnation: "x", seq: -1, hash: "" }]) {
      expect(await endOf(s, { after: after as never })).toMatchObject({ code: "INVALID_OPTION" });
    }
    await sessions.close();
  });

  it("refuse a cursor of another life, and one whose entry is not there any more or is another", async () => {
    const store = createMemoryStore();
    const sessions = createSessionManager({ backend: createMemoryBackend({ store }) });
    const s = await sessions.create("x");
    await s.append(["a", "b"]);
    const [, , b] = await take(s, 3);
    const cursor = s.cursorOf(b as Entry);
    for (const follow of [true, false]) {
      const read = async (after: EntryCursor): Promise<unknown> => {
        try {
          for await (const _ of s.entries({ after, follow }));
          return "it ended quietly";
        } catch (error) {
          return error;
        }
      };
      expect(await read({ ...cursor, incarnation: "another" })).toEqual(withCode("INCARNATION_CHANGED"));
      expect(await read({ ...cursor, seq: 3 })).toEqual(withCode("LOG_DIVERGED"));
      expect(await read({ ...cursor, seq: 1 })).toEqual(withCode("LOG_DIVERGED"));
      expect(await read({ ...cursor, hash: "another" })).toEqual(withCode("LOG_DIVERGED"));
    }
    await sessions.close();
  });

  it("end with LOG_DIVERGED when the end of the log is lost under a follower, though others have written since", async () => {
    const real = createMemoryBackend();
    const sessions = createSessionManager({ backend: real });
    const s = await sessions.create("x");
    await s.append("a");
    // A store that lost its last line in a power cut, and got another one since.
    const now: { backend: SessionBackend } = { backend: real };
    const flaky: SessionBackend = {
      ...real,
      head: (id) => now.backend.head(id),
      read: (ref, range) => now.backend.read(ref, range),
    };
    const follower = await createSessionManager({ backend: without("watch")(flaky) }).get(s.id);
    const seen: Entry[] = [];
    const ended = endOf(follower, {}, seen);
    await s.append("b");
    await vi.waitUntil(() => words(seen).includes("b"), { timeout: 20_000 });
    const copy = createMemoryBackend();
    const { info, incarnation } = await real.head(s.id);
    await copy.create({
      ref: { id: s.id, incarnation },
      info,
      async *lines() {
        for await (const page of real.read({ id: s.id, incarnation }, { to: 1 })) {
          for (const line of Buffer.from(page).toString("utf8").trimEnd().split("\n")) yield Buffer.from(line);
        }
      },
    });
    const copied = createSessionManager({ backend: copy });
    await (await copied.get(s.id)).append(["c", "d"]);
    now.backend = copy;
    expect(await ended).toEqual(withCode("LOG_DIVERGED"));
    for (const each of [sessions, copied]) await each.close();
  });

  it("hold nothing for a reader that lags, nor for one that has left", async () => {
    let watching = 0;
    let reads = 0;
    const real = createMemoryBackend();
    const counted: SessionBackend = {
      ...real,
      async *read(ref, range) {
        reads += 1;
        yield* real.read(ref, range);
      },
      async *watch(ref, after, signal) {
        watching += 1;
        try {
          yield* (real.watch as NonNullable<SessionBackend["watch"]>)(ref, after, signal);
        } finally {
          watching -= 1;
        }
      },
    };
    const sessions = createSessionManager({ backend: counted });
    const s = await sessions.create("x");
    const lagging = s.entries({ follow: true })[Symbol.asyncIterator]();
    await lagging.next();
    const waiting = lagging.next();
    await vi.waitUntil(() => watching === 1, { timeout: 20_000 });
    await s.append("1");
    await waiting;
    const before = reads;
    for (let i = 2; i < 200; i += 1) await s.append(`${i}`);
    expect(reads).toBe(before);
    const entries: Entry[] = [];
    for (let i = 2; i < 200; i += 1) entries.push((await lagging.next()).value as Entry);
    expect(words(entries)).toEqual(Array.from({ length: 198 }, (_, index) => `${index + 2}`));
    await lagging.return?.();
    await vi.waitUntil(() => watching === 0, { timeout: 20_000 });
    await sessions.close();
  });

  it("are told by time where hints fail, and throw what the store throws", async () => {
    const real = createMemoryBackend();
    let isDown = false;
    const sessions = createSessionManager({
      backend: {
        ...real,
        watch: () => {
          throw new AixgoError("BACKEND_UNAVAILABLE", "no hints");
        },
        head: async (id) => {
          if (isDown) throw new AixgoError("BACKEND_UNAVAILABLE", "down");
          return real.head(id);
        },
      },
    });
    const s = await sessions.create("x");
    const following = take(s, 2);
    await sleep(50);
    await s.append("a");
    const [, a] = await following;
    expect(words([a as Entry])).toEqual(["a"]);
    isDown = true;
    expect(await endOf(s, { after: s.cursorOf(a as Entry) })).toEqual(withCode("BACKEND_UNAVAILABLE"));
    isDown = false;
    await s.append("b");
    expect(words(await take(s, 1, { after: s.cursorOf(a as Entry) }))).toEqual(["b"]);
    await sessions.close();
  });
});
