import { describe, expect, it } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createSessionManager } from "../src/index.ts";
import { assertWhole, linesSince, SessionLog } from "../src/log.ts";
import { Writer } from "../src/writer.ts";
import { copyUpTo, fill, logPlace as place } from "./log-place.ts";
import { all, texts, withCode } from "./turns.ts";

describe("a log that is not the one that was read", () => {
  it("is read anew, once, where memory and store have parted", async () => {
    const { log, session, another, backend } = await place();
    await fill(session, 10);
    await log.path(await log.refresh());
    // As if the last line had been lost and another written: what is in memory does not lead to it.
    const lost = await place();
    await fill(lost.session, 3);
    const stale = another({
      head: async (id) => backend.head(id),
      read: (ref, range) => (stale.tree.isEmpty ? backend.read(ref, range) : lost.backend.read(lost.log.ref, { ...range, from: 2, to: 3 })),
    });
    await stale.path(await stale.refresh());
    await session.append("new");
    expect(await stale.path(await stale.refresh())).toHaveLength(11);
    let tried = 0;
    const hopeless = another({ read: (_, range) => ((tried += 1), lost.backend.read(lost.log.ref, { ...range, to: 3 })) });
    await expect(hopeless.path(await hopeless.refresh())).rejects.toThrow(withCode("ENTRY_CORRUPT"));
    expect(tried).toBe(2);
  });

  it.each<[string, readonly (string | undefined)[]]>([
    ["nothing", []],
    ["as much as was lost", ["c"]],
    ["more", ["c", "d"]],
    ["something beside the path", ["c", undefined]],
    ["something beside the path, before", [undefined]],
  ])("because its end was lost, and others have written %s since, is seen as it is and continued where it ends", async (_, others) => {
    for (const readBefore of [true, false]) {
      const { session, backend, log } = await place();
      let now = backend;
      const store = {
        ...createMemoryBackend(),
        head: (...parameters: Parameters<SessionBackend["head"]>) => now.head(...parameters),
        read: (...parameters: Parameters<SessionBackend["read"]>) => now.read(...parameters),
        append: (...parameters: Parameters<SessionBackend["append"]>) => now.append(...parameters),
      };
      const kept = await createSessionManager({ backend: store }).get(session.id);
      await kept.append("a");
      await kept.append("lost");
      if (readBefore) expect(texts(await kept.messages())).toEqual(["a", "lost"]);
      const parted = await copyUpTo(backend, log.ref, 1);
      const other = await createSessionManager({ backend: parted }).get(session.id);
      for (const text of others) await (text === undefined ? other.checkpoint() : other.append(text));
      now = parted;
      await kept.append(["x", "y"]);
      const expected = ["a", ...others.filter((text) => text !== undefined), "x", "y"];
      expect(texts(await kept.messages())).toEqual(expected);
      expect(texts(await other.messages())).toEqual(expected);
      expect((await other.verify()).problems).toEqual([]);
    }
  });

  it("is read no further than once more where it is never what its head says", async () => {
    const { log, session, reads } = await place();
    await fill(session, 3);
    const head = await log.refresh();
    await expect(log.path({ ...head, hash: "another" })).rejects.toThrow(
      expect.objectContaining({ code: "ENTRY_CORRUPT", details: { session: head.id, seq: 3 } }) as Error,
    );
    expect(reads).toEqual([
      [0, 3],
      [0, 3],
    ]);
    expect(await log.path(head)).toHaveLength(3);
  });

  it("because it was rewritten is refused, and nothing of the old life is kept", async () => {
    let incarnation = "";
    const { log, session } = await place((store) => ({
      head: async (...parameters) => {
        const head = await store.head(...parameters);
        return incarnation === "" ? head : { ...head, incarnation };
      },
    }));
    await fill(session, 3);
    await log.path(await log.refresh());
    incarnation = "another";
    await expect(log.peek()).rejects.toThrow(withCode("INCARNATION_CHANGED"));
    expect(log.tree.isEmpty).toBe(false);
    await expect(log.refresh()).rejects.toThrow(withCode("INCARNATION_CHANGED"));
    expect(log.tree.isEmpty).toBe(true);
  });

  it("can be looked at without changing what is known", async () => {
    const asked: unknown[] = [];
    const { log, session } = await place((store) => ({ head: (...parameters) => (asked.push(parameters[1]), store.head(...parameters)) }));
    const known = await log.refresh();
    await fill(session, 1);
    expect((await log.peek()).seq).toBe(1);
    expect(log.lastHead).toBe(known);
    expect(asked).toEqual([undefined, { evenDamaged: true }]);
  });

  it("that is damaged behind its head says where", async () => {
    const { log } = await place();
    const head = await log.refresh();
    expect(() => assertWhole(head)).not.toThrow();
    expect(() => assertWhole({ ...head, damage: { seq: 4, message: "broken here" } })).toThrow(
      expect.objectContaining({ code: "ENTRY_CORRUPT", message: "broken here", details: { session: head.id, seq: 4 } }) as Error,
    );
  });
});

describe("where the next line is built", () => {
  it("is known without reading while nobody else writes, and read again behind what others wrote", async () => {
    const { log, session, reads } = await place();
    await fill(session, 3);
    const tip = await log.tipOf(await log.refresh());
    const third = await log.one(3);
    expect(tip).toEqual({ seq: 3, hash: third.hash, headSeq: 3, headId: third.id, headHash: third.hash, n: 3 });
    reads.length = 0;
    expect(await log.tipOf(await log.refresh())).toBe(tip);
    expect(reads).toEqual([]);
    await session.checkpoint();
    const side = await log.refresh();
    expect(log.knownTip(side)).toBeUndefined();
    expect(await log.tipOf(side)).toEqual({ ...tip, seq: 4, hash: side.hash });
    expect(log.knownTip(side)).toEqual({ ...tip, seq: 4, hash: side.hash });
    expect(reads).toEqual([[2, 3]]);
    reads.length = 0;
    await session.append("more");
    const grown = await log.refresh();
    expect(await log.tipOf(grown)).toMatchObject({ seq: 5, headSeq: 5, n: 4 });
    expect(reads).toEqual([[4, 5]]);
    // Of an earlier head nothing is known any more, nor of another line in the same place.
    expect(log.knownTip(side)).toBeUndefined();
    expect(log.knownTip({ ...grown, hash: "other" })).toBeUndefined();
  });

  it("says what the turn there waits for, until that turn has gone on, on whatever branch", async () => {
    const { log, session } = await place();
    const body = async (turn: { suspend(request: object): Promise<unknown> }): Promise<string> =>
      JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" }));
    await session.turn("q", body as never);
    const asked = await log.refresh();
    expect((await log.tipOf(asked)).waitsFor).toEqual(["r"]);
    await session.checkpoint();
    expect((await log.tipOf(await log.refresh())).waitsFor).toEqual(["r"]);
    expect((await log.waitingAt(asked))?.entry.seq).toBe(asked.headSeq);
    expect(await log.waitingAt({ headSeq: asked.headSeq - 1, seq: asked.seq })).toBeUndefined();
    await session.resume("r", true, body as never);
    const back = await session.restore((await log.one(asked.headSeq)).id);
    const head = await log.refresh();
    expect([head.headSeq, head.seq]).toEqual([asked.headSeq, back.version]);
    expect((await log.tipOf(head)).waitsFor).toBeUndefined();
    expect(await log.waitingAt({ headSeq: asked.headSeq, seq: asked.seq })).toBeDefined();
    const other = await session.append("on");
    expect((await log.tipOf(await log.refresh())).seq).toBe(other.version);
  });

  it("waits for nothing any more where the turn went on and did nothing but fail", async () => {
    const { log, session } = await place();
    await session.turn("q", async (turn) => JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" })));
    const asked = await log.refresh();
    await expect(session.resume("r", true, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    await session.restore((await log.one(asked.headSeq)).id);
    const head = await log.refresh();
    expect([head.headSeq, (await log.tipOf(head)).waitsFor]).toEqual([asked.headSeq, undefined]);
  });

  it("waits on for an answer, whatever other turns ran on other branches", async () => {
    const { log, session } = await place();
    const before = await session.checkpoint();
    await session.turn("q", async (turn) => JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" })));
    const asked = await log.refresh();
    await session.restore(before.id);
    await session.turn("another", async () => "answer");
    await session.restore((await log.one(asked.headSeq)).id);
    const head = await log.refresh();
    expect(head.headSeq).toBe(asked.headSeq);
    expect((await log.tipOf(head)).waitsFor).toEqual(["r"]);
  });

  it("is read where another line than the known one stands in the same place", async () => {
    const { log, session, backend } = await place();
    await fill(session, 3);
    const lost = await log.tipOf(await log.refresh());
    const parted = await copyUpTo(backend, log.ref, 2);
    await (await createSessionManager({ backend: parted }).get(log.ref.id)).append("instead");
    const after = new SessionLog({ ...parted, head: (id) => now.head(id), read: (...parameters) => now.read(...parameters) }, log.ref);
    let now = backend;
    expect(await after.tipOf(await after.refresh())).toEqual(lost);
    now = parted;
    const head = await after.refresh();
    const [entry] = await all(after.scan(3, 3));
    expect(head).toMatchObject({ seq: 3, headSeq: 3 });
    expect(await after.tipOf(head)).toEqual({ ...lost, hash: head.hash, headId: entry?.id, headHash: head.hash });
  });
});

describe("the head of a session at rest", () => {
  it("is known once its end was read, while no turn runs or waits there and nothing is damaged", async () => {
    const { log, session } = await place();
    expect(log.headAtRest).toBeUndefined();
    const head = await log.refresh();
    expect(log.headAtRest).toBeUndefined();
    await log.tipOf(head);
    expect(log.headAtRest).toBe(head);
    log.adopt({ ...head, lease: { fence: 1, holder: "h", expiresInMs: 0 } });
    expect(log.headAtRest).toBeUndefined();
    log.adopt({ ...head, damage: { seq: 1, message: "broken" } });
    expect(log.headAtRest).toBeUndefined();
    log.adopt(head);
    expect(log.headAtRest).toBe(head);
    await session.turn("q", async (turn) => JSON.stringify(await turn.suspend({ requestId: "r", reason: "?" })));
    const asked = await log.refresh();
    await log.tipOf(asked);
    expect([asked.lease, log.headAtRest]).toEqual([undefined, undefined]);
  });

  it("is followed by the lines that a conflict brings, which are verified", async () => {
    const { log, session, backend } = await place();
    await fill(session, 3);
    const first = await log.one(1);
    const pages: Uint8Array[] = [];
    for await (const page of backend.read(log.ref, { from: 2 })) pages.push(page);
    const since = Buffer.concat(pages);
    expect(linesSince(log.ref.id, first, since).map(({ entry }) => entry.seq)).toEqual([2, 3]);
    for (const text of ["1x", "2x"]) {
      const changed = Buffer.from(since.toString().replace(text, "??"));
      expect(() => linesSince(log.ref.id, first, changed), text).toThrow(withCode("ENTRY_CORRUPT"));
    }
  });

  it("is read with the signal of who reads", async () => {
    const ranges: unknown[] = [];
    const { log, session } = await place((store) => ({
      read: (ref, range) => (ranges.push(range), store.read(ref, range)),
    }));
    await fill(session, 3);
    const { signal } = new AbortController();
    const head = await log.refresh();
    await log.one(2);
    await log.path(head, signal);
    expect(ranges).toStrictEqual([
      { from: 1, to: 2 },
      { from: 0, to: 3, signal },
    ]);
  });
});

describe("a log of more than 32 MiB", () => {
  it("is not kept in memory: neither what was read nor what was appended", async () => {
    const { log, session } = await place();
    const writer = new Writer(log, 5000);
    const data = JSON.stringify({ role: "user", parts: [{ type: "text", text: "x".repeat(4 * 1024 * 1024) }] });
    await fill(session, 1);
    await log.path(await log.refresh());
    for (let count = 1; count <= 9; count += 1) {
      await writer.submit({ drafts: [{ id: `d${count}`, type: "message", data }] });
      expect(log.tree.high).toBe(count <= 7 ? count + 1 : -1);
    }
    expect(await log.path(await log.refresh())).toHaveLength(10);
    expect(log.tree.isEmpty).toBe(true);
  }, 60_000);
});
