import { createHints, type Hints, type Position, type SessionBackend } from "@aixgo/session/backend";
import { linesOf } from "../harness/verify-log.ts";
import { joinLines, type Mutant, mutant } from "./mutant.ts";

const FEED = "a follower is given each entry once, in order, whichever node appends it";
const WATCH = "hints that there is more behind `after`; none is missed";

/** Hints that are given by `tell`, over what the real store hints. */
function heard(filter: (hints: AsyncIterable<void>, after: Position) => AsyncIterable<void>) {
  return (real: SessionBackend): Partial<SessionBackend> => ({
    watch: (ref, after, signal) => filter((real.watch as NonNullable<SessionBackend["watch"]>)(ref, after, signal), after),
  });
}

/** Changes the lines of reads that go on from somewhere, as a follower's do. */
function rereads(change: (lines: Buffer[]) => Buffer[]) {
  return (real: SessionBackend): Partial<SessionBackend> => ({
    async *read(ref, range = {}) {
      for await (const page of real.read(ref, range)) yield (range.from ?? 0) > 0 ? joinLines(change(linesOf(page))) : page;
    },
  });
}

export const feedMutants: readonly Mutant[] = [
  mutant(
    "skips an entry where a follower goes on",
    FEED,
    ["feed/follow"],
    rereads((lines) => lines.filter((_, index) => index !== 1)),
  ),
  mutant(
    "gives an entry twice where a follower goes on",
    FEED,
    ["feed/follow"],
    rereads((lines) => [...lines, ...lines.slice(-1)]),
  ),
  mutant("shows a follower the head of before", FEED, ["feed/follow", "feed/ends"], (real) => () => {
    const heads = new Map<string, Awaited<ReturnType<SessionBackend["head"]>>>();
    return {
      async head(id) {
        const head = heads.get(id) ?? (await real.head(id));
        heads.set(id, head);
        return head;
      },
    };
  }),
  mutant(
    "has nothing for who goes on from somewhere",
    "LOG_DIVERGED when the hash at the cursor does not fit",
    ["feed/diverged"],
    (real) => ({
      async *read(ref, range = {}) {
        if ((range.from ?? 0) === 0) yield* real.read(ref, range);
      },
    }),
  ),
  mutant(
    "gives one hint and then no more",
    WATCH,
    ["watch/every-append"],
    heard(async function* (hints) {
      for await (const hint of hints) {
        yield hint;
        break;
      }
      await new Promise(() => undefined);
    }),
  ),
  mutant("hints only what its own node appends", WATCH, ["watch/every-append"], (real) => () => {
    const listeners = new Set<Hints>();
    return {
      async append(ref, request) {
        const answer = await real.append(ref, request);
        for (const hints of listeners) hints.give();
        return answer;
      },
      async *watch(ref, after, signal) {
        const first = (real.watch as NonNullable<SessionBackend["watch"]>)(ref, after, AbortSignal.abort());
        for await (const _ of first);
        const hints = createHints();
        listeners.add(hints);
        signal.addEventListener("abort", hints.end);
        yield* hints.taken();
      },
    };
  }),
  mutant("hints only what comes after the first look", WATCH, ["watch/before"], (real) => ({
    async *watch(ref, _after, signal) {
      yield* (real.watch as NonNullable<SessionBackend["watch"]>)(ref, await real.head(ref.id), signal);
    },
  })),
  mutant("hints appends only", WATCH, ["watch/rewrite-and-delete"], (real) => ({
    async *watch(ref, after, signal) {
      for await (const hint of (real.watch as NonNullable<SessionBackend["watch"]>)(ref, after, signal)) {
        const head = await real.head(ref.id).catch(() => undefined);
        if (head?.incarnation === ref.incarnation) yield hint;
      }
    },
  })),
  mutant("goes on after the signal", "ends when `signal` aborts", ["watch/ends"], (real) => ({
    watch: (ref, after) => (real.watch as NonNullable<SessionBackend["watch"]>)(ref, after, new AbortController().signal),
  })),
  mutant("has hints that the fixture does not speak of", "`watch` and `blobs` are optional", ["backend/offers"], (real) => {
    const { maxBlobBytes: _, ...capabilities } = real.capabilities;
    return { capabilities };
  }),
];
