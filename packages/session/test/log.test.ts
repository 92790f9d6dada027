import { describe, expect, it, vi } from "vitest";
import type { Head, SessionBackend } from "../src/backend.ts";
import type { Entry, Session } from "../src/index.ts";
import { diverged, type SessionLog } from "../src/log.ts";
import { Writer } from "../src/writer.ts";
import { fill, logPlace as place } from "./log-place.ts";
import { all, withCode } from "./turns.ts";

const seqsOn = async (log: SessionLog, head: Head, stop = -1): Promise<number[]> => {
  let seen: number[] = [];
  await log.walk(head, head.headSeq, () => {
    seen = [];
    return ({ seq }) => {
      seen.push(seq);
      return seq > stop;
    };
  });
  return seen;
};
const countdown = (from: number, to: number): number[] => Array.from({ length: from - to + 1 }, (_, index) => from - index);

describe("the end of a log", () => {
  it("is read without the rest; more is read in ever larger pieces, each line once", async () => {
    const { log, session, reads } = await place();
    await fill(session, 999);
    const head = await log.refresh();
    expect(await seqsOn(log, head, 990)).toEqual(countdown(999, 990));
    // The line before the first one is read for its hash.
    expect(reads).toEqual([[935, 999]]);
    expect(await seqsOn(log, head, 930)).toEqual(countdown(999, 930));
    expect(await seqsOn(log, head, 800)).toEqual(countdown(999, 800));
    expect(await seqsOn(log, head)).toEqual(countdown(999, 0));
    expect(reads).toEqual([
      [935, 999],
      [871, 935],
      [743, 871],
      [487, 743],
      [0, 487],
    ]);
    expect(await seqsOn(log, head)).toHaveLength(1000);
    expect(reads).toHaveLength(5);
  });

  it("of large entries is read in smaller pieces", async () => {
    const { log, session, reads } = await place();
    await fill(session, 60, 100_000);
    const head = await log.refresh();
    expect(await seqsOn(log, head, 59)).toEqual([60, 59]);
    const [from] = reads[0] as [number, number];
    expect(60 - from).toBeGreaterThanOrEqual(10);
    expect(60 - from).toBeLessThanOrEqual(12);
    const huge = await place();
    await fill(huge.session, 12, 400_000);
    expect(await seqsOn(huge.log, await huge.log.refresh(), 11)).toEqual([12, 11]);
    expect(huge.reads).toEqual([[8, 12]]);
  });

  it("of entries of some size is read in ever larger pieces too", async () => {
    const { log, session, reads } = await place();
    await fill(session, 500, 10_000);
    await seqsOn(log, await log.refresh());
    expect(reads).toEqual([
      [436, 500],
      [372, 436],
      [244, 372],
      [0, 244],
    ]);
  });

  it("is read at once where the whole path is wanted", async () => {
    const { log, session, reads } = await place();
    await fill(session, 300);
    expect(await log.path(await log.refresh())).toHaveLength(300);
    expect(reads).toEqual([[0, 300]]);
    await session.append("more");
    expect(await log.path(await log.refresh())).toHaveLength(301);
    expect(reads).toEqual([
      [0, 300],
      [301, 301],
    ]);
    expect(log.tree.hasPath(301)).toBe(true);
  });

  it("is read to its beginning at once where the rest of a whole path is wanted", async () => {
    const { log, session, reads } = await place();
    await fill(session, 999);
    const head = await log.refresh();
    await seqsOn(log, head, 998);
    expect(await log.path(head)).toHaveLength(999);
    expect(reads).toEqual([
      [935, 999],
      [0, 935],
    ]);
  });

  it("is read once by readers that come together", async () => {
    const { log, session, reads } = await place();
    await fill(session, 300);
    const head = await log.refresh();
    const paths = await Promise.all(Array.from({ length: 5 }, () => log.path(head)));
    expect(paths.map(({ length }) => length)).toEqual(Array(5).fill(300));
    expect(reads).toEqual([[0, 300]]);
    const walks = await Promise.all([seqsOn(log, head), seqsOn(log, head, 290)]);
    expect(walks.map(({ length }) => length)).toEqual([301, 11]);
    expect(reads).toHaveLength(1);
  });

  it("is read further back once by readers that come together, however far each wants to go", async () => {
    const { log, session, reads } = await place();
    await fill(session, 999);
    const head = await log.refresh();
    await seqsOn(log, head, 998);
    await Promise.all([seqsOn(log, head, 900), seqsOn(log, head, 900), seqsOn(log, head, 880)]);
    expect(reads).toEqual([
      [935, 999],
      [871, 935],
    ]);
    const from = async (seq: number): Promise<number> => {
      let seen = -1;
      await log.walk(head, seq, () => (entry) => {
        seen = entry.seq;
        return false;
      });
      return seen;
    };
    expect(await Promise.all([from(500), from(500)])).toEqual([500, 500]);
    expect(reads.slice(2)).toEqual([[499, 871]]);
  });

  it("that is in memory is not waited for while another reader waits for the store", async () => {
    let answer = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { log, session, reads } = await place((store) => ({
      async *read(ref, range) {
        if (range?.from === 0) await held;
        yield* store.read(ref, range);
      },
    }));
    await fill(session, 300);
    const head = await log.refresh();
    await seqsOn(log, head, 299);
    const path = log.path(head);
    await vi.waitFor(() => expect(reads.at(-1)?.[0]).toBe(0), { timeout: 20_000 });
    expect(await seqsOn(log, head, 290)).toEqual(countdown(300, 290));
    answer();
    expect(await path).toHaveLength(300);
  });

  it("is read again after a read that failed, by the next reader", async () => {
    let fails = true;
    const { log, session } = await place((store) => ({
      read: (...parameters) => {
        if (!fails) return store.read(...parameters);
        fails = false;
        throw new Error("no answer");
      },
    }));
    await fill(session, 3);
    const head = await log.refresh();
    const [first, second] = await Promise.allSettled([log.path(head), log.path(head)]);
    expect(first).toMatchObject({ status: "rejected", reason: { message: "no answer" } });
    expect(second).toMatchObject({ status: "fulfilled", value: { length: 3 } });
  });

  it("is not read for a caller who has left", async () => {
    const { log, session, reads } = await place();
    await fill(session, 3);
    const head = await log.refresh();
    const reason = new Error("left");
    await expect(log.path(head, AbortSignal.abort(reason))).rejects.toMatchObject({ code: "CANCELLED", cause: reason });
    await expect(log.walk(head, 3, () => () => true, AbortSignal.abort())).rejects.toThrow(withCode("CANCELLED"));
    expect(reads).toEqual([]);
    expect(await log.path(head, new AbortController().signal)).toHaveLength(3);
  });
});

describe("the last entry of a type", () => {
  it("is found at or before a place, on the path or not, reading no further back than it has to", async () => {
    const { log, session, reads } = await place();
    const first = (await session.checkpoint()).version;
    await fill(session, 200);
    const second = (await session.checkpoint()).version;
    await fill(session, 10);
    const head = await log.refresh();
    expect((await log.lastOfType(head, "checkpoint"))?.seq).toBe(second);
    expect(reads).toHaveLength(1);
    expect((await log.lastOfType(head, "checkpoint", second))?.seq).toBe(second);
    expect((await log.lastOfType(head, "checkpoint", second - 1))?.seq).toBe(first);
    expect((await log.lastOfType(head, "session"))?.seq).toBe(0);
    expect(await log.lastOfType(head, "checkpoint", 0)).toBeUndefined();
    expect(await log.lastOfType(head, "state")).toBeUndefined();
    expect((await log.lastOfType(head, "message", head.seq + 5))?.seq).toBe(head.seq);
  });
});

describe("a single entry", () => {
  it("is read by itself, and remembered while nobody else writes", async () => {
    const { log, session, reads, backend } = await place();
    await fill(session, 100);
    await log.refresh();
    const writer = new Writer(log, 5000);
    const [fifth, header] = [await log.one(5), await log.one(0)];
    expect([fifth.seq, header.seq]).toEqual([5, 0]);
    expect(await log.one(5)).toBe(fifth);
    expect(reads).toEqual([
      [4, 5],
      [0, 0],
    ]);
    // Own appends change nothing of what was read.
    await writer.submit({ drafts: [{ id: "own", type: "metadata", side: {}, data: "{}" }] });
    expect(await log.one(5)).toBe(fifth);
    await log.refresh();
    expect(await log.one(5)).toBe(fifth);
    await session.append("another's");
    await log.refresh();
    expect(await log.one(5)).toEqual(fifth);
    expect(reads.filter(([, to]) => to === 5)).toHaveLength(2);
    expect((await backend.head(log.ref.id)).seq).toBe(102);
  });

  it("is taken from what is in memory, from its first line to its last", async () => {
    const { log, session, reads, another } = await place();
    await fill(session, 99);
    const head = await log.refresh();
    await seqsOn(log, head, 98);
    expect(log.tree.low).toBe(36);
    reads.length = 0;
    for (const seq of [36, 60, 99]) expect((await log.one(seq)).seq).toBe(seq);
    expect(reads).toEqual([]);
    await log.one(35);
    expect(reads).toEqual([[34, 35]]);
    await session.append("more");
    expect((await log.one(100)).seq).toBe(100);
    expect(reads).toEqual([
      [34, 35],
      [99, 100],
    ]);
    // A log that has not asked for the head itself cannot tell whether what is in memory still holds.
    const told = another();
    expect(await told.path(head)).toHaveLength(99);
    reads.length = 0;
    expect((await told.one(60)).seq).toBe(60);
    expect(reads).toEqual([[59, 60]]);
  });

  it("is remembered among few, and only if it is short", async () => {
    const { log, session, reads } = await place();
    await fill(session, 100);
    await session.append("x".repeat(10_000));
    const overhead = Buffer.byteLength(JSON.stringify(await lastOf(session))) + 1 - 10_000;
    for (const bytes of [4096, 4097]) await session.append("x".repeat(bytes - overhead));
    await log.refresh();
    const twice = async (seq: number): Promise<number> => {
      reads.length = 0;
      for (let time = 0; time < 2; time += 1) await log.one(seq);
      return reads.length;
    };
    expect([await twice(101), await twice(102), await twice(103)]).toEqual([2, 1, 2]);
    for (let seq = 1; seq <= 64; seq += 1) await log.one(seq);
    reads.length = 0;
    await log.one(64);
    expect(reads).toEqual([]);
    await log.one(1);
    expect(reads).toHaveLength(1);
  });

  it("that the head does not promise is not there", async () => {
    const { log } = await place();
    await expect(log.one(7)).rejects.toThrow(withCode("ENTRY_CORRUPT"));
    await expect(all(log.scan(0, 7))).rejects.toThrow(
      expect.objectContaining({ code: "ENTRY_CORRUPT", details: { session: log.ref.id, seq: 1 } }) as Error,
    );
    await expect(all(log.scan(0, 1))).rejects.toThrow(withCode("ENTRY_CORRUPT"));
  });
});
async function lastOf(session: Session): Promise<Entry> {
  return (await all(session.entries())).at(-1) as Entry;
}

describe("a stream of entries", () => {
  it("has those from one place to another, both included, and keeps none", async () => {
    const { log, session, reads } = await place();
    await fill(session, 20);
    const seqs = async (from: number, to: number): Promise<number[]> => (await all(log.scan(from, to))).map(({ seq }) => seq);
    expect(await seqs(0, 2)).toEqual([0, 1, 2]);
    expect(await seqs(5, 5)).toEqual([5]);
    expect(await seqs(18, 20)).toEqual([18, 19, 20]);
    expect(log.tree.isEmpty).toBe(true);
    reads.length = 0;
    expect(await seqs(6, 5)).toEqual([]);
    expect(reads).toEqual([]);
  });

  it("is the same in whatever pages the store sends it: lines by themselves, or nothing at all", async () => {
    const { log, session } = await place((store) => ({
      async *read(...parameters) {
        for await (const page of store.read(...parameters)) {
          yield Buffer.alloc(0);
          for (const line of Buffer.from(page)
            .toString()
            .split(/(?<=\n)/))
            yield Buffer.from(line);
        }
      },
    }));
    await fill(session, 5);
    const entries = await all(log.scan(0, 5));
    expect(entries.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await log.one(5)).toEqual(entries[5]);
    const { hash } = entries[2] as Entry;
    expect((await all(log.behind({ seq: 2, hash }, 4))).map(({ seq }) => seq)).toEqual([3, 4]);
    expect(await log.path(await log.refresh())).toHaveLength(5);
  });

  it("behind a place begins only where that place is still what it was", async () => {
    const { log, session } = await place();
    await fill(session, 5);
    const entries = await all(log.scan(0, 5));
    const hash = (seq: number): string => (entries[seq] as Entry).hash;
    const seqs = async (seq: number, known: string | undefined, to: number): Promise<number[]> =>
      (await all(log.behind({ seq, hash: known }, to))).map((entry) => entry.seq);
    expect(await seqs(2, hash(2), 5)).toEqual([3, 4, 5]);
    expect(await seqs(2, undefined, 4)).toEqual([3, 4]);
    expect(await seqs(5, hash(5), 5)).toEqual([]);
    expect(await seqs(4, hash(4), 3)).toEqual([]);
    for (const [seq, to] of [
      [2, 5],
      [5, 5],
      [3, 1],
    ] as const)
      await expect(seqs(seq, hash(1), to)).rejects.toThrow(
        expect.objectContaining({ code: "LOG_DIVERGED", details: { session: log.ref.id, seq } }) as Error,
      );
    expect(diverged("s", 3)).toMatchObject({ code: "LOG_DIVERGED", details: { session: "s", seq: 3 } });
  });

  it("is verified here for an audit, also where the store verifies what it reads", async () => {
    let spoils = false;
    const spoiling = (store: SessionBackend): Partial<SessionBackend> => ({
      capabilities: { ...store.capabilities, verifiesReads: true },
      async *read(...parameters) {
        for await (const page of store.read(...parameters))
          yield spoils ? Buffer.from(Buffer.from(page).toString().replace('"3x"', '"3y"')) : page;
      },
    });
    const { log, session } = await place(spoiling);
    await fill(session, 5);
    spoils = true;
    expect(await all(log.scan(0, 5))).toHaveLength(6);
    await expect(all(log.audit(5))).rejects.toThrow(withCode("ENTRY_CORRUPT"));
    spoils = false;
    expect(await all(log.audit(5))).toHaveLength(6);
    const { log: distrusting, session: other } = await place((store) => ({
      ...spoiling(store),
      capabilities: { ...store.capabilities },
    }));
    await fill(other, 5);
    spoils = true;
    await expect(all(distrusting.scan(0, 5))).rejects.toThrow(withCode("ENTRY_CORRUPT"));
  });
});
