import { AixgoError } from "@aixgo/core";
import { codePoint, controlIn, isWellFormed, quoted } from "./text.ts";

/** Longest name, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 128;

/** The common case: accepted without any further look, but for device names. */
const PLAIN = /^[A-Za-z0-9_](?:[A-Za-z0-9_. -]*[A-Za-z0-9_-])?$/;
/** Names that Windows gives to devices, with any extension, also with a superscript digit. */
const DEVICE = /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i;
const RESERVED = /[\\/:*?"<>|]/;
/** Drawn as nothing, so that two different names look the same. Emoji made with joiners or variation selectors fall under it. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
/** Drawn as a space without being one. */
const STRANGE_SPACE = /(?! )\p{Zs}/u;

/** Whether `assertSafeName` accepts a value. */
export function isSafeName(value: unknown): value is string {
  return nameProblem(value) === undefined;
}

/**
 * The one rule for names that may become a path, a key or an identifier: agents, tenants, stores.
 *
 * 1 to 128 bytes of UTF-8 in NFC; letters of any script, digits, single emoji, punctuation and inner spaces. Refused: `.` and
 * `..`, a leading `-` or `.`, a leading or trailing space, a trailing `.`, any of `\ / : * ? " < > |`, device names of Windows (`NUL.txt`),
 * control, bidi and invisible characters, spaces other than U+0020, lone surrogates. `a..b` is a name like any other.
 * Names that differ in case are different; `encodeSegment` keeps them apart on every file system.
 *
 * `kind` begins the message: "agent name".
 * @throws AixgoError `INVALID_INPUT`
 */
export function assertSafeName(kind: string, value: unknown): asserts value is string {
  const problem = nameProblem(value);
  if (problem !== undefined) throw new AixgoError("INVALID_INPUT", `${kind} ${quoted(value)} ${problem}`);
}

function nameProblem(value: unknown): string | undefined {
  if (typeof value !== "string") return "is not a string";
  if (value.length === 0) return "is empty";
  if (value.length > MAX_NAME_BYTES || Buffer.byteLength(value) > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`;
  if (DEVICE.test(value)) return "is the name of a device on Windows";
  if (PLAIN.test(value)) return undefined;
  if (!isWellFormed(value)) return "is not well-formed Unicode (lone surrogate)";
  const control = controlIn(value);
  if (control !== undefined) return `contains the control character ${control}`;
  const invisible = INVISIBLE.exec(value);
  if (invisible !== null) return `contains the invisible character ${codePoint(invisible[0])}`;
  const space = STRANGE_SPACE.exec(value);
  if (space !== null) return `contains ${codePoint(space[0])}, a space that is not U+0020`;
  const reserved = RESERVED.exec(value);
  if (reserved !== null) return `contains ${reserved[0]}, which cannot stand in a file name`;
  if (value.startsWith(" ") || value.endsWith(" ")) return "begins or ends with a space";
  if (value.startsWith(".")) return "begins with a dot";
  if (value.startsWith("-")) return "begins with a dash";
  if (value.endsWith(".")) return "ends with a dot";
  if (value.normalize("NFC") !== value) return "is not in Unicode normalization form NFC";
  return undefined;
}
