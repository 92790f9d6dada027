import { hash as digest } from "node:crypto";
import { isAixgoError } from "@aixgo/core";
import { builtLine, dataOf, endsWithHash, expectedHash, expectedHashIn, hashBehind, HeadFold, TRAILER_BYTES } from "@aixgo/session/backend";
import type { Envelope, Head, HeaderData } from "@aixgo/session/backend";
import { SYNC_BYTES, PAGE_BYTES, type Reading } from "./reading.ts";

/** What is known of a log after a whole batch. Everything up to `head.bytes` has been verified. */
export interface LogState {
  /** Without lease and keys. */
  readonly head: Head;
  /** Offset of the last line. */
  readonly lastStart: number;
  /** The latest `sync` of any line: undefined in a log that was written without syncs. */
  readonly sync: number | undefined;
}

/** Bytes before a line that its hash covers: the previous hash and `"}⏎`. */
export const JOINT_BYTES = 46;
const HASH_BYTES = 43;
const NEWLINE = 0x0a;
/** The place in its batch of an entry that is one by itself. */
const SINGLE = [0, 1] as const;

export interface Followed {
  /** After the last whole batch. */
  readonly state: LogState | undefined;
  /** Index in `bytes` of the first line that does not follow; undefined: the bytes end inside a line or batch, or exactly. */
  readonly bad?: number;
}

/**
 * Verifies the lines in `bytes` from `from` on, which continue `state`. The bytes before `from`, if there are any, are those
 * before it in the file. `seen` is shown the entries of whole batches. Throws `UNSUPPORTED_ENTRY` for a line of a later format that
 * the chain vouches for.
 */
export function follow(state: LogState | undefined, bytes: Buffer, from: number, seen?: (entry: Envelope) => void): Followed {
  const folding = new HeadFold(state?.head);
  let end = from;
  let committed = { end: from, lastStart: state?.lastStart ?? 0, sync: state?.sync };
  let sync = state?.sync;
  let due = 0;
  let of = 1;
  /** Of a batch that is not whole yet: it may never be. */
  const waiting: Envelope[] = [];
  let bad: number | undefined;
  for (let newline = bytes.indexOf(NEWLINE, end); newline >= 0; newline = bytes.indexOf(NEWLINE, end)) {
    const lastStart = folding.bytes;
    try {
      const previous = folding.seq < 0 ? incarnationIn(bytes, end, newline) : folding.hash;
      // Behind a line that was just verified lies its hash: only the first is looked at again.
      const hash =
        previous === undefined || newline - end <= TRAILER_BYTES
          ? undefined
          : end > from
            ? hashBehind(bytes, end, newline)
            : expectedHashIn(bytes, end, newline, previous);
      if (hash === undefined || !endsWithHash(bytes, end, newline, hash)) {
        bad = end;
        break;
      }
      const entry = folding.push(bytes.subarray(end, newline), hash);
      const index = entry.batch?.[0] ?? 0;
      if (index !== due || (due > 0 && entry.batch?.[1] !== of)) {
        bad = end;
        break;
      }
      of = entry.batch?.[1] ?? 1;
      if (entry.sync !== undefined) sync = entry.sync;
      if (seen !== undefined) waiting.push(entry);
    } catch (error) {
      if (!isAixgoError(error, "ENTRY_CORRUPT")) throw error;
      bad = end;
      break;
    }
    end = newline + 1;
    due = due + 1 < of ? due + 1 : 0;
    if (due === 0) {
      committed = { end, lastStart, sync };
      for (const each of waiting) seen?.(each);
      waiting.length = 0;
    }
  }
  const next =
    committed.end === from
      ? state
      : {
          head: committed.end === end && bad === undefined ? headOf(folding) : refold(state, bytes, from, committed.end),
          lastStart: committed.lastStart,
          sync: committed.sync,
        };
  return bad === undefined ? { state: next } : { state: next, bad };
}

/**
 * The same for lines that this process has built, one behind the other: there is nothing to hash or to parse. Undefined: one
 * of them was not, or they do not follow; then their bytes must be looked at.
 */
export function followBuilt(state: LogState, lines: readonly Uint8Array[], seen: (entry: Envelope) => void): LogState | undefined {
  const folding = new HeadFold(state.head);
  const entries: Envelope[] = [];
  let { lastStart, sync } = state;
  let due = 0;
  let of = 1;
  for (const line of lines) {
    const built = builtLine(line);
    if (built === undefined || built.previousHash !== folding.hash || built.envelope.seq !== folding.seq + 1) return undefined;
    const { envelope } = built;
    const [index, count] = envelope.batch ?? SINGLE;
    if (index !== due || (due > 0 && count !== of)) return undefined;
    of = count;
    due = due + 1 < of ? due + 1 : 0;
    lastStart = folding.bytes;
    if (envelope.sync !== undefined) sync = envelope.sync;
    folding.push(line, envelope.hash);
    entries.push(envelope);
  }
  if (due !== 0) return undefined;
  for (const entry of entries) seen(entry);
  return { head: headOf(folding), lastStart, sync };
}

/** The head after lines that were verified: the fold has gone beyond the last whole batch. */
function refold(state: LogState | undefined, bytes: Buffer, from: number, to: number): Head {
  const folding = new HeadFold(state?.head);
  for (let start = from; start < to;) {
    const newline = bytes.indexOf(NEWLINE, start);
    folding.push(bytes.subarray(start, newline));
    start = newline + 1;
  }
  return headOf(folding);
}

function headOf(folding: HeadFold): Head {
  return folding.head as Head;
}

/** Whether a line ends with the hash that it should have. */
export function hashAgrees(bytes: Buffer, start: number, end: number, previousHash: string): boolean {
  const trailer = end - TRAILER_BYTES;
  if (trailer <= start) return false;
  return bytes.toString("latin1", trailer, end) === trailerOf(expectedHashIn(bytes, start, end, previousHash));
}

/** The same, without what stands before the line: it may be damaged. */
export function hashAgreesAlone(bytes: Buffer, start: number, end: number, previousHash: string): boolean {
  const trailer = end - TRAILER_BYTES;
  return trailer > start && bytes.toString("latin1", trailer, end) === trailerOf(expectedHash(previousHash, bytes.subarray(start, end)));
}

/** The bytes that end a line with this hash, line end included, as they stand before the next line. */
export function jointOf(hash: string): string {
  return `${hash}"}\n`;
}

/** The hash that the line before `start` claims, whatever state its own bytes are in. They must be there: `JOINT_BYTES` at least. */
export function claimBefore(bytes: Buffer, start: number): string {
  return bytes.toString("latin1", start - JOINT_BYTES, start - JOINT_BYTES + HASH_BYTES);
}

export interface Advanced {
  readonly state: LogState | undefined;
  /** Offset of the first line that does not follow. Undefined: what is left, if anything, is an unfinished line or batch. */
  readonly badAt?: number;
}

/** Reads on from `state` to `size`, verifying every line. */
export function* advance(state: LogState | undefined, size: number, seen?: (entry: Envelope) => void): Reading<Advanced> {
  let current = state;
  let want = PAGE_BYTES;
  for (;;) {
    const at = current?.head.bytes ?? 0;
    if (at >= size) return { state: current };
    const back = Math.min(at, JOINT_BYTES);
    const length = Math.min(want, size - at);
    const bytes = yield { offset: at - back, length: back + length };
    const step = follow(current, bytes, back, seen);
    current = step.state;
    if (step.bad !== undefined) return { state: current, badAt: at - back + step.bad };
    if (bytes.length < back + length || length === size - at) return { state: current };
    want = (current?.head.bytes ?? 0) > at ? Math.min(SYNC_BYTES, Math.max(want, PAGE_BYTES) * 2) : want * 2;
  }
}

/** What a line at seq 0 names as its incarnation, which takes the place of the hash before it. */
function incarnationIn(bytes: Buffer, start: number, end: number): string | undefined {
  const data = dataOf(bytes.subarray(start, end)) as unknown as HeaderData | null;
  return typeof data?.incarnation === "string" ? data.incarnation : undefined;
}

/** What a line with this hash ends with. */
export function trailerOf(hash: string): string {
  return `,"hash":"${hash}"}`;
}

/** Short digest of any text, for names of files and cursors. */
export function shortDigest(text: string): string {
  return digest("sha256", text, "base64url").slice(0, 16);
}
