import { AixgoError, textOf } from "@aixgo/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Append, builtLine, type SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createSessionManager } from "../src/index.ts";
import type { Draft } from "../src/line.ts";
import { SessionLog } from "../src/log.ts";
import { type Batch, isLive, now, type Written, Writer } from "../src/writer.ts";

const KIB = 1024;
const FRAME = JSON.stringify({ role: "user", parts: [], metadata: { x: "" } });
let drafted = 0;
/** A message whose data are so long. */
const draft = (bytes = FRAME.length): Draft => ({
  id: `d${(drafted += 1)}`,
  type: "message",
  data: FRAME.replace('""', `"${"x".repeat(bytes - FRAME.length)}"`),
});
const drafts = (count: number, bytes?: number): Draft[] => Array.from({ length: count }, () => draft(bytes));
const entriesIn = ({ lines }: Append): number => lines.length;

interface Place {
  readonly writer: Writer;
  readonly log: SessionLog;
  readonly backend: SessionBackend;
  readonly requests: Append[];
}
/** A writer over a store that holds a session with a header. */
async function place(change: (store: SessionBackend) => Partial<SessionBackend> = () => ({}), rebaseMs = 5000): Promise<Place> {
  const store = createMemoryBackend();
  const { id } = await createSessionManager({ backend: store }).create("x");
  const { incarnation } = await store.head(id);
  const changed = { ...store, ...change(store) };
  const requests: Append[] = [];
  const backend: SessionBackend = {
    ...changed,
    append: (ref, request) => {
      requests.push(request);
      return changed.append(ref, request);
    },
  };
  const log = new SessionLog(backend, { id, incarnation });
  return { writer: new Writer(log, rebaseMs), log, backend, requests };
}
const outcomes = async (writes: readonly Promise<Written>[]): Promise<string[]> =>
  (await Promise.allSettled(writes)).map((each) =>
    each.status === "fulfilled" ? `${each.value.first}` : (each.reason as AixgoError).code,
  );

describe("what waits together", () => {
  it.each<[string, readonly number[], readonly number[]]>([
    ["up to 256 entries", [200, 56, 1], [256, 1]],
    ["not one entry more", [200, 57], [200, 57]],
    ["a larger batch by itself", [300, 1], [300, 1]],
  ])("leaves together: %s", async (_, batches, groups) => {
    const { writer, requests } = await place();
    const written = await Promise.all(batches.map((count) => writer.submit({ drafts: drafts(count) })));
    expect(requests.map(entriesIn)).toEqual(groups);
    expect(written.map(({ first, tip }) => [first, tip.seq])).toEqual(
      batches.map((count, index) => {
        const first = 1 + batches.slice(0, index).reduce((sum, each) => sum + each, 0);
        return [first, first + count - 1];
      }),
    );
  });

  it.each<[string, readonly number[], readonly number[]]>([
    ["up to 1 MiB of data", [600, 424, 1], [2, 1]],
    ["not more", [600, 425], [1, 1]],
    ["a larger one by itself", [1500, 1], [1, 1]],
  ])("leaves together: %s", async (_, sizes, groups) => {
    const { writer, requests } = await place();
    await Promise.all(sizes.map((kib) => writer.submit({ drafts: drafts(1, kib * KIB) })));
    expect(requests.map(entriesIn)).toEqual(groups);
  });

  it("is kept apart by leases: taking one, giving one up, and being under another", async () => {
    const { writer, requests } = await place();
    const lease = (fence: number): { fence: number; token: string } => ({ fence, token: `t${fence}` });
    const acquire = (fence: number): Batch["acquire"] => ({ ...lease(fence), holder: "h", ttlMs: 60_000 });
    const mine = { ...draft(), turn: 2, fence: 1 };
    const batches: Batch[] = [
      { drafts: [draft()] },
      { drafts: [{ ...draft(), turn: 2, fence: 1 }], acquire: acquire(1) as NonNullable<Batch["acquire"]> },
      { drafts: [draft()] },
      { drafts: [draft()] },
      { drafts: [mine], lease: lease(1) },
      { drafts: [{ ...mine, id: "m2" }], lease: lease(1) },
      { drafts: [{ ...mine, id: "m3" }], lease: lease(1), release: true },
      { drafts: [draft()], lease: lease(1) },
      { drafts: [draft()] },
    ];
    expect(await outcomes(batches.map((batch) => writer.submit(batch)))).toEqual(["1", "2", "3", "4", "5", "6", "7", "FENCED", "8"]);
    expect(requests.map((request) => [entriesIn(request), request.acquire?.fence, request.lease?.fence, request.release])).toEqual([
      [1, undefined, undefined, undefined],
      [1, 1, undefined, undefined],
      [2, undefined, undefined, undefined],
      [3, undefined, 1, true],
      [1, undefined, 1, undefined],
      [1, undefined, undefined, undefined],
    ]);
    for (const request of requests) expect(Object.values(request)).not.toContain(undefined);
  });

  it("is bounded: 64 MiB may wait, or one larger append, and others are told to", async () => {
    const { writer } = await place();
    // Refused where they would be placed: only the waiting counts here.
    const check = (): never => {
      throw new AixgoError("INVALID_INPUT", "placed");
    };
    const text = "x".repeat(70 * KIB * KIB);
    const wait = (mib: number): Promise<Written> =>
      writer.submit({ drafts: [{ ...draft(), data: text.slice(0, mib * KIB * KIB) }], check });
    const made = (): Promise<Written> => writer.submit({ drafts: [{ ...draft(), data: () => "{}" }], check });
    const [PLACED, OVERLOADED] = ["INVALID_INPUT", "OVERLOADED"];
    expect(await outcomes([wait(70), wait(0)])).toEqual([PLACED, OVERLOADED]);
    // What has left does not count any more; what was refused never did.
    expect(await outcomes([wait(40), wait(24), wait(1), wait(0)])).toEqual([PLACED, PLACED, OVERLOADED, PLACED]);
    // What is made later counts for a little.
    expect(await outcomes([wait(40), wait(24), made()])).toEqual([PLACED, PLACED, OVERLOADED]);
    const almost = 24 - 300 / KIB / KIB;
    expect(await outcomes([wait(40), wait(almost), made(), made()])).toEqual([PLACED, PLACED, PLACED, OVERLOADED]);
    expect(await outcomes(Array.from({ length: 10_001 }, made))).toEqual([...Array<string>(10_000).fill(PLACED), OVERLOADED]);
    expect(writer.isIdle).toBe(true);
  });

  it("holds nothing up when it was cancelled or is refused: what is left leaves, in order", async () => {
    const { writer, requests } = await place((store) => ({ capabilities: { ...store.capabilities, maxLineBytes: 600 } }));
    const reason = new Error("left");
    const writes = [
      writer.submit({ drafts: [draft()], signal: AbortSignal.abort(reason) }),
      writer.submit({ drafts: [draft()] }),
      writer.submit({ drafts: [draft(), draft(700)] }),
      writer.submit({ drafts: [draft()], signal: new AbortController().signal }),
      writer.submit({
        drafts: [draft()],
        check: () => {
          throw new AixgoError("VERSION_CONFLICT", "not here");
        },
      }),
      writer.submit({ drafts: [draft()] }),
    ];
    expect(await outcomes(writes)).toEqual(["CANCELLED", "1", "LIMIT_EXCEEDED", "2", "VERSION_CONFLICT", "3"]);
    await expect(writes[0]).rejects.toMatchObject({ cause: reason });
    await expect(writes[2]).rejects.toMatchObject({ details: { bytes: expect.any(Number) as number, maxBytes: 600 } });
    expect(requests.map(entriesIn)).toEqual([3]);
    expect(await outcomes([writer.submit({ drafts: [draft()], signal: AbortSignal.abort() })])).toEqual(["CANCELLED"]);
    expect(requests).toHaveLength(1);
    expect(writer.written).toBe(3);
  });

  it("asks the store for nothing if all of it was cancelled", async () => {
    let heads = 0;
    const { writer, requests } = await place((store) => ({ head: (...parameters) => ((heads += 1), store.head(...parameters)) }));
    const cancelled = (): Promise<Written> => writer.submit({ drafts: [draft()], signal: AbortSignal.abort() });
    expect(await outcomes([cancelled(), cancelled()])).toEqual(["CANCELLED", "CANCELLED"]);
    await writer.settled();
    expect([heads, requests.length]).toEqual([0, 0]);
  });

  it("may be as long as the store takes, to the byte", async () => {
    const { writer, requests, backend } = await place();
    await writer.submit({ drafts: [{ ...draft(), id: "d" }] });
    const [line] = requests[0]?.lines ?? [];
    const length = line?.length ?? 0;
    for (const [room, outcome] of [
      [length, "1"],
      [length - 1, "LIMIT_EXCEEDED"],
    ] as const) {
      const tight = await place((store) => ({ capabilities: { ...store.capabilities, maxLineBytes: room } }));
      expect(await outcomes([tight.writer.submit({ drafts: [{ ...draft(), id: "d" }] })])).toEqual([outcome]);
    }
    expect(backend.name).toBe("memory");
  });
});

describe("a batch that has landed", () => {
  it("is told what it has become, before the next group is built", async () => {
    const { writer, log, backend } = await place();
    const order: string[] = [];
    const first = writer.submit({ drafts: drafts(2), landed: ({ tip }) => order.push(`landed ${tip.seq}`) });
    const second = writer.submit({ drafts: drafts(300), check: (head) => order.push(`check ${head.seq}`) });
    expect(writer.isIdle).toBe(false);
    const written = await first;
    await writer.settled();
    expect([writer.isIdle, writer.rebaseMs]).toEqual([true, 5000]);
    await second;
    expect(order).toEqual(["landed 2", "check 2"]);
    expect(written).toMatchObject({ first: 1, tip: { seq: 2, n: 2 }, timestamp: written.entries()[0]?.timestamp });
    expect(written.entries().map(({ seq }) => seq)).toEqual([1, 2]);
    expect(written.head).toMatchObject({ seq: 2, hash: written.tip.hash });
    await writer.settled();
    expect([writer.isIdle, writer.written, log.lastHead?.seq, (await backend.head(log.ref.id)).seq]).toEqual([true, 302, 302, 302]);
    await writer.settled();
  });

  it("needs no reading: not its tip, not the head, not its lines", async () => {
    const asked: string[] = [];
    const { writer, log } = await place((store) => ({
      head: (...parameters) => (asked.push("head"), store.head(...parameters)),
      read: (...parameters) => (asked.push("read"), store.read(...parameters)),
    }));
    const { head } = await writer.submit({ drafts: [draft()] });
    await log.path(head);
    asked.length = 0;
    await writer.submit({ drafts: drafts(3) });
    const { head: after } = await writer.submit({ drafts: drafts(2), outsideTurns: true });
    expect(await log.path(after)).toHaveLength(6);
    expect((await log.one(4)).seq).toBe(4);
    expect(asked).toEqual([]);
  });

  it("needs no reading either where nothing is kept in memory, nor where its answer was lost and others wrote since", async () => {
    const asked: string[] = [];
    let loses = false;
    const { writer, log } = await place((store) => ({
      head: (...parameters) => (asked.push("head"), store.head(...parameters)),
      read: (...parameters) => (asked.push("read"), store.read(...parameters)),
      async append(ref, request) {
        const answer = await store.append(ref, request);
        if (!loses) return answer;
        loses = false;
        await (await createSessionManager({ backend: store }).get(ref.id)).append("another's");
        throw new AixgoError("OUTCOME_UNKNOWN", "the connection broke");
      },
    }));
    await writer.submit({ drafts: [draft()] });
    asked.length = 0;
    await Promise.all([writer.submit({ drafts: drafts(2) }), writer.submit({ drafts: drafts(1) })]);
    await writer.submit({ drafts: drafts(1) });
    loses = true;
    expect(await outcomes([writer.submit({ drafts: drafts(1) }), writer.submit({ drafts: drafts(2) })])).toEqual(["6", "7"]);
    await writer.settled();
    expect([asked, log.tree.isEmpty]).toEqual([[], true]);
  });

  it("is told from the others of its group that have not, whose places others have taken since", async () => {
    let losesRest = true;
    const { writer, log } = await place((store) => ({
      async append(ref, request) {
        if (!losesRest) return store.append(ref, request);
        losesRest = false;
        await store.append(ref, { ...request, lines: request.lines.slice(0, 1) });
        await (await createSessionManager({ backend: store }).get(ref.id)).append(["another's", "another's"]);
        throw new AixgoError("OUTCOME_UNKNOWN", "the machine stopped");
      },
    }));
    expect(await outcomes([1, 1, 1].map((count) => writer.submit({ drafts: drafts(count) })))).toEqual(["1", "4", "5"]);
    expect(await log.path(await log.refresh())).toHaveLength(5);
  });

  it("is looked for in the log where a conflict does not bring what was written since", async () => {
    let isLate = true;
    const { writer, log } = await place((store) => ({
      async append(ref, request) {
        if (isLate) await (await createSessionManager({ backend: store }).get(ref.id)).append(["another's", "another's"]);
        isLate = false;
        const answer = await store.append(ref, request);
        return "conflict" in answer ? { conflict: answer.conflict } : answer;
      },
    }));
    expect(await outcomes([1, 1].map((count) => writer.submit({ drafts: drafts(count) })))).toEqual(["3", "4"]);
    expect(await log.path(await log.refresh())).toHaveLength(4);
  });

  it("leaves the store's knowledge of its lines behind", async () => {
    const { writer, requests } = await place();
    await writer.submit({ drafts: drafts(2) });
    expect(requests[0]?.lines.map((line) => builtLine(line))).toEqual([undefined, undefined]);
  });

  it("is asked about first where a lease may have run out or been taken meanwhile, outside of turns only", async () => {
    let heads = 0;
    const { writer, log } = await place((store) => ({ head: (...parameters) => ((heads += 1), store.head(...parameters)) }));
    const acquire = { fence: 1, token: "t", holder: "h", ttlMs: 60_000 };
    await writer.submit({ drafts: [{ ...draft(), turn: 1, fence: 1 }], acquire });
    heads = 0;
    expect(await outcomes([writer.submit({ drafts: [draft()] })])).toEqual(["2"]);
    expect(heads).toBe(0);
    expect(await outcomes([writer.submit({ drafts: [draft()], outsideTurns: true }), writer.submit({ drafts: [draft()] })])).toEqual([
      "SESSION_BUSY",
      "3",
    ]);
    expect(heads).toBe(1);
    await writer.submit({ drafts: [draft()], lease: acquire, release: true });
    heads = 0;
    await writer.submit({ drafts: [draft()], outsideTurns: true });
    expect(heads).toBe(0);
    expect(log.lastHead?.seq).toBe(5);
  });
});

describe("on a disk", () => {
  it("the first line of a group says what was durable before it, on other stores none does", async () => {
    for (const durability of ["disk", "os"] as const) {
      const { writer, requests } = await place((store) => ({ capabilities: { ...store.capabilities, durability } }));
      await Promise.all([writer.submit({ drafts: drafts(2) }), writer.submit({ drafts: drafts(2) })]);
      await writer.submit({ drafts: drafts(1) });
      const syncs = requests.map(({ lines }) => lines.map((line) => (JSON.parse(Buffer.from(line).toString()) as { sync?: number }).sync));
      expect(syncs).toEqual(
        durability === "disk" ? [[0, undefined, undefined, undefined], [4]] : [[undefined, undefined, undefined, undefined], [undefined]],
      );
    }
  });

  it("a refused batch is no group's first", async () => {
    const { writer, requests } = await place((store) => ({
      capabilities: { ...store.capabilities, durability: "disk", maxLineBytes: 600 },
    }));
    expect(await outcomes([writer.submit({ drafts: [draft(), draft(700)] }), writer.submit({ drafts: drafts(2) })])).toEqual([
      "LIMIT_EXCEEDED",
      "1",
    ]);
    expect(requests.flatMap(({ lines }) => lines.map((line) => Buffer.from(line).includes('"sync":')))).toEqual([true, false]);
  });
});

describe("a group of which only the beginning was written", () => {
  it.each([true, false])("is continued behind it, nothing twice (lines of the conflict sent along: %s)", async (sendsLines) => {
    let attempts = 0;
    const { writer, log, backend } = await place((store) => ({
      async append(ref, request) {
        attempts += 1;
        if (attempts === 1) {
          await store.append(ref, { ...request, lines: request.lines.slice(0, 2) });
          throw new AixgoError("OUTCOME_UNKNOWN", "the connection broke");
        }
        const answer = await store.append(ref, request);
        return "conflict" in answer && !sendsLines ? { conflict: answer.conflict } : answer;
      },
    }));
    const landed: number[] = [];
    const writes = [2, 1, 3].map((count) => writer.submit({ drafts: drafts(count), landed: ({ first }) => landed.push(first) }));
    expect(await outcomes(writes)).toEqual(["1", "3", "4"]);
    expect([landed, attempts, writer.written]).toEqual([[1, 3, 4], 3, 6]);
    const head = await backend.head(log.ref.id);
    expect((await log.path(head)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    for await (const _ of log.audit(head.seq));
  });

  it("of which nothing was written while others wrote as much is not taken for theirs", async () => {
    const { writer, log, backend } = await place();
    const other = new Writer(new SessionLog(backend, log.ref), 5000);
    await writer.submit({ drafts: [draft()] });
    const theirs = await other.submit({ drafts: drafts(3) });
    expect(await outcomes([writer.submit({ drafts: drafts(3) })])).toEqual(["5"]);
    expect(theirs.first).toBe(2);
    expect((await log.path(await log.refresh())).length).toBe(7);
  });
});

describe("a store that fails", () => {
  const failing = (code: string, times: number): ((store: SessionBackend) => Partial<SessionBackend>) => {
    let left = times;
    return (store) => ({
      append: async (...parameters) => {
        if (vi.isFakeTimers()) vi.advanceTimersByTime(100);
        if ((left -= 1) >= 0) throw new AixgoError(code, "for a while");
        return store.append(...parameters);
      },
    });
  };
  /** No time passes but the tenth of a second that each answer takes; pauses are made, and not counted. */
  const stopClock = (): void => void vi.useFakeTimers({ toFake: ["performance"] });
  afterEach(() => void vi.useRealTimers());

  it("is asked again with the same lines, and no longer than it may take", async () => {
    stopClock();
    const { writer, requests } = await place(failing("OUTCOME_UNKNOWN", Number.POSITIVE_INFINITY), 1000);
    expect(await outcomes([writer.submit({ drafts: [draft()] })])).toEqual(["OUTCOME_UNKNOWN"]);
    expect(requests.length).toBe(11);
    for (const { lines } of requests) expect(lines).toEqual(requests[0]?.lines);
  });

  it("is given its time again when nobody has asked for long", async () => {
    stopClock();
    const { writer, requests } = await place(failing("BACKEND_UNAVAILABLE", Number.POSITIVE_INFINITY), 450);
    for (let round = 0; round < 2; round += 1) {
      const before = requests.length;
      expect(await outcomes([writer.submit({ drafts: [draft()] })])).toEqual(["BACKEND_UNAVAILABLE"]);
      expect(requests.length - before, `round ${round}`).toBe(6);
      vi.advanceTimersByTime(1000);
    }
  });

  it("as nothing that passes is not asked again", async () => {
    for (const code of ["PERMISSION_DENIED", "INVALID_INPUT", "FENCED"]) {
      const { writer, requests } = await place(failing(code, 1));
      expect(await outcomes([writer.submit({ drafts: [draft()] })])).toEqual([code]);
      expect(requests).toHaveLength(1);
    }
  });

  it("after an answer was lost in a way that says something of the log, says that", async () => {
    let asked = 0;
    const { writer } = await place((store) => ({
      ...store,
      append: async () => {
        asked += 1;
        throw new AixgoError(asked === 1 ? "OUTCOME_UNKNOWN" : "SESSION_DELETED", "no");
      },
    }));
    expect(await outcomes([writer.submit({ drafts: [draft()] })])).toEqual(["SESSION_DELETED"]);
  });
});

describe("small things", () => {
  it("a lease is live while it has time left", () => {
    const lease = { fence: 1, holder: "h" };
    expect([isLive({}), isLive({ lease: { ...lease, expiresInMs: 0 } }), isLive({ lease: { ...lease, expiresInMs: 1 } })]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it("the time is of now, also after it stood still", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-01-02T03:04:05.678Z") });
    try {
      expect([now(), now()]).toEqual(Array(2).fill("2026-01-02T03:04:05.678Z"));
      vi.setSystemTime(Date.parse("2026-01-02T03:04:05.679Z"));
      expect(now()).toBe("2026-01-02T03:04:05.679Z");
    } finally {
      vi.useRealTimers();
    }
  });

  it("a session is read back as it was written in groups", async () => {
    const s = await createSessionManager({ backend: createMemoryBackend() }).create("x");
    await Promise.all(Array.from({ length: 5 }, (_, index) => s.append([`${index}a`, `${index}b`])));
    expect((await s.messages()).map(textOf)).toEqual([0, 1, 2, 3, 4].flatMap((index) => [`${index}a`, `${index}b`]));
    expect((await s.verify()).problems).toEqual([]);
  });
});
