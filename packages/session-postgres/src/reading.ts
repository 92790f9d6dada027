import { AixgoError } from "@aixgo/core";
import type { ReadRange, Ref } from "@aixgo/session/backend";
import { columnText } from "./column-text.ts";
import { refuseAborted } from "./connection.ts";
import { bytesOf, joinLines } from "./lines.ts";
import { currentHead, incarnationChanged, type Store } from "./store.ts";

/** Longest page, unless one line is longer. */
const PAGE_BYTES = 64 * 1024;
/** What is asked for at once; the answer has twice as many bytes on the wire. */
const FETCH_BYTES = 1024 * 1024;
const FETCH_LINES = 4096;

interface Fetched {
  /** Seq of the session's last entry. */
  readonly last: number;
  readonly lines: readonly Uint8Array[];
}

/** Pages of a log. Each fetch is one statement, so what it brings is a state that was; between two of them the session may change or go. */
export async function* readPages(store: Store, ref: Ref, range: ReadRange): AsyncGenerator<Uint8Array> {
  const doing = `read session ${ref.id}`;
  const { from = 0, to = Number.MAX_SAFE_INTEGER, reverse = false, limit = Number.MAX_SAFE_INTEGER, signal } = checkRange(doing, range);
  let first = from;
  let last = to;
  let left = limit;
  do {
    const fetched = await fetchLines(store, doing, ref, { first, last, reverse, limit: left, signal });
    last = Math.min(last, fetched.last);
    if (fetched.lines.length === 0 && first <= last && left > 0) throw gap(doing, reverse ? last : first);
    for (const page of pagesOf(fetched.lines)) {
      refuseAborted(doing, signal);
      yield page;
    }
    left -= fetched.lines.length;
    if (reverse) last -= fetched.lines.length;
    else first += fetched.lines.length;
  } while (first <= last && left > 0);
}

interface Fetch {
  readonly first: number;
  readonly last: number;
  readonly reverse: boolean;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

async function fetchLines(store: Store, doing: string, ref: Ref, { first, last, reverse, limit, signal }: Fetch): Promise<Fetched> {
  const { connections, statements } = store;
  const values = [columnText(ref.id), first, last, Math.min(limit, FETCH_LINES), FETCH_BYTES];
  const rows = await connections.run({ doing, effect: "read", text: reverse ? statements.falling : statements.rising, values, signal });
  const [top] = rows;
  if (top === undefined) {
    await currentHead(store, doing, ref);
    // Created between the two statements.
    throw incarnationChanged(doing);
  }
  if (top["incarnation"] !== columnText(ref.incarnation)) throw incarnationChanged(doing);
  const end = Number(top["last"]);
  const step = reverse ? -1 : 1;
  let due = reverse ? Math.min(last, end) : first;
  const lines: Uint8Array[] = [];
  for (const { seq, line } of rows) {
    if (seq === null) break;
    if (Number(seq) !== due) throw gap(doing, due);
    lines.push(bytesOf(line));
    due += step;
  }
  return { last: end, lines };
}

function* pagesOf(lines: readonly Uint8Array[]): Generator<Uint8Array> {
  let start = 0;
  let bytes = 0;
  for (const [at, { length }] of lines.entries()) {
    if (at > start && bytes + length + 1 > PAGE_BYTES) {
      yield joinLines(lines.slice(start, at));
      start = at;
      bytes = 0;
    }
    bytes += length + 1;
  }
  if (start < lines.length) yield joinLines(lines.slice(start));
}

function checkRange(doing: string, range: ReadRange): ReadRange {
  const { from, to, limit } = range;
  for (const [name, value] of Object.entries({ from, to, limit })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw new AixgoError("INVALID_INPUT", `${doing}: ${name} must be a whole number`);
  }
  return range;
}

function gap(doing: string, seq: number): AixgoError {
  return new AixgoError("ENTRY_CORRUPT", `${doing}: entry ${seq} is missing`, { details: { seq } });
}
