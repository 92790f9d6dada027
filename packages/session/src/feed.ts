import { AixgoError } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { assertWhole, diverged, type SessionLog } from "./log.ts";
import { News } from "./news.ts";

/** A place in one life of a session: where a reader of its entries has got to. JSON, to be kept as long as the reader likes. */
export interface EntryCursor {
  readonly incarnation: string;
  readonly seq: number;
  /** Of the entry: tells whether the log still holds what was read. */
  readonly hash: string;
}

export interface EntriesOptions {
  /** Entries behind this version, or behind the entry of `session.cursorOf(entry)`. @default from the header on */
  readonly after?: number | EntryCursor;
  /** Goes on with what is appended from now on, by whichever process or node, until the loop is left. @default false */
  readonly follow?: boolean;
  /** Ends the loop with `CANCELLED`, whose cause is the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The one who reads, as far as the feed needs to know. */
export interface Reader {
  /** Throws if the reader's handle or manager was closed. */
  assertOpen(): void;
  /** Calls `wake` when that may have happened. Returns how to stop it. */
  onClose(wake: () => void): () => void;
}

/** Where a reading begins: behind this entry. */
interface Place {
  readonly seq: number;
  /** Undefined: the caller named only a version. */
  readonly hash: string | undefined;
}

/**
 * The entries behind a place, and with `follow` those to come: each once, in order, as soon as the store shows it. Nothing is
 * buffered for a reader that lags: what it has not asked for yet stays in the store.
 */
export async function* readEntries(log: SessionLog, options: EntriesOptions, reader: Reader): AsyncGenerator<Entry, void, undefined> {
  const { follow = false, signal } = options;
  if (typeof follow !== "boolean") throw new AixgoError("INVALID_OPTION", "follow must be true or false");
  const looks = lookAt(log, { from: startOf(log, options.after), follow, signal, news: new News(log.backend, log.ref) }, reader);
  for await (const look of looks) if ("entry" in look) yield look.entry;
}

/** What a look at the log brings: the next entry, or the head that there is nothing behind just now. */
export type Look = { readonly entry: Entry } | { readonly head: Head };

export interface Looking {
  readonly from: Place;
  readonly follow: boolean;
  readonly signal: AbortSignal | undefined;
  /** Stopped when the loop is left. */
  readonly news: News;
}

/** The same as `readEntries`, and the head each time that all is read. */
export async function* lookAt(log: SessionLog, looking: Looking, reader: Reader): AsyncGenerator<Look, void, undefined> {
  const { follow, signal, news } = looking;
  let place = looking.from;
  const closed = reader.onClose(news.tell);
  signal?.addEventListener("abort", news.tell);
  try {
    for (;;) {
      throwIfAborted(signal, log.ref.id);
      reader.assertOpen();
      const head = await log.peek();
      if (place.hash !== undefined && head.seq < place.seq) throw diverged(log.ref.id, place.seq);
      if (head.seq > place.seq || (head.seq === place.seq && place.hash !== undefined && place.hash !== head.hash)) {
        news.arrived();
        for await (const entry of log.behind(place, head.seq, signal)) {
          throwIfAborted(signal, log.ref.id);
          place = { seq: entry.seq, hash: entry.hash };
          yield { entry };
        }
        // The reader may have taken its time: it waits only when there was nothing more just now.
        if (follow) continue;
      }
      assertWhole(head);
      if (!follow) return;
      yield { head };
      await news.wait({ seq: head.seq, hash: head.hash });
    }
  } finally {
    signal?.removeEventListener("abort", news.tell);
    closed();
    news.stop();
  }
}

function startOf(log: SessionLog, after: EntriesOptions["after"]): Place {
  if (after === undefined) return { seq: -1, hash: undefined };
  if (typeof after === "number") {
    if (!Number.isSafeInteger(after) || after < -1)
      throw new AixgoError("INVALID_OPTION", `after must be a version of the session, not ${after}`);
    return { seq: after, hash: undefined };
  }
  const { incarnation, seq, hash } = (after ?? {}) as Partial<EntryCursor>;
  if (typeof incarnation !== "string" || !Number.isSafeInteger(seq) || (seq as number) < 0 || typeof hash !== "string")
    throw new AixgoError("INVALID_OPTION", "after must be a version, or a cursor made by session.cursorOf");
  if (incarnation !== log.ref.incarnation) {
    throw new AixgoError(
      "INCARNATION_CHANGED",
      `session ${log.ref.id} was rewritten since this cursor was made. Read its entries from the beginning`,
      { details: { session: log.ref.id } },
    );
  }
  return { seq: seq as number, hash };
}

function throwIfAborted(signal: AbortSignal | undefined, id: string): void {
  if (signal?.aborted === true)
    throw new AixgoError("CANCELLED", `reading the entries of session ${id} was cancelled`, { cause: signal.reason });
}
