import { constants, closeSync, fstatSync, ftruncateSync } from "node:fs";
import { AixgoError } from "@aixgo/core";
import { envelopeOf, expectedHash, TRAILER_BYTES } from "@aixgo/session/backend";
import { openPrivate, writeAll } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { readNow, type Reading } from "./reading.ts";
import { advance, claimBefore, hashAgreesAlone, JOINT_BYTES, trailerOf, type Advanced, type LogState } from "./scan.ts";

/** No group is larger, single lines apart: damage that reaches over more cannot be one write that was cut off. */
const MAX_TORN_BYTES = 8 * 1024 * 1024;
const NEWLINE = 0x0a;
const ENTRY_START = Buffer.from('{"v":1,"seq":');
const HASH_KEY = Buffer.from(',"hash":"');
/** What a disk writes whole or not at all; file systems and drives have multiples of it. */
const SECTOR_BYTES = 512;
/** So many bytes of a line's beginning or end may be other ones, and it is still seen what they were. */
const MAX_SMEAR_BYTES = 8;

export interface Damage {
  /** The entry that is due where the damage begins. */
  readonly seq: number;
  readonly offset: number;
}

/**
 * What to think of a log's end that does not verify: undefined for a torn tail, which was never acknowledged or cannot be told
 * from one, else the damage.
 *
 * A write that was cut off leaves a beginning of what was written, with zeros where a sector is missing. So a line that has its end
 * and no such hole was damaged later, as was an end of another kind behind a whole line. Of a line with a hole others tell:
 * the first line of a group says in `sync` what was durable before it, so damage at seq k is no torn tail if a valid
 * line after it says `sync >= k`. In a log without syncs any valid line after the damage says so, because there
 * a process that died left nothing behind the place where it stopped. The header is made durable before it gets its name.
 */
export function* judge({ state, badAt }: Advanced, size: number, maxLineBytes: number): Reading<Damage | undefined> {
  if (state === undefined) return size === 0 ? undefined : { seq: 0, offset: 0 };
  const at = state.head.bytes;
  if (at === size) return undefined;
  const seq = state.head.seq + 1;
  const longest = Math.max(maxLineBytes, MAX_TORN_BYTES) + 1;
  if (badAt === undefined) {
    if (size - at > longest) return undefined;
    const bytes = yield { offset: at - JOINT_BYTES, length: JOINT_BYTES + size - at };
    const unfinished = bytes.lastIndexOf(NEWLINE) + 1;
    return hadEnd(bytes, unfinished) ? { seq, offset: at - JOINT_BYTES + unfinished } : undefined;
  }
  const damage = { seq, offset: badAt };
  const tooLong = size - badAt > MAX_TORN_BYTES;
  const bytes = yield { offset: at - JOINT_BYTES, length: JOINT_BYTES + (tooLong ? badAt - at + longest : size - at) };
  const bad = badAt - at + JOINT_BYTES;
  const badEnd = bytes.indexOf(NEWLINE, bad);
  // One line that was cut off, however long it is.
  if (badEnd < 0) return undefined;
  if (tooLong || wasWhole(bytes, bad, badEnd, badAt)) return damage;
  const synced = state.sync !== undefined || bytes.subarray(bad, badEnd).includes(',"sync":');
  return isVouchedFor(bytes, bad, synced, seq) ? damage : undefined;
}

/** Whether the line from `bad` to `end` in `bytes`, which begins at `badAt` in the file, was once written as it was to be. */
function wasWhole(bytes: Buffer, bad: number, end: number, badAt: number): boolean {
  // A line that follows is bad for its place in a batch only, and may be the first half of one.
  return looksLikeEntry(bytes, bad, end) && !follows(bytes, bad, end) && !hasHole(bytes.subarray(bad, end), badAt);
}

/** Whether a line follows the one that stands before it, whatever state that is in. */
function follows(bytes: Buffer, start: number, end: number): boolean {
  return hashAgreesAlone(bytes, start, end, claimBefore(bytes, start));
}

/** By its beginning or its end: not what another program has written into the file. */
function looksLikeEntry(bytes: Buffer, start: number, end: number): boolean {
  const hash = end - TRAILER_BYTES;
  return (
    differing(bytes.subarray(start, start + ENTRY_START.length), ENTRY_START) <= MAX_SMEAR_BYTES ||
    (hash > start && bytes.subarray(hash, hash + HASH_KEY.length).equals(HASH_KEY))
  );
}

/** Whether the last line, which has no end, has only lost it: what stands in its last bytes is nearly the hash of what is before them. */
function hadEnd(bytes: Buffer, start: number): boolean {
  const line = bytes.subarray(start, -1);
  const trailer = Buffer.from(trailerOf(expectedHash(claimBefore(bytes, start), line)));
  return differing(line.subarray(-TRAILER_BYTES), trailer) <= MAX_SMEAR_BYTES;
}

/** In how many places `found` is not `wanted`. */
function differing(found: Buffer, wanted: Buffer): number {
  let count = 0;
  for (let index = 0; index < wanted.length; index += 1) if (found[index] !== wanted[index]) count += 1;
  return count;
}

/** Whether zeros reach to the end of a sector: no entry has any. */
function hasHole(line: Buffer, offset: number): boolean {
  for (let border = SECTOR_BYTES - (offset % SECTOR_BYTES); border <= line.length; border += SECTOR_BYTES)
    if (line[border - 1] === 0) return true;
  return false;
}

/** Looks for valid lines from `bad` on, the index of the first line that does not follow. `synced`: the log has syncs, as far as is known before. */
function isVouchedFor(bytes: Buffer, bad: number, synced: boolean, seq: number): boolean {
  let hasSyncs = synced;
  let followed = false;
  let start = bad;
  // The first may be right in its chain, and bad only for its place in a batch: whoever wrote it had seen the end of the batch before.
  for (let end = bytes.indexOf(NEWLINE, start); end >= 0; start = end + 1, end = bytes.indexOf(NEWLINE, start)) {
    if (!follows(bytes, start, end)) continue;
    let sync: number | undefined;
    try {
      sync = envelopeOf(bytes.subarray(start, end)).sync;
    } catch {
      // Of a later format: it was written behind what is damaged all the same.
    }
    if (sync !== undefined && sync >= seq) return true;
    hasSyncs ||= sync !== undefined;
    followed = true;
  }
  return followed && !hasSyncs;
}

/**
 * Cuts a torn tail off, under the lock: what is cut is kept in `<id>.damaged`. Reads everything after `state` again, because
 * another process may have cut or written meanwhile. Returns the state of the log that is left, or the damage that forbids to cut.
 */
export function recover(
  fd: number,
  state: LogState | undefined,
  layout: Layout,
  folder: string,
  id: string,
  maxLineBytes: number,
): { readonly state: LogState } | { readonly damage: Damage } {
  const size = fstatSync(fd).size;
  const advanced = readNow(fd, advance(state, size));
  const damage = readNow(fd, judge(advanced, size, maxLineBytes));
  if (damage !== undefined || advanced.state === undefined) return { damage: damage ?? { seq: 0, offset: 0 } };
  const end = advanced.state.head.bytes;
  if (end < size) {
    const kept = openPrivate(layout.damaged(folder, id), constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
    try {
      copyTail(fd, end, size, kept);
    } finally {
      closeSync(kept);
    }
    ftruncateSync(fd, end);
  }
  return { state: advanced.state };
}

function copyTail(fd: number, from: number, to: number, target: number): void {
  const step = 1024 * 1024;
  for (let at = from; at < to; at += step) {
    const bytes = readNow(
      fd,
      (function* (): Reading<Buffer> {
        return yield { offset: at, length: Math.min(step, to - at) };
      })(),
    );
    writeAll(target, bytes, null);
  }
}

export function corrupt(layout: Layout, folder: string, id: string, { seq, offset }: Damage, more = ""): AixgoError {
  return new AixgoError(
    "ENTRY_CORRUPT",
    `session ${id}: the log ${layout.shownLog(folder, id)} is damaged at entry ${seq}, byte ${offset}${more}. Nothing was changed. Restore the file from a backup, or save what is whole: session.entries() yields it, session.fork({ at }) goes on from it`,
    { details: { session: id, seq, offset, file: layout.shownLog(folder, id) } },
  );
}
