import { hash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { isMissing } from "./fs-errors.ts";

/**
 * Small records beside the logs (leases, keys, tombstones, sidecars): `<digest> <JSON>` and a line end.
 * The digest tells a whole record from one that a power cut left half written; what follows the line end is ignored, so
 * that a shorter record may be written over a longer one.
 */
const DIGEST_LENGTH = 16;
const MAX_RECORD_BYTES = 64 * 1024 * 1024;

export function encodeRecord(value: object): Buffer {
  const text = JSON.stringify(value);
  return Buffer.from(`${digestOf(text)} ${text}\n`, "utf8");
}

/** Undefined: this is no whole record. */
export function decodeRecord(bytes: Buffer): unknown {
  const end = bytes.indexOf(0x0a);
  if (end <= DIGEST_LENGTH) return undefined;
  const text = bytes.toString("utf8", DIGEST_LENGTH + 1, end);
  if (bytes.toString("latin1", 0, DIGEST_LENGTH) !== digestOf(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Reads a record. Undefined: there is no file, or no whole record in it. Symbolic links are not followed. */
export function readRecord(path: string): unknown {
  const bytes = readSmallFile(path);
  return bytes === undefined ? undefined : decodeRecord(bytes);
}

/** The bytes of a file of the store, or undefined if there is none. */
export function readSmallFile(path: string): Buffer | undefined {
  // Mostly there is none; looking costs a fifth of an exception.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    return readWhole(fd);
  } finally {
    closeSync(fd);
  }
}

/** All bytes of an open file, from its start. */
export function readWhole(fd: number): Buffer {
  const size = Math.min(fstatSync(fd).size, MAX_RECORD_BYTES);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  while (at < size) {
    const read = readSync(fd, bytes, at, size - at, at);
    if (read === 0) break;
    at += read;
  }
  return bytes.subarray(0, at);
}

function digestOf(text: string): string {
  return hash("sha256", text, "base64url").slice(0, DIGEST_LENGTH);
}
