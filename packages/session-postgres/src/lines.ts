import { AixgoError } from "@aixgo/core";
import { asBuffer, envelopeOf } from "@aixgo/session/backend";
import { mark } from "./column-text.ts";

/** Lines as statements take them: one after the other, and what is indexed of each. */
export interface PackedLines {
  readonly bytes: Buffer;
  readonly entryIds: readonly string[];
  /** Only ops that callers gave. */
  readonly ops: readonly (string | null)[];
  /** Where each begins in `bytes`, counted from 1. */
  readonly starts: readonly number[];
  readonly sizes: readonly number[];
}

export function packLines(lines: readonly Uint8Array[]): PackedLines {
  const entryIds: string[] = [];
  const ops: (string | null)[] = [];
  const starts: number[] = [];
  let at = 1;
  for (const line of lines) {
    const { id, op } = envelopeOf(line);
    entryIds.push(mark(id));
    ops.push(op === undefined ? null : mark(op));
    starts.push(at);
    at += line.length;
  }
  return {
    bytes: lines.length === 1 ? asBuffer(lines[0] as Uint8Array) : Buffer.concat(lines),
    entryIds,
    ops,
    starts,
    sizes: lines.map(({ length }) => length),
  };
}

/** Throws `LIMIT_EXCEEDED`. */
export function refuseLongLine(doing: string, id: string, line: Uint8Array, maxLineBytes: number): void {
  if (line.length <= maxLineBytes) return;
  throw new AixgoError("LIMIT_EXCEEDED", `${doing}: an entry has ${line.length} bytes; this store takes ${maxLineBytes}`, {
    details: { session: id, bytes: line.length, maxLineBytes },
  });
}

/** Each line ended by a newline. */
export function joinLines(lines: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(lines.reduce((sum, line) => sum + line.length + 1, 0));
  let at = 0;
  for (const line of lines) {
    joined.set(line, at);
    at += line.length;
    joined[at++] = 0x0a;
  }
  return joined;
}

/** A bytea as a driver gives it, over its own memory. */
export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new AixgoError("BACKEND_UNAVAILABLE", "the driver gives a bytea in a form that is not known: leave its type parsers as they are", {
    retryable: false,
  });
}
