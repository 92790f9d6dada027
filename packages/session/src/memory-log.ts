import { AixgoError } from "@aixgo/core";
import type { Head, Position, ReadRange, Ref } from "./contract.ts";
import { envelopeOf } from "./envelope.ts";
import type { MemoryBlobs } from "./memory-blobs.ts";

/** Of a page, and of what a conflict brings along. */
export const PAGE_BYTES: number = 64 * 1024;

/** One session in a memory store. */
export interface MemoryLog {
  readonly lines: Uint8Array[];
  /** The fold over `lines`. */
  head: Head;
  fence: number;
  lease?: LeaseRecord;
  keys?: Uint8Array;
  /** Where its key record lies, whether it still names this session or not. */
  slot?: string;
  /** Seq of the last entry with an op or an id. */
  readonly ops: Map<string, number>;
  readonly ids: Map<string, number>;
  readonly blobs: MemoryBlobs;
}

export interface LeaseRecord {
  readonly fence: number;
  readonly token: string;
  readonly holder: string;
  readonly expiresAt: number;
  readonly cancelRequested?: string;
}

/** All lines after `expect`, or none: a part would let a caller believe that its lines are not there. None either if `expect` is no place of this log. */
export function linesSince(log: MemoryLog, expect: Position): Uint8Array | undefined {
  const at = log.lines[expect.seq];
  if (at === undefined || expect.seq >= log.head.seq || envelopeOf(at).hash !== expect.hash) return undefined;
  const lines = log.lines.slice(expect.seq + 1);
  const bytes = lines.reduce((sum, line) => sum + line.length + 1, 0);
  return bytes <= PAGE_BYTES ? joined(lines) : undefined;
}

export function joined(lines: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(lines.reduce((sum, line) => sum + line.length + 1, 0));
  let at = 0;
  for (const line of lines) {
    bytes.set(line, at);
    bytes[at + line.length] = 0x0a;
    at += line.length + 1;
  }
  return bytes;
}

export function indexLines(log: MemoryLog, lines: readonly Uint8Array[]): void {
  for (const line of lines) {
    const { seq, id, op = id } = envelopeOf(line);
    log.ids.set(id, seq);
    log.ops.set(op, seq);
  }
}

/** First and last seq of a read. */
export function boundsOf(
  ref: Ref,
  { from = 0, to, reverse = false, limit }: ReadRange,
  head: number,
): { readonly first: number; readonly last: number } {
  for (const [name, value] of Object.entries({ from, to, limit })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw new AixgoError("INVALID_INPUT", `read of session ${ref.id}: ${name} must be a whole number`);
  }
  const last = Math.min(to ?? head, head);
  if (limit === undefined) return { first: from, last };
  return reverse ? { first: Math.max(from, last - limit + 1), last } : { first: from, last: Math.min(last, from + limit - 1) };
}
