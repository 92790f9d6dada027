import { AixgoError, type Json, type Message } from "@aixgo/core";
import { asBuffer, claimedHash, endsWithHash, expectedHash, hashBehind } from "./chain.ts";
import { type Entry, isSide } from "./entry.ts";
import { entryOf } from "./envelope.ts";
import { decodeMessage } from "./message-data.ts";

const NEWLINE = 0x0a;
/** Larger pages hold one long line. */
const MAX_DECODED_BYTES = 64 * 1024;

export interface PathMessage {
  readonly seq: number;
  /** Of the entry; the message may have an id of its caller's. */
  readonly entryId: string;
  /** Seq of the first start of its turn; absent outside turns. */
  readonly turn: number | undefined;
  readonly message: Message;
}

/** The part of a log that is in memory: the entries from `low` to `high`, without gaps, every line verified against the one before. */
export class Tree {
  readonly #session: string;
  /** Parsed when first asked for: lines that were only written are kept as bytes. */
  #slots: (Entry | Buffer)[] = [];
  #low = 0;
  #topHash = "";
  /** Hash of the line under `low`. */
  #lowPrevious = "";
  #bytes = 0;
  readonly #messages = new Map<number, PathMessage>();
  #path: { readonly headSeq: number; readonly messages: readonly PathMessage[] } | undefined;

  constructor(session: string) {
    this.#session = session;
  }

  get isEmpty(): boolean {
    return this.#slots.length === 0;
  }
  get low(): number {
    return this.#low;
  }
  /** -1 when empty. */
  get high(): number {
    return this.#low + this.#slots.length - 1;
  }
  get topHash(): string {
    return this.#topHash;
  }
  /** Bytes of the lines that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  clear(): void {
    this.#slots = [];
    this.#low = 0;
    this.#topHash = "";
    this.#bytes = 0;
    this.#messages.clear();
    this.#path = undefined;
  }

  entry(seq: number): Entry {
    const slot = this.#slots[seq - this.#low];
    if (slot === undefined) throw new AixgoError("ENTRY_NOT_FOUND", `session ${this.#session} has no entry ${seq}`);
    if (!Buffer.isBuffer(slot)) return slot;
    const entry = entryOf(slot);
    this.#slots[seq - this.#low] = entry;
    return entry;
  }

  /** Adds a line that this process built on the top: nothing to verify. */
  pushOwn(seq: number, line: Buffer, hash: string): void {
    if (this.isEmpty || seq !== this.high + 1) return;
    this.#slots.push(line);
    this.#topHash = hash;
    this.#bytes += line.length + 1;
  }

  /** Adds verified entries on top; those already there are passed over. */
  pushAll(entries: readonly Verified[]): void {
    for (const { entry, bytes, previous } of entries) {
      if (this.isEmpty) {
        this.#low = entry.seq;
        this.#lowPrevious = previous;
      } else if (entry.seq !== this.high + 1) continue;
      this.#slots.push(entry);
      this.#topHash = entry.hash;
      this.#bytes += bytes;
    }
  }

  /** Adds verified entries below. They must end right under `low`. */
  unshiftAll(entries: readonly Verified[]): void {
    const last = entries.at(-1);
    if (last === undefined || last.entry.seq !== this.#low - 1) return;
    if (last.entry.hash !== this.#lowPrevious) {
      throw new AixgoError("ENTRY_CORRUPT", `entry ${this.#low} of session ${this.#session} does not follow from the one before it`, {
        details: { session: this.#session, seq: this.#low },
      });
    }
    this.#lowPrevious = (entries[0] as Verified).previous;
    this.#slots = [...entries.map((each) => each.entry), ...this.#slots];
    this.#low = (entries[0] as Verified).entry.seq;
    for (const each of entries) this.#bytes += each.bytes;
  }

  /**
   * Visits the path from `from` towards the root until `visit` returns false.
   * Returns the seq that is needed next if it lies below what is held, else undefined.
   */
  walk(from: number, visit: (entry: Entry) => boolean | void): number | undefined {
    let seq = from;
    while (seq >= 0) {
      if (seq < this.#low || this.isEmpty) return seq;
      const entry = this.entry(seq);
      if (visit(entry) === false) return undefined;
      seq = parentOf(entry, this.#session);
    }
    return undefined;
  }

  message(entry: Entry): PathMessage {
    let known = this.#messages.get(entry.seq);
    if (known === undefined) {
      known = { seq: entry.seq, entryId: entry.id, turn: entry.turn, message: decodeMessage(entry) };
      this.#messages.set(entry.seq, known);
    }
    return known;
  }

  /** Whether the whole path to `headSeq` is at hand. */
  hasPath(headSeq: number): boolean {
    return this.#path?.headSeq === headSeq;
  }

  /** All messages on the path to `headSeq`, oldest first, or the seq that must be loaded before that can be told. */
  path(headSeq: number): readonly PathMessage[] | number {
    const cached = this.#path;
    if (cached?.headSeq === headSeq) return cached.messages;
    let before: readonly PathMessage[] = [];
    const added: PathMessage[] = [];
    const missing = this.walk(headSeq, (entry) => {
      if (entry.seq === cached?.headSeq) {
        before = cached.messages;
        return false;
      }
      if (entry.type === "message") added.push(this.message(entry));
      return undefined;
    });
    if (missing !== undefined) return missing;
    // A path that only grew is not walked again, and not changed: whoever reads the shorter one may still be at it.
    const messages = before.concat(added.reverse());
    this.#path = { headSeq, messages };
    return messages;
  }
}

/** The seq of the entry before this one on its path, -1 for the root. */
export function parentOf(entry: Pick<Entry, "seq" | "parentSeq">, session: string): number {
  const parent = entry.parentSeq ?? entry.seq - 1;
  if (parent >= entry.seq || (entry.parentSeq !== undefined && !(Number.isSafeInteger(parent) && parent >= 0))) {
    throw new AixgoError("ENTRY_CORRUPT", `entry ${entry.seq} of session ${session} names a parent that is not before it`, {
      details: { session, seq: entry.seq },
    });
  }
  return parent;
}

export interface Verified {
  readonly entry: Entry;
  /** Hash of the line before. */
  readonly previous: string;
  /** Line end included. */
  readonly bytes: number;
}

/**
 * Checks every line of the pages of one read: its place and, unless the store has done so, its hash. One per read: it
 * remembers where it is.
 */
export class Verifier {
  readonly #session: string;
  readonly #trustsHashes: boolean;
  #seq: number;
  /** Undefined: the first line is only an anchor for the second. */
  #hash: string | undefined;
  #anchor: string | undefined;
  /** A line was found to follow from what was known before this read: the store vouches for those behind it. */
  #isJoined = false;

  constructor(session: string, nextSeq: number, previousHash: string | undefined, trustsHashes: boolean) {
    this.#session = session;
    this.#trustsHashes = trustsHashes;
    this.#seq = nextSeq;
    this.#hash = previousHash;
  }

  get nextSeq(): number {
    return this.#seq;
  }

  /** Hash of the anchor, once it was read. */
  get anchor(): string | undefined {
    return this.#anchor;
  }

  /** The verified entries of one page; an anchor is not among them. Throws `ENTRY_CORRUPT`. */
  page(bytes: Uint8Array): readonly Verified[] {
    const page = asBuffer(bytes);
    // Decoded once, if a line stands in the text where it stands in the bytes: if there is nothing but ASCII.
    const decoded = page.length <= MAX_DECODED_BYTES ? page.toString("utf8") : "";
    const text = decoded.length === page.length ? decoded : undefined;
    const verified: Verified[] = [];
    for (let start = 0; start < page.length;) {
      // Far quicker in a text than in bytes.
      const end = text === undefined ? page.indexOf(NEWLINE, start) : text.indexOf("\n", start);
      if (end < 0) throw this.#corrupt("ends in the middle of a line");
      const previous = this.#hash;
      if (previous === undefined) this.#hash = this.#anchor = this.#claimOf(page.subarray(start, end));
      else {
        const entry = this.#check(page, start, end, previous, text);
        this.#hash = entry.hash;
        verified.push({ entry, previous, bytes: end - start + 1 });
      }
      this.#seq += 1;
      start = end + 1;
    }
    return verified;
  }

  #claimOf(line: Buffer): string {
    try {
      return claimedHash(line);
    } catch {
      throw this.#corrupt("does not end with its hash");
    }
  }

  #check(page: Buffer, start: number, end: number, previous: string, text: string | undefined): Entry {
    let entry: Entry;
    try {
      entry = JSON.parse(text === undefined ? page.toString("utf8", start, end) : text.slice(start, end)) as Entry;
    } catch {
      throw this.#corrupt("is no JSON");
    }
    if (entry.seq !== this.#seq) throw this.#corrupt(`claims to be entry ${entry.seq}`);
    if (this.#trustsHashes && this.#isJoined) return entry;
    if (!endsWithHash(page, start, end, entry.hash)) throw this.#corrupt("does not end with its hash");
    // Behind a line of the same page lies the hash of that line, which was just compared.
    const expected = start === 0 ? expectedHash(previous, page.subarray(start, end)) : hashBehind(page, start, end);
    if (entry.hash !== expected) throw this.#corrupt("does not agree with its hash");
    this.#isJoined = true;
    return entry;
  }

  #corrupt(what: string): AixgoError {
    return new AixgoError("ENTRY_CORRUPT", `entry ${this.#seq} of session ${this.#session} ${what}`, {
      details: { session: this.#session, seq: this.#seq } satisfies Json,
    });
  }
}

/** Whether an entry of this type, known or not, belongs to the path. */
export function isPathEntry(entry: Entry): boolean {
  return !isSide(entry);
}
