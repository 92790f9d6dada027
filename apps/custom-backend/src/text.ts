import { createHash } from "node:crypto";
import type { Json } from "@aixgo/core";
import { canonicalJson } from "@aixgo/session/backend";

/** A text as JSON: lone surrogates and NUL, which SQLite would alter or cut, come through, and equal texts stay equal. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Of a JSON value, whatever the order of its members. */
export function digestOf(value: Json): string {
  return createHash("sha256").update(canonicalJson(value)).digest("base64url");
}
