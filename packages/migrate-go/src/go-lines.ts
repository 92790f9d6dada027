import type { FileHandle } from "node:fs/promises";
import { AixgoError } from "@aixgo/core";
import { type GoEntry, isObject } from "./go-format.ts";
import { parseForeign } from "./go-json.ts";
import { Notes } from "./notes.ts";

/** An entry, and where its bytes lie. */
export interface GoLine {
  /** From 1. */
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  readonly entry: GoEntry;
}

const CHUNK_BYTES = 256 * 1024;
/** Above this a line is taken for damage. No store of ours takes lines of that length either. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
const ENTRY_START = Buffer.from('{"id":"');
/** Places in one line that are tried as the beginning of an entry. */
const MAX_TRIES = 16;

/** The entries of a session's file up to `size`. What is no entry is passed over with a note; the file is only read. */
export async function* readGoLines(handle: FileHandle, size: number, notes: Notes, signal?: AbortSignal): AsyncGenerator<GoLine> {
  let number = 0;
  for await (const { bytes, offset, isEnded, isTooLong } of splitLines(handle, size)) {
    if (signal?.aborted === true) throw new AixgoError("CANCELLED", "the import was cancelled", { cause: signal.reason });
    number += 1;
    if (isTooLong) notes.add(`line ${number} is longer than ${MAX_LINE_BYTES} bytes: left out`);
    else yield* entriesIn(bytes, { number, offset, isEnded }, notes);
  }
}

/** Reads the entries of a file a second time, in the same order, one as it is asked for. */
export class GoLineReader {
  readonly #lines: AsyncGenerator<GoLine>;

  constructor(handle: FileHandle, size: number, signal: AbortSignal | undefined) {
    this.#lines = readGoLines(handle, size, new Notes(), signal);
  }

  /** The entry of a line that lies behind those asked for before. Throws `INVALID_INPUT` if the file has changed. */
  async at({ number, offset, entry }: GoLine): Promise<GoEntry> {
    for (;;) {
      const next = await this.#lines.next();
      if (next.done !== true && next.value.offset < offset) continue;
      if (next.done === true || next.value.offset !== offset || next.value.entry.id !== entry.id)
        throw new AixgoError("INVALID_INPUT", `line ${number} of the session changed while it was read`);
      return next.value.entry;
    }
  }

  async close(): Promise<void> {
    await this.#lines.return(undefined);
  }
}

interface Line {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly isEnded: boolean;
  readonly isTooLong: boolean;
}

async function* splitLines(handle: FileHandle, size: number): AsyncGenerator<Line> {
  let pieces: Buffer[] = [];
  let length = 0;
  let offset = 0;
  for (let at = 0; at < size;) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, size - at));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) break;
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0 && end < bytesRead; end = chunk.indexOf(NEWLINE, start)) {
      pieces.push(chunk.subarray(start, end));
      length += end - start;
      yield { bytes: whole(pieces, length), offset, isEnded: true, isTooLong: length > MAX_LINE_BYTES };
      pieces = [];
      offset += length + 1;
      length = 0;
      start = end + 1;
    }
    if (start < bytesRead) {
      if (length <= MAX_LINE_BYTES) pieces.push(chunk.subarray(start, bytesRead));
      length += bytesRead - start;
    }
    at += bytesRead;
  }
  if (length > 0) yield { bytes: whole(pieces, length), offset, isEnded: false, isTooLong: length > MAX_LINE_BYTES };
}

function whole(pieces: readonly Buffer[], length: number): Buffer {
  if (length > MAX_LINE_BYTES) return Buffer.alloc(0);
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, length);
}

function* entriesIn(
  bytes: Buffer,
  { number, offset, isEnded }: { readonly number: number; readonly offset: number; readonly isEnded: boolean },
  notes: Notes,
): Generator<GoLine> {
  const where = `line ${number}`;
  if (bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)) {
    if (bytes.length > 0 || isEnded) notes.add(`${where} is empty: passed over`);
    return;
  }
  const entry = entryOf(bytes, where, notes);
  if (entry !== undefined) {
    yield { number, offset, length: bytes.length, entry };
    return;
  }
  // An append behind a torn one, or two at once, leave an entry behind the remains of another in one line.
  let tries = 0;
  for (let at = bytes.indexOf(ENTRY_START, 1); at > 0 && tries < MAX_TRIES; at = bytes.indexOf(ENTRY_START, at + 1)) {
    tries += 1;
    const last = entryOf(bytes.subarray(at), where, notes);
    if (last === undefined) continue;
    const first = entryOf(bytes.subarray(0, at), where, notes);
    if (first === undefined) notes.add(`${where} begins with ${at} bytes of a torn entry: left out; the entry behind it is kept`);
    else {
      notes.add(`${where} holds two entries without a line end between them: both are kept`);
      yield { number, offset, length: at, entry: first };
    }
    yield { number, offset: offset + at, length: bytes.length - at, entry: last };
    return;
  }
  if (isEnded) notes.add(`${where} (${bytes.length} bytes) is no entry: left out`);
  else notes.add(`the last line is torn after ${bytes.length} bytes: left out`);
}

/** Undefined: these bytes are no entry. */
function entryOf(bytes: Buffer, where: string, notes: Notes): GoEntry | undefined {
  const found = new Notes();
  let value: unknown;
  try {
    value = parseForeign(bytes, where, found);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { id, parentId = "", timestamp, type, data = {} } = value;
  if (typeof id !== "string" || id === "" || typeof type !== "string" || typeof parentId !== "string") return undefined;
  if (data !== null && !isObject(data)) return undefined;
  for (const note of found.list()) notes.add(note);
  return { id, parentId, timestamp: typeof timestamp === "string" ? timestamp : undefined, type, data: data ?? {} };
}
