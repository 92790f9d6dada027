import type { Json } from "@aixgo/core";

/** Why a value is not JSON; the message completes "it …". */
export class NotJsonError extends Error {
  override readonly name = "NotJsonError";
}

/** Deeper than any honest result, well within what a session stores. */
const MAX_DEPTH = 100;
const MAX_VALUES = 500_000;

/**
 * A copy of a foreign value that is stored unchanged: `toJSON` is followed (dates), members that are `undefined` are left out,
 * lone surrogates become U+FFFD.
 *
 * @throws NotJsonError for what JSON would lose or alter: functions, BigInt, NaN, maps, cycles, too deep or too many values
 */
export function toJson(value: unknown): Json {
  let values = 0;
  const within = new Set<object>();
  const copy = (current: unknown, depth: number): Json => {
    values += 1;
    if (values > MAX_VALUES) throw new NotJsonError(`has more than ${MAX_VALUES} values`);
    if (typeof current === "string") return wellFormed(current);
    if (typeof current === "boolean" || current === null) return current;
    if (typeof current === "number") {
      if (!Number.isFinite(current)) throw new NotJsonError(`holds ${current}`);
      // JSON has no -0.
      return current === 0 ? 0 : current;
    }
    if (typeof current !== "object") throw new NotJsonError(current === undefined ? "holds undefined" : `holds a ${typeof current}`);
    if (within.has(current)) throw new NotJsonError("refers to itself");
    if (depth >= MAX_DEPTH) throw new NotJsonError(`is nested deeper than ${MAX_DEPTH} levels`);
    within.add(current);
    const copied = copyObject(current, (member) => copy(member, depth + 1));
    within.delete(current);
    return copied;
  };
  return copy(value, 0);
}

function copyObject(current: object, copy: (member: unknown) => Json): Json {
  if (ArrayBuffer.isView(current) || current instanceof ArrayBuffer) throw new NotJsonError("holds binary data");
  const convert = (current as { toJSON?: unknown }).toJSON;
  if (typeof convert === "function") return copy(convert.call(current));
  if (Array.isArray(current)) return Array.from(current, copy);
  const entries = Object.entries(current);
  if (entries.length === 0 && !isPlain(current)) throw new NotJsonError(`holds a ${current.constructor?.name || "class instance"}`);
  const copied: { [key: string]: Json } = {};
  for (const [key, member] of entries) {
    if (member === undefined) continue;
    // An assignment to `__proto__` would set the prototype instead of a member.
    Object.defineProperty(copied, wellFormed(key), { value: copy(member), enumerable: true, writable: true, configurable: true });
  }
  return copied;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The text as UTF-8 can carry it. */
export function wellFormed(text: string): string {
  // In Node since 20; in TypeScript's library only from es2024.
  return (text as string & { toWellFormed(): string }).toWellFormed();
}

export function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The beginning of a text, within `maxBytes` of UTF-8 and without half a character. */
export function cutText(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  // No more of it than could fit: a character has at least one byte.
  const bytes = Buffer.from(text.slice(0, maxBytes + 1));
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  // Back to the start of a character: its bytes after the first are 10xxxxxx.
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end);
}
