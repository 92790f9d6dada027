import { envelopeOf, type Head } from "@aixgo/session/backend";
import { PAGE_BYTES, type Reading } from "./reading.ts";

const PROBE_BYTES = 4 * 1024;
const NEWLINE = 0x0a;
const START = /^\{"v":1,"seq":(\d+)[,}]/;

/** Where the bytes of a verified log are not what they were. */
export class Misread extends Error {
  readonly offset: number;
  readonly seq: number;
  constructor(offset: number, seq: number) {
    super(`the log is damaged near byte ${offset}`);
    this.offset = offset;
    this.seq = seq;
  }
}

/** Seq of the line that begins at `start` of these bytes; undefined if that cannot be seen. */
export function seqIn(bytes: Buffer, start: number, end: number): number | undefined {
  const match = START.exec(bytes.toString("latin1", start, Math.min(end, start + 40)));
  if (match !== null) return Number(match[1]);
  try {
    return envelopeOf(bytes.subarray(start, end)).seq;
  } catch {
    return undefined;
  }
}

/**
 * Offset where the line `seq` begins, 0 ≤ seq ≤ head.seq + 1: the tail first, then bisection over bytes. Reads a few pages of
 * a log of any length. Throws `Misread`.
 */
export function* offsetOf(head: Head, seq: number): Reading<number> {
  if (seq <= 0) return 0;
  if (seq > head.seq) return head.bytes;
  // The line `low.seq` begins at `low.offset`; the wanted one begins before `high`.
  let low = { seq: 0, offset: 0 };
  let high = head.bytes;
  let middle = Math.max(0, high - PAGE_BYTES);
  while (high - low.offset > PAGE_BYTES) {
    const found = yield* lineAfter(middle, high, low.seq);
    if (found === undefined) high = middle;
    else if (found.seq <= low.seq || found.seq > head.seq) throw new Misread(found.offset, low.seq + 1);
    else if (found.seq <= seq) low = found;
    else high = middle;
    if (low.seq === seq) return low.offset;
    if (found !== undefined && found.seq <= seq && high - found.offset <= PAGE_BYTES) break;
    middle = low.offset + Math.floor((high - low.offset) / 2);
  }
  return yield* walk(low, seq, head.bytes);
}

/** The first line that begins behind `at` and before `limit`. */
function* lineAfter(at: number, limit: number, known: number): Reading<{ seq: number; offset: number } | undefined> {
  for (let want = PROBE_BYTES; ; want *= 4) {
    const length = Math.min(want, limit - at);
    const bytes = yield { offset: at, length };
    const newline = bytes.indexOf(NEWLINE);
    const whole = bytes.length < length || length === limit - at;
    if (newline >= 0 && (bytes.length - newline > 64 || whole)) {
      const offset = at + newline + 1;
      if (offset >= limit) return undefined;
      const end = bytes.indexOf(NEWLINE, newline + 1);
      const seq = seqIn(bytes, newline + 1, end < 0 ? bytes.length : end);
      if (seq !== undefined) return { seq, offset };
      if (end >= 0) throw new Misread(offset, known + 1);
    }
    if (whole) return newline < 0 ? undefined : yield* beyond(at + newline + 1, limit, known);
  }
}

/** A line whose seq stands unusually far from its start, and reaches over the limit of a probe. */
function* beyond(offset: number, limit: number, known: number): Reading<{ seq: number; offset: number } | undefined> {
  if (offset >= limit) return undefined;
  const bytes = yield { offset, length: 64 };
  const seq = seqIn(bytes, 0, bytes.length);
  if (seq === undefined) throw new Misread(offset, known + 1);
  return { seq, offset };
}

/** Counts line ends from a known line on. */
function* walk(from: { seq: number; offset: number }, seq: number, limit: number): Reading<number> {
  let left = seq - from.seq;
  for (let at = from.offset; at < limit && left > 0; at += PAGE_BYTES) {
    const bytes = yield { offset: at, length: Math.min(PAGE_BYTES, limit - at) };
    for (let newline = bytes.indexOf(NEWLINE); newline >= 0; newline = bytes.indexOf(NEWLINE, newline + 1)) {
      if (--left === 0) return at + newline + 1;
    }
    if (bytes.length === 0) break;
  }
  if (left > 0) throw new Misread(from.offset, from.seq);
  return from.offset;
}
