import { AixgoError } from "@aixgo/core";
import { assertDigest, type BlobStore, receiveBlob } from "@aixgo/session/backend";
import { bodyOf, draftChunk, keepBlobs, nameBody, removeDraft, touchBlob } from "./blob-rows.ts";
import { fromCaller } from "./caller-source.ts";
import { refuseAborted } from "./cancellation.ts";
import { assertRef, currentRow } from "./session-row.ts";
import { storeError } from "./sqlite-errors.ts";
import type { Store } from "./store.ts";

export const MAX_BLOB_BYTES: number = 64 * 1024 * 1024;
/** Every chunk but the last has this size, so that a reader finds the next one even if the blob was removed and stored again. */
const CHUNK_BYTES = 1024 * 1024;

/** Attachments in the same database. Their bytes are drafted like long logs: a chunk at a time, and named once they are whole. */
export function createBlobs(store: Store): BlobStore {
  return {
    async put(ref, digest, body, { signal } = {}) {
      const doing = `put an attachment of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      if (digest !== undefined) assertDigest(digest);
      refuseAborted(doing, signal);
      const isThere = await store.write(doing, (connection) => {
        currentRow(connection, ref);
        return digest !== undefined && touchBlob(connection, ref.id, digest);
      });
      if (digest !== undefined && isThere) return digest;

      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      let filled = 0;
      let count = 0;
      let draft: number | undefined;
      const flush = async (): Promise<void> => {
        const bytes = Uint8Array.from(chunk.subarray(0, filled));
        const n = count++;
        filled = 0;
        draft = await store.write(doing, (connection) => draftChunk(connection, draft, n, bytes));
      };
      try {
        const request = { operation: doing, body: fromCaller(() => body), expected: digest, maxBytes: MAX_BLOB_BYTES, signal };
        const found = await receiveBlob(request, async (bytes) => {
          for (let at = 0; at < bytes.length;) {
            const part = bytes.subarray(at, at + CHUNK_BYTES - filled);
            chunk.set(part, filled);
            filled += part.length;
            at += part.length;
            if (filled === CHUNK_BYTES) await flush();
          }
        });
        const [rest, last] = [Uint8Array.from(chunk.subarray(0, filled)), count];
        return await store.write(doing, (connection) => {
          // Asked again: while the bytes came, the session may have been deleted or rewritten.
          currentRow(connection, ref);
          nameBody(connection, ref.id, found, rest.length === 0 ? draft : draftChunk(connection, draft, last, rest));
          return found;
        });
      } catch (error) {
        const left = draft;
        // What cannot be removed now is cleared as abandoned.
        if (left !== undefined) await store.write(doing, (connection) => removeDraft(connection, left)).catch(() => undefined);
        throw storeError(error, doing);
      }
    },

    async *get(ref, digest, { signal } = {}) {
      const doing = `read an attachment of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      assertDigest(digest);
      for (let n = 0; ; n++) {
        refuseAborted(doing, signal);
        const bytes = await store.read(doing, (connection) => {
          currentRow(connection, ref);
          const body = bodyOf(connection, ref.id, digest);
          if (body === undefined) throw new AixgoError("ENTRY_NOT_FOUND", `there is no ${digest}`);
          return connection.get("SELECT bytes FROM chunks WHERE body = ? AND n = ?", body, n)?.[0];
        });
        if (!(bytes instanceof Uint8Array)) return;
        yield Uint8Array.from(bytes);
      }
    },

    async touch(ref, digest) {
      const doing = `touch an attachment of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      assertDigest(digest);
      return store.write(doing, (connection) => {
        currentRow(connection, ref);
        return touchBlob(connection, ref.id, digest);
      });
    },

    async collect(ref, keep, olderThanMs) {
      const doing = `collect attachments of session ${ref.id}`;
      store.ready(doing);
      assertRef(ref);
      if (!(olderThanMs >= 0 && olderThanMs < Number.MAX_SAFE_INTEGER))
        throw new AixgoError("INVALID_INPUT", `${doing}: olderThanMs must be a time of at least zero`);
      return store.write(doing, (connection) => {
        currentRow(connection, ref);
        return keepBlobs(connection, ref.id, keep, Date.now() - Math.floor(olderThanMs));
      });
    },
  };
}
