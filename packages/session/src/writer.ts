import { AixgoError, isAixgoError } from "@aixgo/core";
import { setTimeout as delay } from "node:timers/promises";
import { forgetBuilt } from "./built-line.ts";
import type { Append, Head, Lease } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { entryOf } from "./envelope.ts";
import { type Draft, placeLine, type Tip } from "./line.ts";
import { linesSince, type SessionLog } from "./log.ts";

/** The log moved between looking and writing: look again. Thrown by checks of batches, and caught by whoever made them. */
export class Moved extends Error {}

/** A group leaves as one append: at most so many entries or bytes, or one larger batch. */
const MAX_GROUP_ENTRIES = 256;
const MAX_GROUP_BYTES = 1024 * 1024;
/** Appends that may wait in one process for one session. */
const MAX_PENDING = 10_000;
const MAX_PENDING_BYTES = 64 * 1024 * 1024;

/** Errors that say nothing of the log: an append whose outcome is unknown stays so. */
const OF_THE_STORE: ReadonlySet<string> = new Set([
  "BACKEND_UNAVAILABLE",
  "STORE_BUSY",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "BACKEND_CLOSED",
]);

/** Entries that are written all or nothing. */
export interface Batch {
  readonly drafts: readonly Draft[];
  readonly acquire?: NonNullable<Append["acquire"]>;
  readonly lease?: Pick<Lease, "fence" | "token">;
  readonly release?: boolean;
  /** Refuse while a lease is live: an append from outside of a turn that would move the head. */
  readonly outsideTurns?: boolean;
  /** Called each time the batch is about to be placed; what it throws fails this batch alone. */
  check?(head: Head, tip: Tip): void;
  /** Called as soon as the batch has landed, before the next group is built. */
  landed?(written: Written): void;
  readonly signal?: AbortSignal;
}

export interface Written {
  /** The head of the session after the group that the batch left with. */
  readonly head: Head;
  /** Seq of the batch's first entry. */
  readonly first: number;
  /** The tip right behind the batch. */
  readonly tip: Tip;
  /** Of the batch's entries. */
  readonly timestamp: string;
  /** The entries as stored. */
  entries(): readonly Entry[];
}

interface Pending {
  readonly batch: Batch;
  readonly bytes: number;
  resolve(written: Written): void;
  reject(error: unknown): void;
}

interface Placed {
  readonly pending: Pending;
  readonly first: number;
  /** Hash of the line before the first one. */
  readonly previous: string;
  readonly lines: readonly Buffer[];
  /** Of each line. */
  readonly hashes: readonly string[];
  readonly tip: Tip;
  readonly timestamp: string;
}

/**
 * The one queue through which this process appends to one session. What waits together leaves together as one group;
 * a conflict is answered by building anew on the head that it brought, at once.
 */
export class Writer {
  readonly #log: SessionLog;
  readonly #rebaseMs: number;
  readonly #marksSync: boolean;
  #queue: Pending[] = [];
  #queuedBytes = 0;
  #draining: Promise<void> | undefined;
  #durable = 0;
  #written = 0;
  /** When the store was first and last not to be had. */
  #outage: { readonly since: number; readonly seen: number } | undefined;

  constructor(log: SessionLog, rebaseMs: number) {
    this.#log = log;
    this.#rebaseMs = rebaseMs;
    this.#marksSync = log.backend.capabilities.durability === "disk";
  }

  get isIdle(): boolean {
    return this.#draining === undefined;
  }

  /** How long work that meets the writes of others is built anew, in milliseconds. */
  get rebaseMs(): number {
    return this.#rebaseMs;
  }

  /** Lines that this process has written: tells whether others wrote in between. */
  get written(): number {
    return this.#written;
  }

  /** Resolves when the batch is as durable as the store declares. */
  submit(batch: Batch): Promise<Written> {
    let bytes = 0;
    for (const { data } of batch.drafts) bytes += typeof data === "string" ? data.length : 256;
    if (this.#queue.length >= MAX_PENDING || (this.#queuedBytes + bytes > MAX_PENDING_BYTES && this.#queue.length > 0)) {
      return Promise.reject(
        new AixgoError(
          "OVERLOADED",
          `too many appends wait for session ${this.#log.ref.id} (${this.#queue.length}). Await some before making more`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // What is submitted in the same turn of the event loop leaves together.
    await Promise.resolve();
    try {
      while (this.#queue.length > 0) {
        const group = this.#take();
        if (group.length > 0) await this.#send(group);
      }
    } finally {
      this.#draining = undefined;
    }
  }

  #take(): Pending[] {
    const group: Pending[] = [];
    let entries = 0;
    let bytes = 0;
    let taken = 0;
    for (const pending of this.#queue) {
      const { batch } = pending;
      const first = group[0]?.batch;
      if (first !== undefined) {
        if (
          batch.acquire !== undefined ||
          first.acquire !== undefined ||
          batch.lease?.token !== first.lease?.token ||
          entries + batch.drafts.length > MAX_GROUP_ENTRIES ||
          bytes + pending.bytes > MAX_GROUP_BYTES
        )
          break;
      }
      taken += 1;
      this.#queuedBytes -= pending.bytes;
      if (batch.signal?.aborted === true) {
        pending.reject(
          new AixgoError("CANCELLED", `the append to session ${this.#log.ref.id} was cancelled before it was made`, {
            cause: batch.signal.reason,
          }),
        );
        continue;
      }
      group.push(pending);
      entries += batch.drafts.length;
      bytes += pending.bytes;
      if (batch.release === true) break;
    }
    this.#queue = this.#queue.slice(taken);
    return group;
  }

  async #send(group: readonly Pending[]): Promise<void> {
    const log = this.#log;
    const deadline = performance.now() + this.#rebaseMs;
    let rest: readonly Pending[] = group;
    try {
      // Awaits only what has to be asked for: what is known leaves in this turn, and many sessions reach the store one by one.
      let head = this.#headFor(rest) ?? (await log.refresh());
      for (let isOver = false; ;) {
        const placed = this.#place(rest, head, log.knownTip(head) ?? (await log.tipOf(head)));
        if (placed.length === 0) return;
        // After the batches' own checks: who looks for others' writes itself is told of them, however short the time for appends.
        if (isOver) throw changedByOthers(log.ref.id, this.#rebaseMs);
        const answer = await this.#append(head, placed, deadline);
        const landed = placed.slice(0, answer.landed);
        const last = landed.at(-1);
        // Before callers go on: they may build on it.
        for (const each of landed) this.#keep(each);
        if (last !== undefined) log.setTip(last.tip);
        for (const { pending, first, lines, tip, timestamp } of landed) {
          const written: Written = { head: answer.head, first, tip, timestamp, entries: () => lines.map(entryOf) };
          pending.batch.landed?.(written);
          pending.resolve(written);
        }
        if (landed.length === placed.length) return;
        rest = placed.slice(answer.landed).map(({ pending }) => pending);
        isOver = performance.now() > deadline;
        head = answer.head;
      }
    } catch (error) {
      for (const pending of rest) pending.reject(error);
    }
  }

  #keep({ first, lines, hashes, previous }: Placed): void {
    this.#written += lines.length;
    let before = previous;
    for (let index = 0; index < lines.length; index += 1) {
      const line = lines[index] as Buffer;
      const hash = hashes[index] as string;
      this.#log.appended(first + index, line, hash, before);
      before = hash;
      // The line stays in memory for long; what the store needed to know of it does not.
      forgetBuilt(line);
    }
  }

  /** Undefined: the store has to be asked. */
  #headFor(group: readonly Pending[]): Head | undefined {
    const known = this.#log.lastHead;
    if (known === undefined) return undefined;
    // A lease is prolonged without an append, and others may have answered what is waited for: only the store can tell.
    const mayHaveChanged = known.lease !== undefined || this.#log.knownTip(known)?.waitsFor !== undefined;
    return mayHaveChanged && group.some(({ batch }) => batch.outsideTurns === true) ? undefined : known;
  }

  #place(group: readonly Pending[], head: Head, start: Tip): readonly Placed[] {
    if (head.unsupported !== undefined) {
      throw new AixgoError(
        "UNSUPPORTED_ENTRY",
        `session ${head.id} holds entries of type ${JSON.stringify(head.unsupported)}, which this version does not know: it can be read, not written. Update aixgo`,
      );
    }
    const timestamp = now();
    const { maxLineBytes } = this.#log.backend.capabilities;
    const placed: Placed[] = [];
    let tip = start;
    for (const pending of group) {
      const { batch } = pending;
      try {
        if (batch.outsideTurns === true && isLive(head)) throw busy(head.id);
        batch.check?.(head, tip);
        const lines: Buffer[] = [];
        const hashes: string[] = [];
        let next = tip;
        const { drafts } = batch;
        for (let index = 0; index < drafts.length; index += 1) {
          const isGroupStart = this.#marksSync && placed.length === 0 && index === 0;
          const made = placeLine(next, drafts[index] as Draft, index, drafts.length, timestamp, isGroupStart ? this.#durable : undefined);
          if (made.line.length > maxLineBytes) throw tooLong(head.id, made.line.length, maxLineBytes);
          lines.push(made.line);
          hashes.push(made.tip.hash);
          next = made.tip;
        }
        placed.push({ pending, first: tip.seq + 1, previous: tip.hash, lines, hashes, tip: next, timestamp });
        tip = next;
      } catch (error) {
        pending.reject(error);
      }
    }
    return placed;
  }

  /** One append, sent again with the same bytes while its outcome is unknown or the store cannot be had. Says how many batches landed. */
  async #append(head: Head, placed: readonly Placed[], deadline: number): Promise<{ readonly landed: number; readonly head: Head }> {
    const log = this.#log;
    const { acquire, lease, release } = (placed.at(-1) as Placed).pending.batch;
    const request: { -readonly [K in keyof Append]: Append[K] } = {
      expect: { seq: head.seq, hash: head.hash },
      lines: placed.flatMap(({ lines }) => lines),
    };
    if (acquire !== undefined) request.acquire = acquire;
    if (lease !== undefined) request.lease = lease;
    if (release !== undefined) request.release = release;
    let unknown: AixgoError | undefined;
    let wasDown = false;
    for (let pause = 5; ; pause = Math.min(pause * 2, 250)) {
      try {
        const answer = await log.backend.append(log.ref, request);
        this.#outage = undefined;
        if ("head" in answer) {
          log.advance(answer.head);
          this.#durable = answer.head.seq;
          return { landed: placed.length, head: answer.head };
        }
        const { conflict, since } = answer;
        log.adopt(conflict);
        return { landed: await this.#landed(head, placed, conflict, since), head: conflict };
      } catch (error) {
        if (isAixgoError(error, "OUTCOME_UNKNOWN")) unknown = error;
        const isDown = isAixgoError(error, "BACKEND_UNAVAILABLE") && error.retryable;
        const isOver = performance.now() > (isDown && unknown === undefined ? this.#endOfOutage(wasDown) : deadline);
        wasDown = isDown;
        // What this attempt has not written, the one before may have.
        if (isOver || !(isDown || error === unknown))
          throw isAixgoError(error) && OF_THE_STORE.has(error.code) ? (unknown ?? error) : error;
        await delay(pause * (0.5 + Math.random() / 2));
      }
    }
  }

  /**
   * Until when a store that cannot be had is asked again. Counted from the first refusal: what has waited behind a group that was
   * given up does not wait as long again. `goesOn`: this very append was refused before, however long it has paused since.
   */
  #endOfOutage(goesOn: boolean): number {
    const at = performance.now();
    const known = this.#outage;
    const since = known !== undefined && (goesOn || at - known.seen <= this.#rebaseMs) ? known.since : at;
    this.#outage = { since, seen: at };
    return since + this.#rebaseMs;
  }

  /**
   * How many batches stand in a log that has moved on: they are where we put them, or can never get there. Asked after every conflict,
   * not only after an unknown outcome: a driver that sends a request twice may bring the answer of the second, which met the first.
   */
  async #landed(head: Head, placed: readonly Placed[], conflict: Head, since: Uint8Array | undefined): Promise<number> {
    const first = (placed[0] as Placed).lines[0] as Buffer;
    if (since !== undefined && !first.equals(since.subarray(0, first.length))) return 0;
    const last = (placed.at(-1) as Placed).tip.seq;
    const hashes = new Map<number, string>();
    if (since !== undefined) for (const { entry } of linesSince(head.id, head, since)) hashes.set(entry.seq, entry.hash);
    else for await (const entry of this.#log.scan(head.seq + 1, Math.min(last, conflict.seq))) hashes.set(entry.seq, entry.hash);
    const missing = placed.findIndex(({ tip }) => hashes.get(tip.seq) !== tip.hash);
    return missing < 0 ? placed.length : missing;
  }
}

/** Whether the head, as the store answered just now, shows a live lease. */
export function isLive(head: Pick<Head, "lease">): boolean {
  return head.lease !== undefined && head.lease.expiresInMs > 0;
}

/** What became of work that was built anew on the head of others for as long as it may be. */
export function changedByOthers(id: string, ms: number): AixgoError {
  return new AixgoError("SESSION_BUSY", `session ${id} was changed by others each time for ${ms} ms; nothing was written. Try again`);
}

export function busy(id: string): AixgoError {
  return new AixgoError("SESSION_BUSY", `a turn of session ${id} is running. Wait for its end, or cancel it`);
}

function tooLong(id: string, bytes: number, maxBytes: number): AixgoError {
  return new AixgoError(
    "LIMIT_EXCEEDED",
    `an entry for session ${id} has ${bytes} bytes, the store's limit is ${maxBytes}; nothing was written`,
    { details: { bytes, maxBytes } },
  );
}

let lastMs = 0;
let lastText = "";
/** The time as ISO text, made once per millisecond. */
export function now(): string {
  const ms = Date.now();
  if (ms !== lastMs) {
    lastMs = ms;
    lastText = new Date(ms).toISOString();
  }
  return lastText;
}
