import { createHash } from "node:crypto";
import type { Json } from "@aixgo/core";
import { canonicalJson, type SessionInfo } from "@aixgo/session/backend";

/** Half of a SHA-256: enough that no two members ever have the same label. */
const LABEL_BYTES = 16;

/**
 * One digest for each member of the metadata, and thus one index for all of them: a key that is declared later needs no
 * rebuild, and nodes that declare different keys do not disturb each other.
 */
export function labelsOf(metadata: SessionInfo["metadata"]): readonly Uint8Array[] {
  return Object.entries(metadata).map(([key, value]) => labelOf(key, value));
}

export function labelOf(key: string, value: Json): Uint8Array {
  return createHash("sha256")
    .update(canonicalJson([key, value]))
    .digest()
    .subarray(0, LABEL_BYTES);
}
