import { createHash } from "node:crypto";
import type { Json } from "@aixgo/core";
import type { SessionInfo } from "@aixgo/session/backend";

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
    .update(canonical([key, value]))
    .digest()
    .subarray(0, LABEL_BYTES);
}

/** A text that is the same for equal values: members in one order. */
export function canonical(value: Json): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}
