import { fstatSync, ftruncateSync, writeSync } from "node:fs";
import { AixgoError } from "@aixgo/core";
import type { Append, Appended, Envelope, Head, HeadOptions, Position, Ref } from "@aixgo/session/backend";
import type { Catalog } from "./catalog.ts";
import { DroppedTails } from "./dropped-tails.ts";
import { syncData } from "./durable.ts";
import { codeOf, storeError } from "./fs-errors.ts";
import type { Layout } from "./layout.ts";
import { completeHead, holds, isLive, taken, type LeaseRecord } from "./lease.ts";
import { offsetOf } from "./offsets.ts";
import type { OpenLog } from "./open-log.ts";
import type { OpenLogs } from "./open-logs.ts";
import { readLater, SYNC_BYTES, type Reading } from "./reading.ts";
import { follow, followBuilt, JOINT_BYTES, jointOf, type LogState } from "./scan.ts";
import type { Stripes } from "./stripes.ts";
import { writeWrapped } from "./wrapped-keys.ts";

const MAX_ATTEMPTS = 100;
const NEWLINE = 0x0a;

/** Access to logs that are up to date with what all processes wrote. */
export interface Journal {
  /** For reading: `body` sees the log as it is now. */
  withLog<T>(id: string, body: (log: OpenLog) => T | Promise<T>): Promise<T>;
  /** For writing: `body` runs inside the session's lock, on this incarnation, with a torn tail cut off. */
  withLock<T>(ref: Ref, doing: string, body: (log: OpenLog) => T, options?: LockOptions<T>): Promise<T>;
  /** Makes durable what the log holds now, by whoever it was written: before it is called done. */
  confirm(ref: Ref, doing: string): Promise<void>;
  head(id: string, options?: HeadOptions): Promise<Head>;
  append(ref: Ref, request: Append): Promise<Appended>;
  /** A conflict as callers see it, with the lines since `expect` within bounds. */
  conflict(log: OpenLog, head: Head, expect: Position): Promise<Appended>;
}

export interface LockOptions<T> {
  /** Runs before the lock is taken: work that need not be done inside. */
  readonly ahead?: (log: OpenLog) => void;
  /** Runs after the unlock, and ends before this process writes to the session again. Undefined: there is nothing to wait for. */
  readonly finish?: (log: OpenLog, value: T) => Promise<void> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For `body` the log need not be whole; its tail is left as it is. */
  readonly evenDamaged?: boolean;
}

interface LeaseChange {
  readonly former: LeaseRecord | undefined;
  /** Undefined: the append does not change the lease. */
  readonly next: LeaseRecord | undefined;
}

interface Store {
  readonly layout: Layout;
  readonly stripes: Stripes;
  readonly logs: OpenLogs;
  readonly catalog: Catalog;
  readonly durable: boolean;
  readonly maxLineBytes: number;
}

export function createJournal({ layout, stripes, logs, catalog, durable, maxLineBytes }: Store): Journal {
  const limits = { maxLineBytes };
  const dropped = new DroppedTails();

  /** Runs `look` until it has a value: every other answer means that the log has moved on, and how to follow it. */
  async function settle<T>(
    id: string,
    look: (log: OpenLog, isJustOpened: boolean) => Promise<{ value: T } | "behind" | "replaced">,
  ): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const outcome = await logs.use(id, async (log, isJustOpened) => {
        // A damaged log may have been restored meanwhile: it is opened anew for every call.
        const looked = log.damage !== undefined && attempt === 0 ? "replaced" : await look(log, isJustOpened);
        if (looked === "behind") await log.catchUp();
        if (looked === "replaced") logs.drop(log);
        return looked;
      });
      if (typeof outcome === "object") return outcome.value;
    }
    throw new AixgoError("STORE_BUSY", `session ${id}: its log changes faster than it can be read; nothing was written`);
  }

  const withLog: Journal["withLog"] = (id, body) =>
    settle(id, async (log, isJustOpened) => {
      const fresh = isJustOpened ? "current" : log.refresh(undefined);
      return fresh === "current" ? { value: await body(log) } : fresh;
    });

  /** Inside the lock: brings the log up to date, then runs the body. */
  function inside<T>(log: OpenLog, ref: Ref, body: (log: OpenLog) => T, options: LockOptions<T>): { value: T } | "behind" | "replaced" {
    const fresh = log.refresh(options.evenDamaged === true ? undefined : limits);
    if (fresh !== "current") return fresh;
    assertIncarnation(log, ref);
    return { value: body(log) };
  }

  /** The usual case costs no turn of the event loop: the log is open, nobody of this process writes to it, and the lock is free. */
  function atOnce<T>(ref: Ref, body: (log: OpenLog) => T, options: LockOptions<T>): { value: T; log: OpenLog } | undefined {
    const log = logs.cached(ref.id);
    if (log === undefined || !log.isIdle || log.damage !== undefined || log.distrusted) return undefined;
    options.ahead?.(log);
    const held = stripes.tryHold(log.stripe, () => inside(log, ref, body, options));
    return held !== undefined && typeof held.value === "object" ? { value: held.value.value, log } : undefined;
  }

  const withLock: Journal["withLock"] = async (ref, doing, body, options = {}) => {
    const done = atOnce(ref, body, options);
    if (done !== undefined) {
      const { log, value } = done;
      const { finish } = options;
      const finished = finish?.(log, value);
      if (finished === undefined) {
        if (log.distrusted) logs.drop(log);
        return value;
      }
      log.users++;
      const leave = log.enter();
      try {
        await finished;
      } finally {
        leave();
        logs.release(log);
      }
      return value;
    }
    return settle(ref.id, (log) =>
      log.serial(async () => {
        if (log.damage !== undefined && options.evenDamaged !== true) throw log.damage;
        if (log.distrusted || log.closed) return "replaced";
        options.ahead?.(log);
        const held = await stripes.hold(log.stripe, doing, () => inside(log, ref, body, options), options.signal);
        if (typeof held === "object") await options.finish?.(log, held.value);
        return held;
      }),
    );
  };

  async function head(id: string, { evenDamaged = false }: HeadOptions = {}): Promise<Head> {
    return withLog(id, async (log) => {
      const { damage } = log;
      if (damage !== undefined && !evenDamaged) throw damage;
      let record = log.readLease();
      // Half of a record that is being written: the whole one is there as soon as its writer has left the lock.
      if (record === "torn") record = await stripes.hold(log.stripe, `reading session ${id}`, () => log.readLease());
      const whole = completeHead(log.state.head, record === "torn" ? undefined : record, log.keys);
      return damage === undefined ? whole : { ...whole, damage: { seq: whole.seq + 1, message: damage.message } };
    });
  }

  async function append(ref: Ref, request: Append): Promise<Appended> {
    const doing = `append to session ${ref.id}`;
    const joined = join(request, doing, maxLineBytes);
    let prepared: Prepared | undefined;
    let before: OpenLog["state"] | undefined;
    const finish = (log: OpenLog, { head, conflict }: Written): Promise<void> | undefined => {
      if (conflict) return undefined;
      const synced = durable ? sync(log, doing) : undefined;
      // While the disk works.
      catalog.touch(head, before?.head);
      return synced;
    };
    const written = await withLock(
      ref,
      doing,
      (log): Written => {
        if (request.signal?.aborted === true) throw new AixgoError("CANCELLED", `${doing} was cancelled; nothing was written`);
        const { state } = log;
        const record = leaseUnderLock(log);
        const shown = (): Head => completeHead(log.state.head, record, log.keys);
        if (request.expect.seq !== state.head.seq || request.expect.hash !== state.head.hash) return { head: shown(), conflict: true };
        if (request.lease !== undefined && !holds(record, request.lease)) throw fenced(ref.id, request.lease.fence);
        const fence = Math.max(state.head.fence, record?.fence ?? 0);
        if (request.acquire !== undefined && (isLive(record) || request.acquire.fence !== fence + 1))
          return { head: shown(), conflict: true };
        if (prepared?.on !== state) prepared = prepare(state, request.lines, joined, doing);
        before = state;
        if (dropped.has(log.id)) dropped.writeAgain(log);
        write(log, joined, prepared, { former: record, next: nextLease(request, record, ref) }, request.keys, doing);
        return { head: completeHead(log.state.head, log.leaseSeen?.record, log.keys), conflict: false };
      },
      {
        signal: request.signal,
        finish,
        ahead({ state }) {
          const { seq, hash } = request.expect;
          if (prepared?.on !== state && state.head.seq === seq && state.head.hash === hash)
            prepared = prepare(state, request.lines, joined, doing);
        },
      },
    );
    if (!written.conflict) return { head: written.head };
    const answer = await logs.use(ref.id, (log) => conflict(log, written.head, request.expect));
    // The same append, sent again: what it wrote may have been read, but not synced, by whoever sent it before.
    if (mayHold(answer, joined, request)) await confirm(ref, doing);
    return answer;
  }

  /**
   * Lines and lease, all or nothing: whatever fails, the log is cut back to where it was.
   *
   * A lease is taken before the lines of its turn and released after them. So whoever sees the lines of a turn, without the
   * lock, sees its lease as well; the other order would show, for a moment, a turn that nobody seems to run.
   */
  function write(
    log: OpenLog,
    joined: Buffer,
    { next, marks }: Prepared,
    lease: LeaseChange,
    keys: Uint8Array | undefined,
    doing: string,
  ): void {
    const isTaken = lease.next !== undefined && lease.next.released === undefined;
    const end = log.state.head.bytes;
    const length = joined.length - JOINT_BYTES;
    const formerKeys = log.keys;
    try {
      if (lease.next !== undefined) log.lease.prepare();
      if (keys !== undefined) writeWrapped(layout, log.id, keys, durable);
      if (isTaken) log.writeLease(lease.next);
      const count = writeSync(log.fd, joined, JOINT_BYTES, length, end);
      if (count !== length) throw Object.assign(new Error("short write"), { code: "ENOSPC", syscall: "write" });
      if (lease.next !== undefined && !isTaken) log.writeLease(lease.next);
    } catch (error) {
      try {
        if (fstatSync(log.fd).size > end) ftruncateSync(log.fd, end);
        // Without a former record this one stands as released: its fence is not used again.
        if (isTaken) log.writeLease(lease.former ?? { ...lease.next, released: true });
        if (keys !== undefined) writeWrapped(layout, log.id, formerKeys, durable);
      } catch (cause) {
        log.distrusted = true;
        throw new AixgoError(
          "OUTCOME_UNKNOWN",
          `${doing}: the write failed (${codeOf(error) ?? "unknown reason"}), and so did taking it back. Send the same append again`,
          { cause },
        );
      }
      throw storeError(error, doing);
    }
    if (keys !== undefined) log.keys = keys;
    log.wrote(next);
    for (const entry of marks) log.marks.seen(entry);
  }

  function sync(log: OpenLog, doing: string): Promise<void> {
    const { bytes } = log.state.head;
    const synced = (): void => {
      log.syncedTo = Math.max(log.syncedTo, bytes);
      dropped.delete(log.id);
    };
    const failed = (error: unknown): AixgoError => {
      // The kernel will not report it again: what is on the disk must be read and written anew, not remembered.
      log.distrusted = true;
      dropped.add(log.id);
      return new AixgoError(
        "OUTCOME_UNKNOWN",
        `${doing}: the disk did not confirm the write (${codeOf(error) ?? "unknown reason"}). Send the same append again`,
        { cause: storeError(error, doing) },
      );
    };
    return syncData(log.fd, synced, failed);
  }

  async function confirm(ref: Ref, doing: string): Promise<void> {
    if (!durable) return;
    const known = logs.cached(ref.id);
    if (known !== undefined && !dropped.has(ref.id) && known.refresh(undefined) === "current" && known.syncedTo >= known.state.head.bytes)
      return;
    await withLock(
      ref,
      doing,
      (log) => {
        if (dropped.has(log.id)) dropped.writeAgain(log);
      },
      { finish: (log) => sync(log, doing) },
    );
  }

  async function conflict(log: OpenLog, head: Head, expect: Position): Promise<Appended> {
    // The lines of an append-only file do not change. A log that was replaced meanwhile does not hold the expected place; one that was
    // damaged is whole no longer up to the head.
    const since = log.state.head.seq >= head.seq ? await readLater(log.fd, linesSince(head, expect)).catch(() => undefined) : undefined;
    return since === undefined ? { conflict: head } : { conflict: head, since };
  }

  return { withLog, withLock, confirm, head, append, conflict };
}

interface Written {
  readonly head: Head;
  /** The head is not the expected one: nothing was written. */
  readonly conflict: boolean;
}

interface Prepared {
  readonly on: LogState;
  readonly next: LogState;
  readonly marks: readonly Envelope[];
}

/** The lines in one buffer, behind the bytes that stand before them in the file: so the chain is verified without a copy, and written by one call. */
function join(request: Append, doing: string, maxLineBytes: number): Buffer {
  if (request.lines.length === 0) throw new AixgoError("INVALID_INPUT", `${doing}: there is no line to append`);
  let length = JOINT_BYTES;
  for (const line of request.lines) {
    assertLine(line, doing, maxLineBytes);
    length += line.length + 1;
  }
  const joined = Buffer.allocUnsafe(length);
  // A hash of another length is nobody's: the comparison with the head says so before these bytes are looked at.
  joined.write(jointOf(request.expect.hash), 0, JOINT_BYTES, "latin1");
  let at = JOINT_BYTES;
  for (const line of request.lines) {
    joined.set(line, at);
    at += line.length;
    joined[at++] = NEWLINE;
  }
  return joined;
}

export function assertLine(line: Uint8Array, doing: string, maxLineBytes: number): void {
  if (line.length > maxLineBytes) {
    throw new AixgoError(
      "LIMIT_EXCEEDED",
      `${doing}: a line of ${line.length} bytes is longer than the ${maxLineBytes} that this store takes; nothing was written`,
      {
        details: { bytes: line.length, maxLineBytes },
      },
    );
  }
  if (line.indexOf(NEWLINE) >= 0) throw new AixgoError("INVALID_INPUT", `${doing}: a line holds a line end; nothing was written`);
}

/** Whether a log that has moved on may hold the first of these lines, in its place. */
function mayHold(answer: Appended, joined: Buffer, { expect, lines }: Append): boolean {
  if (!("conflict" in answer) || answer.conflict.seq <= expect.seq) return false;
  const { since } = answer;
  const { length } = lines[0] as Uint8Array;
  return since === undefined || joined.compare(since, 0, Math.min(length, since.length), JOINT_BYTES, JOINT_BYTES + length) === 0;
}

/** A log that accepted a line which does not follow could never be read again. */
function prepare(state: LogState, lines: readonly Uint8Array[], joined: Buffer, doing: string): Prepared {
  const marks: Envelope[] = [];
  const own = followBuilt(state, lines, (entry) => marks.push(entry));
  if (own !== undefined) return { on: state, next: own, marks };
  // As far as whole batches follow: never less than what was there.
  const next = follow(state, joined, JOINT_BYTES, (entry) => marks.push(entry)).state as LogState;
  if (next.head.bytes !== state.head.bytes + joined.length - JOINT_BYTES) {
    throw new AixgoError(
      "ENTRY_CORRUPT",
      `${doing}: the lines do not follow entry ${state.head.seq} of the log, or end inside a batch; nothing was written`,
      {
        details: { session: state.head.id, seq: state.head.seq + 1 },
      },
    );
  }
  return { on: state, next, marks };
}

function nextLease(request: Append, record: LeaseRecord | undefined, ref: Ref): LeaseRecord | undefined {
  if (request.acquire !== undefined) return taken(ref.incarnation, request.acquire);
  if (request.lease !== undefined && request.release === true && record !== undefined) return { ...record, released: true };
  return undefined;
}

/** Inside the lock nobody is writing: a record that is not whole was left by a power cut, which voids it anyway. */
export function leaseUnderLock(log: OpenLog): LeaseRecord | undefined {
  const record = log.readLease();
  return record === "torn" ? undefined : record;
}

/** The lines after `expect`: undefined if it is not in this log, or if they are more than is sent along. */
function* linesSince(head: Head, expect: Position): Reading<Uint8Array | undefined> {
  if (expect.seq < 0 || expect.seq > head.seq) return undefined;
  const start = yield* offsetOf(head, expect.seq + 1);
  const length = head.bytes - start;
  if (length > SYNC_BYTES) return undefined;
  const bytes = yield { offset: start - JOINT_BYTES, length: length + JOINT_BYTES };
  if (bytes.length !== length + JOINT_BYTES || bytes.toString("latin1", 0, JOINT_BYTES) !== jointOf(expect.hash)) return undefined;
  return bytes.subarray(JOINT_BYTES);
}

export function assertIncarnation(log: OpenLog, ref: Ref): void {
  if (log.state.head.incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
}

export function incarnationChanged(id: string): AixgoError {
  return new AixgoError(
    "INCARNATION_CHANGED",
    `session ${id} was rewritten or made anew: this reference is to an earlier life of it. Open it again`,
    { details: { session: id } },
  );
}

export function fenced(id: string, fence: number): AixgoError {
  return new AixgoError("FENCED", `session ${id}: lease ${fence} is no longer held; nothing was written`, {
    details: { session: id, fence },
  });
}
