import { AixgoError, type Json } from "@aixgo/core";
import { builtLine } from "./built-line.ts";
import { asBuffer, claimedHash, TRAILER_BYTES } from "./chain.ts";
import type { Entry, Envelope } from "./entry.ts";

const DATA_KEY = Buffer.from(',"data":');

/**
 * All of a line before its data, without parsing the data. Throws `ENTRY_CORRUPT`.
 *
 * `,"data":` cannot stand inside a JSON string (its quotes would be escaped), so the first one begins the data, unless an
 * unknown member is an object with such a key: then the slice is no JSON and the whole line is parsed.
 * Whoever has verified the line gives its hash, so that it need not be read from it.
 */
export function envelopeOf(line: Uint8Array, knownHash?: string): Envelope {
  const built = builtLine(line);
  if (built !== undefined) return built.envelope;
  const view = asBuffer(line);
  const at = view.indexOf(DATA_KEY);
  if (at < 0) throw corrupt("a line of the log has no data");
  const hash = knownHash ?? claimedHash(view);
  let envelope: { -readonly [K in keyof Envelope]: Envelope[K] };
  try {
    envelope = JSON.parse(`${view.toString("utf8", 0, at)}}`);
  } catch {
    const { data: _, ...rest } = entryOf(line);
    envelope = rest;
  }
  envelope.hash = hash;
  if (envelope.v !== 1)
    throw new AixgoError(
      "UNSUPPORTED_ENTRY",
      `this log is written in format ${String(envelope.v)}; this version reads format 1. Update aixgo`,
    );
  if (
    !Number.isSafeInteger(envelope.seq) ||
    envelope.seq < 0 ||
    !Number.isSafeInteger(envelope.n) ||
    typeof envelope.type !== "string" ||
    typeof envelope.id !== "string"
  ) {
    throw corrupt("a line of the log lacks its seq, id, type or count");
  }
  return envelope;
}

/** A whole line, parsed. Throws `ENTRY_CORRUPT`. */
export function entryOf(line: Uint8Array): Entry {
  const view = asBuffer(line);
  claimedHash(view);
  try {
    return JSON.parse(view.toString("utf8")) as Entry;
  } catch (cause) {
    throw new AixgoError("ENTRY_CORRUPT", "a line of the log is no JSON", { cause });
  }
}

/** The data of a line, parsed, the envelope skipped. */
export function dataOf(line: Uint8Array): Json {
  const view = asBuffer(line);
  const at = view.indexOf(DATA_KEY);
  if (at < 0) throw corrupt("a line of the log has no data");
  try {
    return JSON.parse(view.toString("utf8", at + DATA_KEY.length, view.length - TRAILER_BYTES)) as Json;
  } catch {
    return entryOf(line).data;
  }
}

export function corrupt(message: string, session?: string, seq?: number): AixgoError {
  return new AixgoError("ENTRY_CORRUPT", message, session === undefined ? {} : { details: { session, seq: seq ?? null } });
}
