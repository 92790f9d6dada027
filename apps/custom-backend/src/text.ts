import { createHash } from "node:crypto";
import type { Json } from "@aixgo/core";

/** A text as JSON: lone surrogates and NUL, which SQLite would alter or cut, come through, and equal texts stay equal. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Of a JSON value, whatever the order of its members. */
export function digestOf(value: Json): string {
  return createHash("sha256").update(canonical(value)).digest("base64url");
}

function canonical(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const object = value as { readonly [key: string]: Json };
  return `{${Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key] as Json)}`)
    .join()}}`;
}
