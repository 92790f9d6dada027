import { AixgoError } from "@aixgo/core";
import type { ReadRange, Ref } from "@aixgo/session/backend";
import { incarnationText } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import { accept, type Store } from "./store.ts";

const PAGE_BYTES = 64 * 1024;
/** One command brings several pages. */
const FETCH_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/** Pages of whole lines. The last seq is settled by the first answer: what is appended meanwhile is not read. */
export async function* read(store: Store, ref: Ref, range: ReadRange): AsyncGenerator<Uint8Array> {
  const operation = `read of session ${ref.id}`;
  store.open(operation);
  check(operation, range);
  const { head, lines } = store.keys.session(ref.id);
  const { reverse = false, limit, signal } = range;
  let first = range.from ?? 0;
  let last = range.to;
  let left = limit;
  for (;;) {
    giveUp(operation, signal);
    const args = [
      incarnationText(ref.incarnation),
      String(first),
      last === undefined ? "" : String(last),
      reverse ? "1" : "",
      String(FETCH_BYTES),
      left === undefined ? "" : String(left),
    ];
    const reply = accept(operation, ref, await store.read({ operation, script: scripts.read, keys: [head, lines], args }));
    const [, bytes, count, nextFirst, nextLast] = reply as readonly [number, Buffer, number, number, number];
    if (count === 0) return;
    for (const page of pagesOf(bytes)) {
      giveUp(operation, signal);
      store.open(operation);
      yield page;
    }
    first = nextFirst;
    last = nextLast;
    // The range that is left has been cut to the limit already.
    left = undefined;
    if (first > last) return;
  }
}

function* pagesOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length;) {
    let end = bytes.length;
    if (end - start > PAGE_BYTES) {
      const within = bytes.lastIndexOf(NEWLINE, start + PAGE_BYTES - 1);
      // A line that is longer than a page is one.
      end = (within >= start ? within : bytes.indexOf(NEWLINE, start)) + 1;
    }
    yield bytes.subarray(start, end);
    start = end;
  }
}

function check(operation: string, { from, to, limit }: ReadRange): void {
  for (const [name, value] of Object.entries({ from, to, limit })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw new AixgoError("INVALID_INPUT", `${operation}: ${name} must be a whole number`);
  }
}

function giveUp(operation: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${operation}: given up, as its signal asked`, { cause: signal.reason });
}
