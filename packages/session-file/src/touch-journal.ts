import { closeSync, constants, fstatSync, lstatSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { newToken } from "@aixgo/security";
import { Draft, openPrivate, removeFile } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { ownIdentity } from "./process-identity.ts";
import { readNow, type Reading } from "./reading.ts";
import { agentFolders } from "./session-index.ts";
import type { Stripes } from "./stripes.ts";

/** Name of the catalog's own lock. */
export const CATALOG_LOCK = "catalog";
const FILE = "journal";
/** How often a writer looks whether its journal still has its name, and how long a compactor waits for those who have not looked yet. */
const LOOK_EVERY_MS = 10;
const DRAIN_AFTER_MS = 100;
/** Lines of former files that wait for a reader; whoever is farther behind begins anew. */
const MAX_CARRIED = 50_000;

/**
 * First line of a journal. `base` says what it continues: nothing, because the store was empty; a snapshot of the same generation;
 * or it is not known, and the folders have to be read.
 */
interface Opening {
  readonly generation: string;
  readonly previous?: string;
  readonly base: "empty" | "snapshot" | "unknown";
  readonly boot: string;
}

/**
 * The appended, unsynced journal of what changed in the store; all processes write to one file and read each other's lines.
 *
 * Compaction puts a new file in its place. A writer cannot lose a line to it: a write that is complete within 10 ms of the
 * writer's last look at the file's name is read by the compactor, which comes back for what was written late; after any other
 * write it looks, and if the name is gone, writes the line again to the new file.
 */
export class TouchJournal {
  readonly #layout: Layout;
  readonly #stripes: Stripes;
  readonly #path: string;
  #fd: number | undefined;
  #offset = 0;
  #size = 0;
  #lookedAt = -Infinity;
  #opening: Opening | undefined;
  /** Somebody reads: lines are not passed over. */
  #following = false;
  #continuous = true;
  #carried: string[] = [];

  constructor(layout: Layout, stripes: Stripes) {
    this.#layout = layout;
    this.#stripes = stripes;
    this.#path = layout.own("catalog", FILE);
  }

  /** Makes the journal if there is none: by the first call on a store, so that an empty one is known to be empty. */
  async ensure(): Promise<void> {
    await this.#stripes.hold(CATALOG_LOCK, "opening the catalog", () => this.#make());
  }

  get opening(): Opening {
    this.#open();
    return this.#opening as Opening;
  }

  /** Whether lines may have been lost with a power cut. */
  get isOfOtherBoot(): boolean {
    return this.opening.boot !== ownIdentity().boot;
  }

  /** Appends a line and returns the journal's size as it was last looked at. */
  append(line: string): number {
    for (;;) {
      const fd = this.#open();
      const written = writeSync(fd, line);
      if (written < line.length) throw Object.assign(new Error("short write"), { code: "ENOSPC", syscall: "write" });
      const now = performance.now();
      if (now - this.#lookedAt <= LOOK_EVERY_MS) return this.#size;
      const { nlink, size } = fstatSync(fd);
      this.#lookedAt = now;
      this.#size = size;
      if (nlink > 0) return size;
      this.#turnOver();
    }
  }

  /** The whole lines that are new since `restart` or the last call. "lost": a generation began that does not continue what was read. */
  read(): string[] | "lost" {
    for (;;) {
      const fd = this.#open();
      const stat = lstatSync(this.#path, { throwIfNoEntry: false });
      const mine = fstatSync(fd);
      if (stat !== undefined && stat.ino === mine.ino && stat.dev === mine.dev) break;
      this.#turnOver();
    }
    const lines = this.#carried.concat(this.#drain(this.#open()));
    this.#carried = [];
    return this.#continuous ? lines : "lost";
  }

  /** Reads from the start of the journal that is there now; the generation that `opening` names then is the one that is read. */
  restart(): void {
    this.#forget();
    this.#open();
    this.#carried = [];
    this.#continuous = true;
    this.#following = true;
  }

  /** Nobody reads any more, and nothing is kept for it. Who reads again begins with `restart`. */
  leave(): void {
    this.#following = false;
    this.#continuous = false;
    this.#carried = [];
  }

  /** What has been written so far need not be read: it comes from the store itself. */
  skipToEnd(): void {
    this.#drain(this.#open());
  }

  /**
   * Begins a new generation and hands over what the old one still held. What writers that have not noticed put there is
   * copied into the new one, where all read it. Undefined: another process is doing it, or has done it.
   */
  async rotate(take: (lines: readonly string[]) => void): Promise<string | undefined> {
    const former = this.#turn(take);
    if (former === undefined) return undefined;
    try {
      await sleep(DRAIN_AFTER_MS);
      for (const line of former.drain()) this.append(`${line}\n`);
      return former.generation;
    } finally {
      closeSync(former.fd);
    }
  }

  #turn(take: (lines: readonly string[]) => void): { fd: number; generation: string; drain: () => string[] } | undefined {
    const held = this.#stripes.tryHold(CATALOG_LOCK, () => {
      const fd = this.#open();
      if (fstatSync(fd).nlink === 0) return undefined;
      const generation = newToken();
      const previous = (this.#opening as Opening).generation;
      const draft = new Draft(this.#layout.part("drafts"));
      try {
        draft.write(openingLine({ generation, previous, base: "snapshot", boot: ownIdentity().boot }), 0);
        draft.publish(this.#path);
      } finally {
        draft.discard();
      }
      take(this.#carried.concat(this.#drain(fd)));
      this.#carried = [];
      const offset = this.#offset;
      this.#fd = undefined;
      this.#open();
      return { fd, generation, drain: () => wholeLines(fd, offset).lines };
    });
    return held?.value;
  }

  /** After a line could not be written: every process then begins anew, from the store itself. */
  invalidate(): void {
    removeFile(this.#path);
    this.#forget();
    this.#continuous = false;
  }

  close(): void {
    this.#forget();
  }

  /** Goes over to the file that has the name now, without leaving a line of the former one unread. */
  #turnOver(): void {
    const former = this.#opening as Opening;
    if (this.#following) this.#carried = this.#carried.concat(this.#drain(this.#open()));
    this.#forget();
    this.#open();
    const { base, previous } = this.#opening as Opening;
    if (base !== "snapshot" || previous !== former.generation) this.#continuous = false;
    if (this.#carried.length > MAX_CARRIED) this.leave();
  }

  #forget(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#lookedAt = -Infinity;
  }

  #open(): number {
    if (this.#fd !== undefined) return this.#fd;
    for (;;) {
      const found = lstatSync(this.#path, { throwIfNoEntry: false });
      if (found === undefined) this.#make();
      const fd = openPrivate(this.#path, constants.O_RDWR | constants.O_APPEND);
      const first = readNow(fd, firstLine());
      const opening = parseOpening(first);
      if (opening === undefined) {
        closeSync(fd);
        removeFile(this.#path);
        continue;
      }
      this.#fd = fd;
      this.#opening = opening;
      this.#offset = first.length;
      return fd;
    }
  }

  #make(): void {
    if (lstatSync(this.#path, { throwIfNoEntry: false }) !== undefined) return;
    const draft = new Draft(this.#layout.part("drafts"));
    try {
      const base = agentFolders(this.#layout).length === 0 ? "empty" : "unknown";
      draft.write(openingLine({ generation: newToken(), base, boot: ownIdentity().boot }), 0);
      draft.publish(this.#path);
    } finally {
      draft.discard();
    }
  }

  #drain(fd: number): string[] {
    const { lines, end } = wholeLines(fd, this.#offset);
    this.#offset = end;
    return lines;
  }
}

/** The whole lines of a file from an offset on. */
function wholeLines(fd: number, from: number): { lines: string[]; end: number } {
  const { size } = fstatSync(fd);
  if (size <= from) return { lines: [], end: from };
  const bytes = readNow(
    fd,
    (function* (): Reading<Buffer> {
      return yield { offset: from, length: size - from };
    })(),
  );
  const end = bytes.lastIndexOf(0x0a) + 1;
  return { lines: end === 0 ? [] : bytes.toString("utf8", 0, end - 1).split("\n"), end: from + end };
}

function openingLine(opening: Opening): Buffer {
  return Buffer.from(`${JSON.stringify(opening)}\n`);
}

function* firstLine(): Reading<Buffer> {
  const bytes = yield { offset: 0, length: 4096 };
  return bytes.subarray(0, bytes.indexOf(0x0a) + 1);
}

function parseOpening(line: Buffer): Opening | undefined {
  try {
    const opening = JSON.parse(line.toString("utf8")) as Opening;
    return typeof opening.generation === "string" && ["empty", "snapshot", "unknown"].includes(opening.base) ? opening : undefined;
  } catch {
    return undefined;
  }
}
