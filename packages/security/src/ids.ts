import { randomFillSync } from "node:crypto";
import { AixgoError } from "@aixgo/core";
import { quoted } from "./text.ts";

/** One call of the crypto source costs as much as forty ids, so random bytes are drawn by the page. */
const POOL_BYTES = 4096;
const SESSION_BYTES = 16;
const ENTRY_BYTES = 12;
const TOKEN_BYTES = 16;
const DASH = 0x2d;
const SESSION_ID = /^[0-9a-f]{32}$/;

let pool: Buffer | undefined;
let used = POOL_BYTES;

/** A new session's id: 16 random bytes, 32 hexadecimal digits in lower case. */
export function newSessionId(): string {
  const at = draw(SESSION_BYTES);
  return source().toString("hex", at, at + SESSION_BYTES);
}

/** A new entry's id: 12 random bytes, 16 characters of base64url. It never begins with `-`, so a command line takes it for a value. */
export function newEntryId(): string {
  for (;;) {
    const at = draw(ENTRY_BYTES);
    const id = source().toString("base64url", at, at + ENTRY_BYTES);
    if (id.charCodeAt(0) !== DASH) return id;
  }
}

/** A secret of its holder, such as a lease's token: 16 random bytes, 22 characters of base64url. */
export function newToken(): string {
  const at = draw(TOKEN_BYTES);
  const bytes = source();
  const token = bytes.toString("base64url", at, at + TOKEN_BYTES);
  bytes.fill(0, at, at + TOKEN_BYTES);
  return token;
}

/** Whether a value has the form of a session id. */
export function isSessionId(value: unknown): value is string {
  return typeof value === "string" && SESSION_ID.test(value);
}

/** @throws AixgoError `INVALID_INPUT`: no session can have this id */
export function assertSessionId(value: unknown): asserts value is string {
  if (!isSessionId(value)) throw new AixgoError("INVALID_INPUT", `session id ${quoted(value)} is not 32 hexadecimal digits in lower case`);
}

/** Reserves bytes of the pool and answers where they begin. No byte is handed out twice. */
function draw(count: number): number {
  if (used + count > POOL_BYTES) {
    randomFillSync(source());
    used = 0;
  }
  const at = used;
  used += count;
  return at;
}

function source(): Buffer {
  // Not from Buffer's own shared slab, where other code could look at it.
  return (pool ??= Buffer.from(new ArrayBuffer(POOL_BYTES)));
}
