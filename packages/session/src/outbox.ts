import { createHash } from "node:crypto";
import type { FilePart, Part } from "@aixgo/core";
import { attachmentUrl, digestOf, mapFiles } from "./attachment-address.ts";
import { tooLarge } from "./blob.ts";
import { bytesOfDataUrl } from "./data-url.ts";

/** Data of a file part above this is kept beside the log. */
export const INLINE_BYTES: number = 256 * 1024;

/** An attachment that a message names: to be in the store before its entry is. */
export interface Outgoing {
  readonly digest: string;
  /** Undefined: the message named it by its address, so it must be there. */
  readonly bytes: Uint8Array | undefined;
}

export interface Outbox {
  readonly parts: readonly Part[];
  readonly outgoing: readonly Outgoing[];
}

const NOTHING: readonly Outgoing[] = [];

function mayHoldFiles(parts: readonly Part[]): boolean {
  for (const { type } of parts) if (type === "file" || type === "tool-result") return true;
  return false;
}

/**
 * Moves large data out of the parts of a message: its address then names the digest of its bytes. The part's `mediaType` says
 * what they are; that of the `data:` address is not kept. Nothing is stored here. Throws `LIMIT_EXCEEDED`, `INVALID_INPUT`.
 */
export function moveOut(parts: readonly Part[], maxBlobBytes: number): Outbox {
  if (!mayHoldFiles(parts)) return { parts, outgoing: NOTHING };
  const outgoing: Outgoing[] = [];
  const moved = mapFiles(parts, (file): FilePart => {
    const named = digestOf(file.url);
    if (named !== undefined) {
      outgoing.push({ digest: named, bytes: undefined });
      // In the one form that is searched for.
      return file.url === attachmentUrl(named) ? file : { ...file, url: attachmentUrl(named) };
    }
    const bytes = bytesOfDataUrl(file.url, INLINE_BYTES);
    if (bytes === undefined) return file;
    if (bytes.length > maxBlobBytes) throw tooLarge("append a message", maxBlobBytes);
    const digest = `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
    outgoing.push({ digest, bytes });
    return { ...file, url: attachmentUrl(digest) };
  });
  return { parts: moved, outgoing };
}
