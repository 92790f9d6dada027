import { AixgoError, type FilePart, type Part } from "@aixgo/core";
import { isDigest } from "./blob.ts";

const SCHEME = "attachment:";
const NAMED = /attachment:(sha256-[0-9a-f]{64})/g;

export function attachmentUrl(digest: string): string {
  return SCHEME + digest;
}

/** The digest that an `attachment:` address names; undefined for other addresses. Throws `INVALID_INPUT` for a malformed one. */
export function digestOf(url: string): string | undefined {
  if (url.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return undefined;
  const digest = url.slice(SCHEME.length);
  if (!isDigest(digest))
    throw new AixgoError("INVALID_INPUT", `an attachment's address is "attachment:sha256-" and 64 hexadecimal digits in lower case`);
  return digest;
}

/** All digests that lines of a log name: in messages, state and whatever else. */
export function digestsIn(lines: Uint8Array): readonly string[] {
  const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength);
  if (!bytes.includes(SCHEME)) return [];
  return Array.from(bytes.toString("latin1").matchAll(NAMED), ([, digest]) => digest as string);
}

/** The `attachment:` addresses of the files among the parts. */
export function attachmentsIn(parts: readonly Part[]): ReadonlySet<string> {
  const urls = new Set<string>();
  mapFiles(parts, (file) => {
    // A malformed one was stored by a store without attachments, which takes any address.
    if (isDigest(file.url.slice(SCHEME.length)) && file.url.startsWith(SCHEME)) urls.add(file.url);
    return file;
  });
  return urls;
}

/** The parts with each file replaced, those inside of tool results too; the same array if nothing was. */
export function mapFiles(parts: readonly Part[], replace: (file: FilePart) => FilePart): readonly Part[] {
  let mapped: Part[] | undefined;
  for (const [index, part] of parts.entries()) {
    const next = mapPart(part, replace);
    if (next !== part) (mapped ??= [...parts])[index] = next;
  }
  return mapped ?? parts;
}

function mapPart(part: Part, replace: (file: FilePart) => FilePart): Part {
  if (part.type === "file") return replace(part);
  if (part.type !== "tool-result" || part.output.type !== "content") return part;
  const value = mapFiles(part.output.value, replace);
  return value === part.output.value ? part : { ...part, output: { ...part.output, value } };
}
