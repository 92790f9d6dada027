import { isUtf8 } from "node:buffer";
import type { Json } from "@aixgo/core";
import type { Notes } from "./notes.ts";

const LONG_NUMBER = /\d{16}/;
const LONE_ESCAPE = /\\u[dD][89a-fA-F]/;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Parses JSON from a foreign file without losing anything in silence: whole numbers that a double cannot hold become texts, bytes
 * and escapes that are no Unicode become U+FFFD (as the Go release reads them), and a note says so. Throws a `SyntaxError`, or a
 * `RangeError` for what is nested too deeply.
 */
export function parseForeign(bytes: Buffer, where: string, notes: Notes): Json {
  if (!isUtf8(bytes)) notes.add(`${where} holds bytes that are no UTF-8: U+FFFD stands for them`);
  let text = bytes.toString("utf8");
  if (LONG_NUMBER.test(text)) {
    const quoted = quoteLongNumbers(text);
    if (quoted !== text) notes.add(`${where} holds whole numbers that JavaScript would round: kept as texts`);
    text = quoted;
  }
  const value = JSON.parse(text) as Json;
  if (!LONE_ESCAPE.test(text)) return value;
  let lone = false;
  const whole = mapTexts(value, (each) => {
    const mended = Buffer.from(each, "utf8").toString("utf8");
    lone ||= mended !== each;
    return mended;
  });
  if (lone) notes.add(`${where} holds half of a surrogate pair: U+FFFD stands for it`);
  return whole;
}

/** Puts quotes around each whole number that would not be the same as a double. */
function quoteLongNumbers(text: string): string {
  let out = "";
  let copied = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      for (at += 1; at < text.length && text.charCodeAt(at) !== QUOTE; at += 1) if (text.charCodeAt(at) === BACKSLASH) at += 1;
      continue;
    }
    if (!isNumberStart(code)) continue;
    const start = at;
    while (at + 1 < text.length && isNumberPart(text.charCodeAt(at + 1))) at += 1;
    const number = text.slice(start, at + 1);
    if (/^-?\d+$/.test(number) && !Number.isSafeInteger(Number(number)) && String(Number(number)) !== number) {
      out += `${text.slice(copied, start)}"${number}"`;
      copied = at + 1;
    }
  }
  return out + text.slice(copied);
}

/** `-` or a digit. */
function isNumberStart(code: number): boolean {
  return code === 0x2d || (code >= 0x30 && code <= 0x39);
}

/** Digits, `.`, `+`, `-`, `e` and `E`. */
function isNumberPart(code: number): boolean {
  return isNumberStart(code) || code === 0x2e || code === 0x2b || code === 0x65 || code === 0x45;
}

function mapTexts(value: Json, map: (text: string) => string): Json {
  if (typeof value === "string") return map(value);
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item: Json) => mapTexts(item, map));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [map(key), mapTexts(member, map)]));
}
