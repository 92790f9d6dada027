import { AixgoError } from "@aixgo/core";
import { assertDigest, receiveBlob } from "./blob.ts";
import type { BlobStore, CreateRequest, Ref } from "./contract.ts";

export const MAX_BLOB_BYTES: number = 64 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

export interface MemoryBlob {
  readonly chunks: readonly Uint8Array[];
  /** By the store's clock. */
  touchedAt: number;
}

/** Blobs of one session, by digest. */
export type MemoryBlobs = Map<string, MemoryBlob>;

/** `blobsOf` throws if the backend is closed, or the session is not there in this life. */
export function createMemoryBlobs(now: () => number, blobsOf: (operation: string, ref: Ref) => MemoryBlobs): BlobStore {
  return {
    async put(ref, digest, body, { signal } = {}) {
      const operation = `put an attachment of session ${ref.id}`;
      if (digest !== undefined) {
        assertDigest(digest);
        const known = blobsOf(operation, ref).get(digest);
        if (known !== undefined) {
          known.touchedAt = now();
          return digest;
        }
      }
      blobsOf(operation, ref);
      const chunks: Uint8Array[] = [];
      const found = await receiveBlob({ operation, body, expected: digest, maxBytes: MAX_BLOB_BYTES, signal }, (chunk) => {
        // A copy: the caller may use its buffer again.
        for (let at = 0; at < chunk.length; at += CHUNK_BYTES) chunks.push(Uint8Array.from(chunk.subarray(at, at + CHUNK_BYTES)));
      });
      // Asked again: while the bytes came, the session may have been deleted or rewritten.
      const blobs = blobsOf(operation, ref);
      const known = blobs.get(found);
      if (known === undefined) blobs.set(found, { chunks, touchedAt: now() });
      else known.touchedAt = now();
      return found;
    },
    async *get(ref, digest, { signal } = {}) {
      const operation = `read an attachment of session ${ref.id}`;
      assertDigest(digest);
      const blob = blobsOf(operation, ref).get(digest);
      if (blob === undefined) throw noBlob(ref.id, digest);
      for (const chunk of blob.chunks) {
        if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${operation} was cancelled`, { cause: signal.reason });
        blobsOf(operation, ref);
        yield chunk.slice();
      }
    },
    async touch(ref, digest) {
      assertDigest(digest);
      const blob = blobsOf(`touch an attachment of session ${ref.id}`, ref).get(digest);
      if (blob !== undefined) blob.touchedAt = now();
      return blob !== undefined;
    },
    async collect(ref, keep, olderThanMs) {
      const blobs = blobsOf(`collect attachments of session ${ref.id}`, ref);
      let removed = 0;
      for (const [digest, { touchedAt }] of blobs) {
        if (keep.has(digest) || now() - touchedAt < olderThanMs) continue;
        blobs.delete(digest);
        removed += 1;
      }
      return removed;
    },
  };
}

/** What a fork starts with: the bytes are shared, they never change. */
export function copiedBlobs(request: CreateRequest, now: () => number, blobsOf: (operation: string, ref: Ref) => MemoryBlobs): MemoryBlobs {
  const copies: MemoryBlobs = new Map();
  const source = request.blobs?.();
  if (source === undefined || source.digests.size === 0) return copies;
  const blobs = blobsOf("create", source.from);
  for (const digest of source.digests) {
    const blob = blobs.get(digest);
    if (blob !== undefined) copies.set(digest, { chunks: blob.chunks, touchedAt: now() });
  }
  return copies;
}

export function noBlob(id: string, digest: string): AixgoError {
  return new AixgoError("ENTRY_NOT_FOUND", `session ${id} has no attachment ${digest}`);
}
