import { AixgoError } from "@aixgo/core";

/** Longest text that `assertUserText` accepts, in bytes of UTF-8. */
export const MAX_USER_TEXT_BYTES = 256;

/** Longest part of a refused value that a message shows, in UTF-16 units. */
const SHOWN = 40;

/** Control characters, line separators, bidi controls, and code points that are no characters: none belongs in an identifier. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Beyond those, what is drawn as nothing, but for the joiners and variation selectors that Persian, Hindi and emoji need. */
const INVISIBLE_IN_TEXT = /(?!\u200c|\u200d|[\ufe00-\ufe0f])[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
/** What a quoted value must not bring into a message or a terminal. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether a text has no lone surrogate, so that it survives UTF-8 unchanged. */
export function isWellFormed(text: string): boolean {
  // In Node since 20; the type is declared by es2024, which also declares what Node 20 lacks.
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** A foreign value for a message: quoted, shortened, with everything unprintable escaped. */
export function quoted(value: unknown): string {
  if (typeof value !== "string") return value === null ? "null" : Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
  const shown = value.length > SHOWN ? value.slice(0, SHOWN) : value;
  const text = JSON.stringify(shown).replace(UNPRINTABLE, (character) => codePoint(character));
  return shown === value ? text : `${text}… (${value.length} characters)`;
}

/** A character as `U+202E`. */
export function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The first control or bidi character of a text, as `U+000A`. */
export function controlIn(text: string): string | undefined {
  const found = CONTROL.exec(text);
  return found === null ? undefined : codePoint(found[0]);
}

/** Whether `assertUserText` accepts a value. */
export function isUserText(value: unknown): value is string {
  return userTextProblem(value) === undefined;
}

/**
 * Checks an identifier that comes from elsewhere and never becomes a path: a user id, a tenant's account, a session's key.
 * Accepts e-mail addresses, URNs and any script; 1 to 256 bytes of UTF-8, without control, bidi or invisible characters.
 * It is compared by its bytes: no normalization, no case folding. `kind` begins the message: "user id".
 *
 * @throws AixgoError `INVALID_INPUT`
 */
export function assertUserText(kind: string, value: unknown): asserts value is string {
  const problem = userTextProblem(value);
  if (problem !== undefined) throw new AixgoError("INVALID_INPUT", `${kind} ${quoted(value)} ${problem}`);
}

function userTextProblem(value: unknown): string | undefined {
  if (typeof value !== "string") return "is not a string";
  if (value.length <= MAX_USER_TEXT_BYTES && PLAIN.test(value)) return undefined;
  if (value.length === 0) return "is empty";
  if (value.length > MAX_USER_TEXT_BYTES || Buffer.byteLength(value) > MAX_USER_TEXT_BYTES)
    return `is longer than ${MAX_USER_TEXT_BYTES} bytes`;
  if (!isWellFormed(value)) return "is not well-formed Unicode (lone surrogate)";
  const control = controlIn(value);
  if (control !== undefined) return `contains the control character ${control}`;
  const invisible = INVISIBLE_IN_TEXT.exec(value);
  if (invisible !== null) return `contains the invisible character ${codePoint(invisible[0])}`;
  if (value.trim() !== value) return "begins or ends with a space";
  return undefined;
}
