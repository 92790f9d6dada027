import { AixgoError } from "@aixgo/core";
import { endsWithHash, expectedHashIn, fold, hashBehind } from "@aixgo/session/backend";
import type { ReadRange, Ref } from "@aixgo/session/backend";
import type { Journal } from "./journal.ts";
import { incarnationChanged } from "./journal.ts";
import type { Layout } from "./layout.ts";
import { Misread, offsetOf, seqIn } from "./offsets.ts";
import type { OpenLog } from "./open-log.ts";
import { PAGE_BYTES, readLater, readNow, SYNC_BYTES, type Reading } from "./reading.ts";
import { corrupt } from "./recovery.ts";
import { hashAgrees, JOINT_BYTES } from "./scan.ts";
import type { Stripes } from "./stripes.ts";

const NEWLINE = 0x0a;

/** Whole verified lines: `bytes` from `start` on, the first of them with this seq, and where the next ones begin (or, in reverse, end). */
interface Piece {
  readonly pages: readonly Buffer[];
  readonly nextSeq: number;
  readonly nextOffset: number;
}

export interface Pages {
  read(ref: Ref, range?: ReadRange): AsyncGenerator<Buffer, void, undefined>;
}

/**
 * Reads a log in pages of whole lines. The chain is verified over every byte before it is handed out. The end is fixed when
 * reading begins, at the last whole batch; the log may grow meanwhile. The descriptor is held only while bytes are read.
 */
export function createPages(journal: Journal, layout: Layout, stripes: Stripes): Pages {
  /** Reads with the log as it is now. What does not verify is read again with the lock held before it is called damage. */
  async function piece<T>(ref: Ref, reading: (log: OpenLog) => Reading<T>): Promise<T> {
    return journal.withLog(ref.id, async (log) => {
      if (log.state.head.incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
      try {
        return await readLater(log.fd, reading(log));
      } catch (error) {
        if (!(error instanceof Misread)) throw error;
        try {
          return await stripes.hold(log.stripe, `reading session ${ref.id}`, () => readNow(log.fd, reading(log)));
        } catch (again) {
          if (!(again instanceof Misread)) throw again;
          throw corrupt(layout, log.folder, log.id, { seq: again.seq, offset: again.offset });
        }
      }
    });
  }

  return {
    async *read(ref, range = {}) {
      const asked = checked(range);
      const { reverse, signal } = asked;
      const step = (span: Span, seq: number, at: number, want: number): Reading<Piece> =>
        reverse ? backward(seq, span.first, at, span.start, PAGE_BYTES) : forward(ref, seq, span.last, at, span.end, want);
      // Small pieces first: whoever wants only the beginning does not pay for more. The first comes with the look at the log.
      const { span, begun } = await piece(ref, function* (log) {
        const span = yield* spanOf(log, asked);
        if (span.first > span.last || (reverse && span.damage !== undefined)) return { span, begun: undefined };
        const whole = span.first === 0 && !reverse ? log.wholeUpTo(span.end) : undefined;
        if (whole !== undefined) return { span, begun: { pages: [whole], nextSeq: span.last + 1, nextOffset: span.end } };
        return {
          span,
          begun: yield* reverse ? step(span, span.last, span.end, PAGE_BYTES) : step(span, span.first, span.start, PAGE_BYTES),
        };
      });
      if (reverse && span.damage !== undefined) throw span.damage;
      let budget = SYNC_BYTES - PAGE_BYTES;
      for (let next = begun; next !== undefined;) {
        if (signal?.aborted === true) throw new AixgoError("CANCELLED", `reading session ${ref.id} was cancelled`);
        yield* next.pages;
        const { nextSeq, nextOffset } = next;
        const isDone = reverse ? nextSeq < span.first : nextSeq > span.last;
        const want = budget > 0 ? PAGE_BYTES : SYNC_BYTES;
        budget -= want;
        next = isDone ? undefined : await piece(ref, () => step(span, nextSeq, nextOffset, want));
      }
      if (span.damage !== undefined) throw span.damage;
    },
  };
}

/** Which lines are read, and where they lie. */
interface Span {
  readonly first: number;
  readonly last: number;
  readonly start: number;
  readonly end: number;
  /** What is wrong behind the last of them, if that was asked for. */
  readonly damage: AixgoError | undefined;
}

function* spanOf({ state: { head }, damage }: OpenLog, { from, to, reverse, limit }: ReturnType<typeof checked>): Reading<Span> {
  let first = from;
  let last = Math.min(to, head.seq);
  if (limit !== undefined) {
    if (reverse) first = Math.max(first, last - limit + 1);
    else last = Math.min(last, first + limit - 1);
  }
  if (first > last) return { first, last, start: 0, end: 0, damage };
  const end = yield* offsetOf(head, last + 1);
  return { first, last, start: yield* offsetOf(head, first), end, damage: to > head.seq ? damage : undefined };
}

function* forward(ref: Ref, first: number, last: number, start: number, end: number, want: number): Reading<Piece> {
  const back = Math.min(JOINT_BYTES, start);
  for (let length = Math.min(want, end - start); ; length = Math.min(length * 4, end - start)) {
    const bytes = yield { offset: start - back, length: back + length };
    if (bytes.length < back + length) throw new Misread(start, first);
    const lastNewline = bytes.lastIndexOf(NEWLINE);
    if (lastNewline < back) {
      if (length === end - start) throw new Misread(start, first);
      continue;
    }
    const pages: Buffer[] = [];
    let seq = first;
    let pageStart = back;
    const before = back === 0 ? ref.incarnation : bytes.toString("latin1", 0, JOINT_BYTES - 3);
    let at = back;
    while (at <= lastNewline) {
      const newline = bytes.indexOf(NEWLINE, at);
      // Behind a line that was just verified lies its hash: only the first is compared with what comes before.
      const hash = at === back ? expectedHashIn(bytes, at, newline, before) : hashBehind(bytes, at, newline);
      if (!endsWithHash(bytes, at, newline, hash) || seq > last) throw new Misread(start - back + at, seq);
      if (at === back && seqIn(bytes, at, newline) !== first) throw new Misread(start, first);
      if (newline + 1 - pageStart > PAGE_BYTES && at > pageStart) {
        pages.push(bytes.subarray(pageStart, at));
        pageStart = at;
      }
      seq++;
      at = newline + 1;
    }
    pages.push(bytes.subarray(pageStart, at));
    return { pages, nextSeq: seq, nextOffset: start - back + at };
  }
}

function* backward(last: number, first: number, end: number, start: number, want: number): Reading<Piece> {
  for (let length = Math.min(want, end - start); ; length = Math.min(length * 4, end - start)) {
    const from = end - length;
    const back = Math.min(JOINT_BYTES, from);
    const bytes = yield { offset: from - back, length: back + length };
    if (bytes.length < back + length || bytes[bytes.length - 1] !== NEWLINE) throw new Misread(end, last);
    // Lines that begin inside these bytes, the last one first. `Buffer.lastIndexOf` counts a negative offset from the end.
    const lines: Buffer[] = [];
    let total = 0;
    let seq = last;
    let lineEnd = bytes.length - 1;
    while (lineEnd > back && seq >= first) {
      const newline = lineEnd === 0 ? -1 : bytes.lastIndexOf(NEWLINE, lineEnd - 1);
      const isFirst = from === 0 && newline < 0;
      if (!isFirst && (newline < back - 1 || newline < JOINT_BYTES - 1)) break;
      const at = newline + 1;
      if (total + lineEnd + 1 - at > PAGE_BYTES && lines.length > 0) break;
      const previous = isFirst ? incarnationBefore(bytes, at, lineEnd) : bytes.toString("latin1", at - JOINT_BYTES, at - 3);
      if (previous === undefined || !hashAgrees(bytes, at, lineEnd, previous) || seqIn(bytes, at, lineEnd) !== seq)
        throw new Misread(from - back + at, seq);
      lines.push(bytes.subarray(at, lineEnd + 1));
      total += lineEnd + 1 - at;
      seq--;
      lineEnd = newline;
    }
    if (lines.length === 0) {
      if (length === end - start) throw new Misread(start, last);
      continue;
    }
    return { pages: [Buffer.concat(lines, total)], nextSeq: seq, nextOffset: from - back + lineEnd + 1 };
  }
}

/** The header's chain begins with the incarnation, which it names itself. */
function incarnationBefore(bytes: Buffer, start: number, end: number): string | undefined {
  try {
    return fold(undefined, bytes.subarray(start, end)).incarnation;
  } catch {
    return undefined;
  }
}

function checked(range: ReadRange): {
  from: number;
  to: number;
  reverse: boolean;
  limit: number | undefined;
  signal: AbortSignal | undefined;
} {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, reverse = false, limit, signal } = range;
  for (const [name, value] of Object.entries({ from, to, limit: limit ?? 0 })) {
    if (!Number.isSafeInteger(value) || (value < 0 && name !== "to"))
      throw new AixgoError("INVALID_OPTION", `option ${name} of a range must be a whole number from 0 on`);
  }
  return { from, to, reverse, limit, signal };
}
