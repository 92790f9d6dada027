import { hash as digest } from "node:crypto";
import { AixgoError } from "@aixgo/core";

/**
 * The hash chain.
 *
 * `hash = SHA-256(previous hash ‖ "}⏎ ‖ this line's bytes before ,"hash":)`, base64url. A line ends with `,"hash":"<43>"}`,
 * so in a file these bytes lie contiguously: the last 43 characters of the line before, `"}`, the line end, this line.
 * A reader hashes one view and copies nothing. For the header the previous hash is the incarnation.
 */
const HASH_LENGTH = 43;
const HASH_KEY = ',"hash":"';
const CLOSE = '"}';
const JOINT = '"}\n';

/** Bytes of a line from `,"hash":` to its end. */
export const TRAILER_BYTES: number = HASH_KEY.length + HASH_LENGTH + CLOSE.length;

const PLACEHOLDER = HASH_KEY + "-".repeat(HASH_LENGTH) + CLOSE;

/** Seals a line: `body` is its text before `,"hash":`. One encoding, one hash call. */
export function sealLine(previousHash: string, body: string): { readonly line: Buffer; readonly hash: string } {
  const bytes = Buffer.from(previousHash + JOINT + body + PLACEHOLDER, "utf8");
  const hash = digest("sha256", bytes.subarray(0, bytes.length - TRAILER_BYTES), "base64url");
  bytes.write(hash, bytes.length - HASH_LENGTH - CLOSE.length, HASH_LENGTH, "latin1");
  return { line: bytes.subarray(previousHash.length + JOINT.length), hash };
}

/** The hash that a line claims. Throws `ENTRY_CORRUPT` if it does not end as a line must. */
export function claimedHash(line: Uint8Array): string {
  const view = asBuffer(line);
  const at = view.length - TRAILER_BYTES;
  if (
    at < 1 ||
    view.toString("latin1", at, at + HASH_KEY.length) !== HASH_KEY ||
    view.toString("latin1", view.length - CLOSE.length) !== CLOSE
  ) {
    throw new AixgoError("ENTRY_CORRUPT", "a line of the log does not end with its hash");
  }
  return view.toString("latin1", at + HASH_KEY.length, view.length - CLOSE.length);
}

/** The hash that a line should have, given the hash before it. */
export function expectedHash(previousHash: string, line: Uint8Array): string {
  const body = line.subarray(0, Math.max(0, line.length - TRAILER_BYTES));
  return digest("sha256", Buffer.concat([Buffer.from(previousHash + JOINT, "latin1"), body]), "base64url");
}

/**
 * The same, of a line that lies in `bytes` from `start` to `end` (line end excluded) right behind the line whose hash is
 * `previousHash`: nothing is copied if those bytes are there, which is checked.
 */
export function expectedHashIn(bytes: Buffer, start: number, end: number, previousHash: string): string {
  const before = start - HASH_LENGTH - JOINT.length;
  const stop = end - TRAILER_BYTES;
  if (before < 0 || stop < start || bytes.toString("latin1", before, before + HASH_LENGTH) !== previousHash) {
    return expectedHash(previousHash, bytes.subarray(start, end));
  }
  return hashBehind(bytes, start, end);
}

/** The same, where the line before is known to lie right before `start`, line end included. */
export function hashBehind(bytes: Buffer, start: number, end: number): string {
  return digest("sha256", bytes.subarray(start - HASH_LENGTH - JOINT.length, end - TRAILER_BYTES), "base64url");
}

/** Whether the line from `start` to `end` ends with this hash, where a hash must stand. */
export function endsWithHash(bytes: Buffer, start: number, end: number, hash: string): boolean {
  const at = end - TRAILER_BYTES;
  return at > start && bytes.toString("latin1", at, end) === HASH_KEY + hash + CLOSE;
}

/** A Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
