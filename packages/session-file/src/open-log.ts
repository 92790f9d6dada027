import { closeSync, constants, fstatSync, lstatSync, readSync, type Stats } from "node:fs";
import type { AixgoError } from "@aixgo/core";
import { openPrivate } from "./durable.ts";
import { assertPrivate, folderOf, type Layout } from "./layout.ts";
import { EntryMarks } from "./entry-marks.ts";
import { LeaseFile, type LeaseRecord } from "./lease.ts";
import { PAGE_BYTES, readLater, readNow, SYNC_BYTES } from "./reading.ts";
import { corrupt, judge, recover } from "./recovery.ts";
import { advance, JOINT_BYTES, jointOf, type LogState } from "./scan.ts";
import { readSidecar, SIDECAR_EVERY_BYTES, writeSidecar } from "./sidecar.ts";
import type { Stripes } from "./stripes.ts";
import { readWrapped } from "./wrapped-keys.ts";

/** What the log's path holds now, compared with what is open. `behind`: more was appended than is read synchronously. */
export type Freshness = "current" | "behind" | "replaced";

const JOINT = Buffer.allocUnsafe(JOINT_BYTES);

/** One log with its descriptor and what is known of it. Made by `openLog`; closed by whoever keeps it. */
export class OpenLog {
  readonly id: string;
  readonly folder: string;
  readonly path: string;
  readonly stripe: string;
  readonly fd: number;
  readonly lease: LeaseFile;
  readonly #layout: Layout;
  readonly #ino: number;
  readonly #dev: number;
  /** Calls that use the descriptor now: it is not closed while there are any. */
  users = 0;
  closed = false;
  /** A failed sync or write: the descriptor is not used again. */
  distrusted = false;
  /** This process has synced the log up to this byte; -1: not at all. */
  syncedTo = -1;
  state: LogState;
  keys: Uint8Array | undefined;
  /** Why the log can be read only up to `state`. */
  damage: AixgoError | undefined;
  /** Size of the file when its tail was last found to be unfinished. */
  tornSize = -1;
  /** The lease record as this process last saw it; undefined: it has to be read. */
  leaseSeen: { readonly record: LeaseRecord | undefined } | undefined;
  readonly marks: EntryMarks = new EntryMarks();
  #sidecarAt: number;
  #last: Promise<void> | undefined;
  #whole: Buffer | undefined;

  constructor(
    layout: Layout,
    stripes: Stripes,
    id: string,
    folder: string,
    file: { readonly fd: number; readonly stat: Pick<Stats, "ino" | "dev"> },
    state: LogState,
    beside: { readonly sidecarAt: number; readonly keys: Uint8Array | undefined },
  ) {
    this.#layout = layout;
    this.id = id;
    this.folder = folder;
    this.fd = file.fd;
    this.path = layout.log(folder, id);
    this.stripe = stripes.of(id);
    this.lease = new LeaseFile(layout, id);
    this.#ino = file.stat.ino;
    this.#dev = file.stat.dev;
    this.state = state;
    this.#sidecarAt = beside.sidecarAt;
    this.keys = beside.keys;
  }

  /** Looks at the file and, if it has grown by no more than is read synchronously, reads on. Inside the lock a torn tail is cut; outside it is left alone. */
  refresh(locked: { readonly maxLineBytes: number } | undefined): Freshness {
    const stat = lstatSync(this.path, { throwIfNoEntry: false });
    const known = this.state.head.bytes;
    if (stat === undefined || stat.ino !== this.#ino || stat.dev !== this.#dev || !this.#endsAsKnown(known)) return "replaced";
    if (stat.size === known) return "current";
    const isSeen = stat.size === this.tornSize;
    const isLong = stat.size - known > SYNC_BYTES;
    if (isLong && !isSeen) return "behind";
    // A short tail is read again: it may have been cut, and lines that are as long written in its place. Damage is opened anew anyway.
    if (isSeen && locked === undefined && (isLong || this.damage !== undefined)) return "current";
    const advanced = readNow(this.fd, advance(this.state, stat.size, this.marks.seen));
    this.#advanceTo(advanced.state as LogState);
    if (this.state.head.bytes === stat.size) return "current";
    if (locked === undefined) {
      // Perhaps another process is writing just now; whether it is damage is judged with the lock held.
      if (advanced.badAt !== undefined) return "replaced";
      this.tornSize = stat.size;
      return "current";
    }
    const left = recover(this.fd, this.state, this.#layout, this.folder, this.id, locked.maxLineBytes);
    if ("damage" in left) throw corrupt(this.#layout, this.folder, this.id, left.damage);
    this.#advanceTo(left.state);
    this.tornSize = -1;
    return "current";
  }

  /** The same for any growth, outside the lock. */
  async catchUp(): Promise<void> {
    const { size } = fstatSync(this.fd);
    const before = this.state;
    const advanced = await readLater(this.fd, advance(before, size, undefined));
    if (this.state === before) {
      this.marks.forget();
      this.#advanceTo(advanced.state as LogState);
    }
    if (this.state.head.bytes < size) this.tornSize = size;
  }

  /** The whole of a short log, as it was just read and verified. It is kept for this turn of the event loop: who opens a session mostly reads it next. */
  keepWhole(bytes: Buffer): void {
    this.#whole = bytes;
    setImmediate(() => (this.#whole = undefined));
  }

  /** All bytes of the log up to `end`, if they were read and verified in this turn of the event loop. */
  wholeUpTo(end: number): Buffer | undefined {
    return this.#whole?.length === end ? this.#whole : undefined;
  }

  /** Lines were written, and verified before. */
  wrote(state: LogState): void {
    this.state = state;
    this.tornSize = -1;
    if (state.head.bytes - this.#sidecarAt >= SIDECAR_EVERY_BYTES) this.saveSidecar();
  }

  saveSidecar(): void {
    if (this.damage !== undefined || this.state.head.bytes === this.#sidecarAt) return;
    this.#sidecarAt = this.state.head.bytes;
    writeSidecar(this.#layout, this.id, this.state);
  }

  /** For a log whose opening would take long without: below a page, reading it is as quick as reading a sidecar. */
  saveSidecarIfLong(): void {
    if (this.state.head.bytes > PAGE_BYTES) this.saveSidecar();
  }

  /** Runs bodies one after another: one group at a time, its sync included, so that a failed sync is never followed by one that seems to succeed. */
  async serial<T>(body: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const leave = this.enter();
    try {
      await before;
      return await body();
    } finally {
      leave();
    }
  }

  /** For work that has begun on an idle log: what comes next waits until the function that this returns is called. */
  enter(): () => void {
    let done: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => (done = resolve));
    this.#last = mine;
    return () => {
      if (this.#last === mine) this.#last = undefined;
      done();
    };
  }

  /** Whether a body would begin at once. */
  get isIdle(): boolean {
    return this.#last === undefined;
  }

  /** The lease record. Only an append can take or release a lease, so without new lines an absent one is still absent. */
  readLease(): LeaseRecord | "torn" | undefined {
    const seen = this.leaseSeen;
    if (seen !== undefined && (seen.record === undefined || seen.record.released === true)) return seen.record;
    const record = this.lease.read(this.state.head.incarnation);
    if (record !== "torn") this.leaseSeen = { record };
    return record;
  }

  writeLease(record: LeaseRecord): void {
    this.leaseSeen = undefined;
    this.lease.write(record);
    this.leaseSeen = { record };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.fd);
    this.lease.close();
  }

  #advanceTo(state: LogState): void {
    if (state === this.state) return;
    this.state = state;
    this.tornSize = -1;
    // Leases and keys change only together with lines.
    this.leaseSeen = undefined;
    this.keys = readWrapped(this.#layout, this.id);
    if (state.head.bytes - this.#sidecarAt >= SIDECAR_EVERY_BYTES) this.saveSidecar();
  }

  /** A file that was cut ends before; one that was filled again by someone else has another end here. */
  #endsAsKnown(known: number): boolean {
    return (
      readSync(this.fd, JOINT, 0, JOINT_BYTES, known - JOINT_BYTES) === JOINT_BYTES &&
      JOINT.toString("latin1", 0, JOINT_BYTES) === jointOf(this.state.head.hash)
    );
  }
}

/** Opens a log and reads it to its end, from its sidecar on where there is one. Undefined: the file is missing or empty, as an unfinished create leaves it. */
export async function openLog(
  layout: Layout,
  stripes: Stripes,
  id: string,
  folder: string,
  maxLineBytes: number,
): Promise<OpenLog | undefined> {
  const path = layout.log(folder, id);
  const assertLog = (stat: Stats): void => {
    assertPrivate(lstatSync(layout.agentFolder(folder)), "folder", `${layout.shown}/${folder}`);
    assertPrivate(stat, "file", `${layout.shown}/${layout.shownLog(folder, id)}`);
  };
  let fd: number;
  try {
    // Mostly it is there and a plain file: it is looked at through its descriptor.
    fd = openPrivate(path, constants.O_RDWR);
  } catch (error) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    assertLog(stat);
    throw error;
  }
  try {
    const opened = fstatSync(fd);
    assertLog(opened);
    let { size } = opened;
    if (size === 0) {
      closeSync(fd);
      return undefined;
    }
    // A short log has none worth looking for.
    const remembered = size > PAGE_BYTES ? await readLater(fd, readSidecar(layout, id, size)) : undefined;
    let read: Buffer | undefined;
    const advanced = await readLater(fd, advance(remembered, size), (bytes) => (read = bytes));
    let state = advanced.state;
    let damage = await readLater(fd, judge(advanced, size, maxLineBytes));
    if (damage !== undefined) {
      // Another process may have been writing: the last look is taken with the lock held.
      const known = state;
      const again = await stripes.hold(stripes.of(id), `reading session ${id}`, () => {
        const now = fstatSync(fd).size;
        const next = readNow(fd, advance(known, now));
        return { size: now, state: next.state, damage: readNow(fd, judge(next, now, maxLineBytes)) };
      });
      ({ size, state, damage } = again);
      // Read at the first look, which may have met anything.
      read = undefined;
    }
    if (state === undefined) throw corrupt(layout, folder, id, damage ?? { seq: 0, offset: 0 });
    if (state.head.id !== id || folderOf(state.head.info.agentName) !== folder)
      throw corrupt(layout, folder, id, { seq: 0, offset: 0 }, ": its header names another session or agent");
    const beside = { sidecarAt: remembered?.head.bytes ?? 0, keys: readWrapped(layout, id) };
    const log = new OpenLog(layout, stripes, id, folder, { fd, stat: opened }, state, beside);
    if (damage !== undefined) log.damage = corrupt(layout, folder, id, damage);
    if (read?.length === state.head.bytes) log.keepWhole(read);
    // What has been written since then is not known to be unfinished.
    if (state.head.bytes < size) log.tornSize = size;
    if (state.head.bytes - (remembered?.head.bytes ?? 0) >= SIDECAR_EVERY_BYTES) log.saveSidecar();
    return log;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
