import { constants, closeSync, fstatSync, ftruncateSync } from "node:fs";
import { AixgoError } from "@aixgo/core";
import { envelopeOf, expectedHash } from "@aixgo/session/backend";
import { openPrivate, writeAll } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { readNow, type Reading } from "./reading.ts";
import { advance, claimBefore, hashAgreesAlone, JOINT_BYTES, type Advanced, type LogState } from "./scan.ts";

/** No group is larger, single lines apart: damage that reaches over more cannot be one write that was cut off. */
const MAX_TORN_BYTES = 8 * 1024 * 1024;
/** How many lines behind the damage may be the first whole one: a damaged byte may have become a line end. */
const MAX_REPAIRS = 4;
const NEWLINE = 0x0a;
const ENTRY_START = Buffer.from('{"v":1,"seq":');

export interface Damage {
  /** The entry that is due where the damage begins. */
  readonly seq: number;
  readonly offset: number;
}

/**
 * What to think of a log's end that does not verify: undefined for a torn tail, which was never acknowledged or cannot be told
 * from one, else the damage.
 *
 * The first line of a group says in `sync` what was durable before it. So damage at seq k is no torn tail if a valid
 * line after it says `sync >= k`. In a log without syncs any valid line after the damage says so, because there
 * a process that died left nothing behind the place where it stopped. The header is made durable before it gets its name.
 */
export function* judge({ state, badAt }: Advanced, size: number, maxLineBytes: number): Reading<Damage | undefined> {
  if (state === undefined) return size === 0 ? undefined : { seq: 0, offset: 0 };
  if (badAt === undefined) return undefined;
  const at = state.head.bytes;
  const damage = { seq: state.head.seq + 1, offset: badAt };
  const tooLong = size - badAt > MAX_TORN_BYTES;
  const limit = tooLong ? badAt - at + Math.max(maxLineBytes, MAX_TORN_BYTES) + 1 : size - at;
  const bytes = yield { offset: at - JOINT_BYTES, length: JOINT_BYTES + limit };
  const bad = badAt - at + JOINT_BYTES;
  if (tooLong && bytes.indexOf(NEWLINE, bad) >= 0) return damage;
  return isVouchedFor(bytes, bad, state, damage.seq) ? damage : undefined;
}

/** Looks for valid lines after `bad`, the index of the first line that does not follow. */
function isVouchedFor(bytes: Buffer, bad: number, state: LogState, seq: number): boolean {
  const badEnd = bytes.indexOf(NEWLINE, bad);
  const badLine = bytes.subarray(bad, badEnd < 0 ? bytes.length : badEnd);
  let synced = state.sync !== undefined || badLine.includes(',"sync":');
  let followed = false;
  let tried = 0;
  for (const start of starts(bytes, bad)) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) break;
    const claim = claimBefore(bytes, start);
    const verified =
      (claim !== undefined && hashAgreesAlone(bytes, start, end, claim)) ||
      (tried++ < MAX_REPAIRS && followsRepaired(bytes, bad, start, end));
    if (!verified) continue;
    let sync: number | undefined;
    try {
      sync = envelopeOf(bytes.subarray(start, end)).sync;
    } catch {
      // Of a later format: it was written behind what is damaged all the same.
    }
    if (sync !== undefined && sync >= seq) return true;
    synced ||= sync !== undefined;
    followed = true;
  }
  return followed && !synced;
}

/** Whether a line follows what stands between it and `bad`, taken for one line of which only the claimed hash is damaged. */
function followsRepaired(bytes: Buffer, bad: number, start: number, end: number): boolean {
  const before = claimBefore(bytes, bad);
  return before !== undefined && start > bad && hashAgreesAlone(bytes, start, end, expectedHash(before, bytes.subarray(bad, start - 1)));
}

/** Where lines may begin: after each line end, and wherever bytes look like an entry's, since a line end may be what was damaged. */
function* starts(bytes: Buffer, from: number): Generator<number> {
  // A line whose chain is right is bad only for its place in a batch: whoever wrote it had seen the end of the batch before.
  yield from;
  let line = bytes.indexOf(NEWLINE, from);
  let entry = bytes.indexOf(ENTRY_START, from + 1);
  while (line >= 0 || entry >= 0) {
    const afterLine = line < 0 ? Infinity : line + 1;
    const next = Math.min(afterLine, entry < 0 ? Infinity : entry);
    if (next === afterLine) line = bytes.indexOf(NEWLINE, line + 1);
    if (next === entry) entry = bytes.indexOf(ENTRY_START, entry + 1);
    if (next < bytes.length) yield next;
  }
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
