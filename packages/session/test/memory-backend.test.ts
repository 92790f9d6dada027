import { AixgoError } from "@aixgo/core";
import { beforeEach, describe, expect, it } from "vitest";
import { sealLine } from "../src/chain.ts";
import type { Head, Position, Ref, SessionBackend } from "../src/contract.ts";
import type { SessionInfo } from "../src/info.ts";
import { createMemoryBackend, createMemoryStore, type MemoryStore } from "../src/memory-backend.ts";

// What every backend must do is tested by the conformance kit; here is what only this one has.

const DAY_MS = 24 * 60 * 60 * 1000;
const ref: Ref = { id: "a".repeat(32), incarnation: "first-life" };

let now: number;
let store: MemoryStore;
let backend: SessionBackend;

beforeEach(() => {
  now = 1000;
  store = createMemoryStore({ now: () => now });
  backend = createMemoryBackend({ store });
});

function infoOf({ id }: Ref, key?: string): SessionInfo {
  return {
    id,
    agentName: "agent",
    ...(key === undefined ? undefined : { key }),
    version: 0,
    messageCount: 0,
    createdAt: "",
    updatedAt: "",
    metadata: {},
  };
}

function headerOf({ id, incarnation }: Ref, metadata = {}, second = 0): Buffer {
  const time = new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  return sealLine(
    incarnation,
    `{"v":1,"seq":0,"id":"h","timestamp":"${time}","type":"session","n":0,"data":${JSON.stringify({ id, incarnation, agentName: "agent", metadata })}`,
  ).line;
}

function lineAfter({ seq, hash }: Position, text = "hello"): Buffer {
  return sealLine(
    hash,
    `{"v":1,"seq":${seq + 1},"id":"e${seq + 1}","timestamp":"2026-01-01T00:01:00.000Z","type":"message","n":${seq + 1},"data":${JSON.stringify(text)}`,
  ).line;
}

async function create(one: Ref = ref, key?: string, lines: readonly Uint8Array[] = [headerOf(one)]): Promise<Head> {
  const { head } = await backend.create({
    ref: one,
    info: infoOf(one, key),
    async *lines() {
      yield* lines;
    },
  });
  return head;
}

async function codeOf(work: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    return error instanceof AixgoError ? error.code : String(error);
  }
  return "no error";
}

async function readAll(from: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const page of from) text += Buffer.from(page).toString();
  return text;
}

describe("options", () => {
  it("an unknown or invalid option is refused by its name", () => {
    for (const [options, name] of [
      [{ maxLineBytes: 0 }, "maxLineBytes"],
      [{ maxLineBytes: 1.5 }, "maxLineBytes"],
      [{ indexedMetadata: "topic" }, "indexedMetadata"],
      [{ maxLineByte: 9 }, "maxLineByte"],
    ] as const) {
      expect(() => createMemoryBackend(options as never)).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) as string }),
      );
    }
  });

  it("the defaults are those of a process and 16 MiB a line", () => {
    expect(createMemoryBackend().capabilities).toEqual({
      sharedBy: "process",
      durability: "memory",
      maxLineBytes: 16 * 1024 * 1024,
      indexedMetadata: [],
      ttl: false,
      maxBlobBytes: 64 * 1024 * 1024,
    });
  });

  it("two backends without a store share nothing, two with one share all of it, also after one is closed", async () => {
    await create();
    expect(await codeOf(createMemoryBackend().head(ref.id))).toBe("SESSION_NOT_FOUND");
    const other = createMemoryBackend({ store });
    await backend.close();
    expect((await other.head(ref.id)).incarnation).toBe("first-life");
  });
});

it("after close every method is BACKEND_CLOSED, and close does nothing more", async () => {
  const head = await create();
  const next = { id: ref.id, incarnation: "second-life" };
  await backend.close();
  await backend.close();
  const lease = { fence: 1, token: "t" };
  const late: readonly (() => Promise<unknown>)[] = [
    () => create(),
    () => backend.head(ref.id),
    () => backend.append(ref, { expect: head, lines: [lineAfter(head)] }),
    () => readAll(backend.read(ref)),
    () => backend.find(ref, { op: "x" }),
    () => backend.list({}),
    () => backend.renew(ref, lease, 1),
    () => backend.cancel(ref, "x"),
    () =>
      backend.rewrite(ref, {
        expect: head,
        next,
        lines: (async function* () {
          yield headerOf(next);
        })(),
      }),
    () => backend.delete(ref),
  ];
  for (const each of late) expect(await codeOf(each)).toBe("BACKEND_CLOSED");
});

describe("leases by the store's clock", () => {
  const acquire = { fence: 1, token: "t", holder: "h", ttlMs: 100 };

  it("a lease is live until its last millisecond and expired from then on", async () => {
    const head = await create();
    const taken = await backend.append(ref, { expect: head, lines: [lineAfter(head)], acquire });
    const after = "head" in taken ? taken.head : head;
    now += 99;
    expect((await backend.head(ref.id)).lease?.expiresInMs).toBe(1);
    expect(await backend.append(ref, { expect: after, lines: [lineAfter(after)], acquire: { ...acquire, fence: 2 } })).toHaveProperty(
      "conflict",
    );
    now += 1;
    expect((await backend.head(ref.id)).lease?.expiresInMs).toBe(0);
    expect(await backend.cancel(ref, "late")).toBe(false);
    expect(await backend.append(ref, { expect: after, lines: [lineAfter(after)], acquire: { ...acquire, fence: 2 } })).toHaveProperty(
      "head.fence",
      2,
    );
  });

  it("a renewal counts from now", async () => {
    const head = await create();
    await backend.append(ref, { expect: head, lines: [lineAfter(head)], acquire });
    now += 60;
    expect(await backend.renew(ref, acquire, 100)).toEqual({ fence: 1, token: "t", holder: "h", expiresInMs: 100 });
    now += 99;
    expect((await backend.head(ref.id)).lease?.expiresInMs).toBe(1);
  });
});

describe("tombstones", () => {
  it("stand for 30 days, then the id is as good as new", async () => {
    await create();
    await backend.delete(ref);
    now += 30 * DAY_MS - 1;
    expect(await codeOf(backend.head(ref.id))).toBe("SESSION_DELETED");
    expect(await codeOf(create())).toBe("SESSION_DELETED");
    now += 1;
    expect(await codeOf(backend.head(ref.id))).toBe("SESSION_NOT_FOUND");
    expect((await create()).seq).toBe(0);
  });

  it("that have stood long enough go with the next delete", async () => {
    for (const id of ["one", "two", "three"]) {
      const one = { ...ref, id };
      await create(one);
      await backend.delete(one);
      now += 20 * DAY_MS;
    }
    expect([...store.tombstones.keys()]).toEqual(["two", "three"]);
  });

  it("are bounded in number, the oldest going first", async () => {
    for (let i = 0; i < 100_000; i++) store.tombstones.set(`old-${i}`, { incarnation: "x", deletedAt: now });
    await create();
    await backend.delete(ref);
    expect(store.tombstones.size).toBe(100_000);
    expect(store.tombstones.has("old-0")).toBe(false);
    expect(await codeOf(backend.head(ref.id))).toBe("SESSION_DELETED");
  });

  it("are made by a delete and not by the failure of one", async () => {
    await create();
    expect(await codeOf(backend.delete({ ...ref, incarnation: "other" }))).toBe("INCARNATION_CHANGED");
    expect(store.tombstones.size).toBe(0);
    await backend.delete(ref);
    expect(await codeOf(backend.delete({ ...ref, incarnation: "other" }))).toBe("SESSION_DELETED");
  });
});

describe("what does not make sense is refused and changes nothing", () => {
  it.each([
    ["no lines", { lines: [] }],
    ["a release without a lease", { release: true }],
    [
      "a lease that is used and taken at once",
      { lease: { fence: 1, token: "t" }, acquire: { fence: 1, token: "t", holder: "h", ttlMs: 1 } },
    ],
    ["a lease that is taken and released at once", { acquire: { fence: 1, token: "t", holder: "h", ttlMs: 1 }, release: true }],
    ["a lease for no time", { acquire: { fence: 1, token: "t", holder: "h", ttlMs: 0 } }],
    ["a lease for ever", { acquire: { fence: 1, token: "t", holder: "h", ttlMs: Number.POSITIVE_INFINITY } }],
  ])("%s", async (_, request) => {
    const head = await create();
    expect(await codeOf(backend.append(ref, { expect: head, lines: [lineAfter(head)], ...request }))).toBe("INVALID_INPUT");
    expect(await backend.head(ref.id)).toEqual(head);
  });

  it.each([[{ from: -1 }], [{ from: 0.5 }], [{ to: Number.NaN }], [{ limit: -1 }]])("read %o", async (range) => {
    await create();
    expect(await codeOf(() => readAll(backend.read(ref, range)))).toBe("INVALID_INPUT");
  });

  it("a log that begins with the header of another session or another life", async () => {
    for (const lines of [[], [headerOf({ ...ref, id: "other" })], [headerOf({ ...ref, incarnation: "other" })]]) {
      expect(await codeOf(create(ref, "k", lines))).toBe("INVALID_INPUT");
    }
    expect(store.logs.size + store.keys.size).toBe(0);
  });

  it("a rewrite that changes the id or keeps the incarnation", async () => {
    const head = await create();
    for (const next of [ref, { id: "other", incarnation: "second-life" }]) {
      expect(
        await codeOf(
          backend.rewrite(ref, {
            expect: head,
            next,
            lines: (async function* () {
              yield headerOf(next);
            })(),
          }),
        ),
      ).toBe("INVALID_INPUT");
    }
  });
});

describe("between two steps of a caller", () => {
  it("a reader of several pages notices that the session was deleted", async () => {
    let head = await create();
    for (let i = 0; i < 3; i++) {
      const answer = await backend.append(ref, { expect: head, lines: [lineAfter(head, "x".repeat(60_000))] });
      if ("head" in answer) head = answer.head;
    }
    const reader = backend.read(ref)[Symbol.asyncIterator]();
    expect((await reader.next()).done).toBe(false);
    await backend.delete(ref);
    expect(await codeOf(async () => reader.next())).toBe("SESSION_DELETED");
  });

  it("a create does not finish on a backend that was closed meanwhile", async () => {
    const work = backend.create({
      ref,
      info: infoOf(ref, "k"),
      async *lines() {
        await backend.close();
        yield headerOf(ref);
      },
    });
    expect(await codeOf(work)).toBe("BACKEND_CLOSED");
    expect(store.logs.size + store.keys.size).toBe(0);
  });

  it("what is handed out is the caller's own: wrapped keys can be overwritten", async () => {
    const head = await create();
    const keys = Uint8Array.from([1, 2, 3]);
    await backend.append(ref, { expect: head, lines: [lineAfter(head)], keys });
    keys.fill(0);
    (await backend.head(ref.id)).keys?.fill(0);
    expect([...((await backend.head(ref.id)).keys ?? [])]).toEqual([1, 2, 3]);
  });
});

describe("rewrite", () => {
  it("keeps the unique key and the wrapped keys, which lie outside the log, even if the new header has lost its key", async () => {
    const created = await create(ref, "k");
    const answer = await backend.append(ref, { expect: created, lines: [lineAfter(created)], keys: Uint8Array.from([7]) });
    const next = { id: ref.id, incarnation: "second-life" };
    const head = "head" in answer ? answer.head : created;
    const rewritten = await backend.rewrite(ref, {
      expect: head,
      next,
      lines: (async function* () {
        yield headerOf(next);
      })(),
    });
    expect(rewritten).toHaveProperty("head.keys", Uint8Array.from([7]));
    expect(store.keys.size).toBe(1);
    await backend.delete(next);
    expect(store.keys.size).toBe(0);
  });
});

describe("list", () => {
  it("a cursor fits a query whose metadata is written in another order, and another limit", async () => {
    for (let i = 0; i < 4; i++) {
      const one = { ...ref, id: `${i}` };
      await create(one, undefined, [headerOf(one, { a: 1, b: { c: 2, d: 3 } }, i)]);
    }
    const first = await backend.list({ metadata: { a: 1, b: { c: 2, d: 3 } }, scan: true, limit: 1 });
    expect(first.items.map(({ id }) => id)).toEqual(["3"]);
    const rest = await backend.list({ metadata: { b: { d: 3, c: 2 }, a: 1 }, scan: true, limit: 10, cursor: first.nextCursor ?? "" });
    expect(rest).toEqual({
      items: [expect.objectContaining({ id: "2" }), expect.objectContaining({ id: "1" }), expect.objectContaining({ id: "0" })],
    });
  });

  it("refuses an order that there is not and a time that is none, by name", async () => {
    for (const [query, name] of [
      [{ order: "newest" }, "order"],
      [{ updatedAfter: "yesterday" }, "updatedAfter"],
      [{ updatedBefore: "" }, "updatedBefore"],
    ] as const) {
      await expect(backend.list(query as never)).rejects.toMatchObject({
        code: "INVALID_OPTION",
        message: expect.stringContaining(name) as string,
      });
    }
  });
});
