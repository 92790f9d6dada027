import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { isAbsolute, join, relative, sep } from "node:path";
import { AixgoError } from "@aixgo/core";
import { controlIn, isWellFormed, quoted } from "./text.ts";

/** Longest file name that `encodeSegment` makes: below the 255 of common file systems, so that suffixes find room. */
export const MAX_SEGMENT_BYTES = 200;

const DIGEST_LENGTH = 64;
const PLAIN = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_-])?$/;
/** Files of these names are devices on Windows, whatever their extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/;
const RESERVED = /[\\/:*?"<>|]/;

/**
 * A file name for any text: different texts get different names, also where the file system ignores case or normalizes Unicode.
 *
 * Letters `a-z`, digits, `_`, inner `-` and `.` stay; every other byte of the UTF-8 form becomes `%` and two lower-case digits.
 * A result over 200 bytes is cut and ended by `~` and the SHA-256 of the text. The empty text is `%`.
 * @throws AixgoError `INVALID_INPUT` for a lone surrogate
 */
export function encodeSegment(text: string): string {
  if (text.length <= MAX_SEGMENT_BYTES && PLAIN.test(text) && !DEVICE.test(text)) return text;
  if (!isWellFormed(text))
    throw new AixgoError("INVALID_INPUT", `${quoted(text)} is not well-formed Unicode (lone surrogate) and cannot become a file name`);
  if (text === "") return "%";
  const bytes = Buffer.from(text, "utf8");
  let name = "";
  for (let i = 0; i < bytes.length && name.length <= MAX_SEGMENT_BYTES; i++) {
    const byte = bytes[i] as number;
    const inner = i > 0 && i < bytes.length - 1;
    name += isKept(byte, inner, i > 0) ? String.fromCharCode(byte) : escaped(byte);
  }
  if (DEVICE.test(name)) name = escaped(name.charCodeAt(0)) + name.slice(1);
  if (name.length <= MAX_SEGMENT_BYTES) return name;
  const digest = createHash("sha256").update(bytes).digest("hex");
  return `${name.slice(0, MAX_SEGMENT_BYTES - DIGEST_LENGTH - 1)}~${digest}`;
}

/**
 * `root` and one path segment after another. The result lies below `root`, whatever the segments are; symbolic links are not followed.
 * @throws AixgoError `INVALID_INPUT` for a segment that is empty, `.`, `..`, or holds a separator, a drive, a control character
 */
export function safeJoin(root: string, ...segments: readonly string[]): string {
  if (root === "" || root.includes("\0")) throw new AixgoError("INVALID_INPUT", "the root of a path is empty or holds a NUL character");
  for (const segment of segments) {
    const problem = segmentProblem(segment);
    if (problem !== undefined) throw new AixgoError("INVALID_INPUT", `path segment ${quoted(segment)} ${problem}`);
  }
  const path = join(root, ...segments);
  // The segments cannot leave the root any more; this says so without knowing how they were checked.
  const below = relative(root, path);
  if (isAbsolute(below) || below === ".." || below.startsWith(`..${sep}`)) {
    throw new AixgoError("INVALID_INPUT", `path segments ${segments.map(quoted).join(", ")} leave their root`);
  }
  return path;
}

/**
 * A path of the user's with `~` replaced by the home folder; other paths are returned unchanged.
 * @throws AixgoError `INVALID_OPTION` if there is no home folder, for `~name`, and for a NUL character
 */
export function expandHome(path: string): string {
  if (path.includes("\0")) throw new AixgoError("INVALID_OPTION", "a path holds a NUL character");
  if (!path.startsWith("~")) return path;
  if (path.length > 1 && path[1] !== "/" && path[1] !== sep) {
    throw new AixgoError(
      "INVALID_OPTION",
      `path ${quoted(path)}: only ~ and ~/… are expanded; give the whole path, or ./${quoted(path).slice(1, -1)} for a folder of that name`,
    );
  }
  return join(home(), path.slice(1));
}

function home(): string {
  let folder = "";
  try {
    folder = homedir();
  } catch {
    // No HOME, and the user is not in the system's list: common in containers.
  }
  if (!isAbsolute(folder)) {
    throw new AixgoError(
      "INVALID_OPTION",
      "~ cannot be expanded: this process has no home folder. Set HOME (on Windows: USERPROFILE), or give an absolute path",
    );
  }
  return folder;
}

function segmentProblem(segment: unknown): string | undefined {
  if (typeof segment !== "string") return "is not a string";
  if (segment === "") return "is empty";
  if (segment === "." || segment === "..") return "names a folder above or itself";
  if (!isWellFormed(segment)) return "is not well-formed Unicode (lone surrogate)";
  const control = controlIn(segment);
  if (control !== undefined) return `contains the control character ${control}`;
  const reserved = RESERVED.exec(segment);
  if (reserved !== null) return `contains ${reserved[0]}, which cannot stand in a file name`;
  // Windows drops these, so that `..  ` would be `..` there.
  if (segment.endsWith(".") || segment.endsWith(" ")) return "ends with a dot or a space";
  return undefined;
}

function isKept(byte: number, inner: boolean, notFirst: boolean): boolean {
  if ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f) return true;
  return (byte === 0x2d && notFirst) || (byte === 0x2e && inner);
}

function escaped(byte: number): string {
  return `%${byte.toString(16).padStart(2, "0")}`;
}
