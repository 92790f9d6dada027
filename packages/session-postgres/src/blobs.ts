import { AixgoError } from "@aixgo/core";
import { assertDigest, type BlobStore, receiveBlob, type Ref } from "@aixgo/session/backend";
import { columnText } from "./column-text.ts";
import { refuseAborted } from "./connection.ts";
import { meaningOf } from "./creation.ts";
import { bytesOf } from "./lines.ts";
import { purgeBlob, purgeLooseBlobs } from "./loose-blobs.ts";
import { currentHead, incarnationChanged, type Store } from "./store.ts";

/** One row. */
const CHUNK_BYTES = 256 * 1024;
/** Sent with one statement, and asked for with one. */
const CHUNKS_AT_ONCE = 4;
const PIECE_BYTES = CHUNK_BYTES * CHUNKS_AT_ONCE;

/** Counts a piece of work for `close`, and prepares the store before the first one. Bodies are drawn outside: they may stall. */
type Call = <T>(doing: string, body: () => Promise<T>) => Promise<T>;

/**
 * Attachments as rows of chunks. They are stored as they come, under a number that no session names; the last statement names
 * it, if the session is still there, in this life. No connection is held while the body is waited for. Every statement may be
 * sent twice, so a lost answer is no unknown outcome.
 */
export function createBlobs(store: Store, call: Call): BlobStore {
  const { connections, statements, options, lockMs } = store;
  const maxBytes = options.capabilities.maxBlobBytes;

  /** Undefined: there is no such life of the session. */
  async function touch(doing: string, ref: Ref, digest: string): Promise<boolean | undefined> {
    const values = [columnText(ref.id), columnText(ref.incarnation), digest, lockMs];
    const [row] = await connections.run({ doing, effect: "read", text: statements.touchBlob, values });
    return (row?.["touched"] as boolean | null) ?? undefined;
  }

  async function stage(doing: string, blob: string, tenant: string | null, firstNo: number, bytes: Uint8Array): Promise<string> {
    const values = [blob, tenant, firstNo, bytes, CHUNK_BYTES, lockMs];
    const [row] = await connections.run({ doing, effect: "read", text: statements.stageBlob, values });
    const number = row?.["blob"];
    if (typeof number === "string") return number;
    throw stagedGone(doing);
  }

  /** Throws what says why there is no such life of a session. */
  async function gone(doing: string, ref: Ref): Promise<never> {
    await currentHead(store, doing, ref);
    // Created between the two statements.
    throw incarnationChanged(doing);
  }

  return {
    async put(ref, digest, body, { signal } = {}) {
      const doing = `put an attachment of session ${ref.id}`;
      if (digest !== undefined) {
        assertDigest(digest);
        if ((await call(doing, () => touch(doing, ref, digest))) === true) return digest;
      }
      const { info } = await call(doing, () => currentHead(store, doing, ref));
      const tenant = info.tenantId === undefined ? null : columnText(info.tenantId);
      let blob = "0";
      let firstNo = 0;
      let length = 0;
      const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      let filled = 0;
      try {
        const found = await receiveBlob({ operation: doing, body, expected: digest, maxBytes, signal }, async (chunk) => {
          length += chunk.length;
          for (let at = 0; at < chunk.length;) {
            // A full piece waits for the next byte: the last one goes with the name.
            if (filled === PIECE_BYTES) {
              blob = await call(doing, () => stage(doing, blob, tenant, firstNo, piece));
              firstNo += CHUNKS_AT_ONCE;
              filled = 0;
            }
            const part = chunk.subarray(at, at + PIECE_BYTES - filled);
            piece.set(part, filled);
            filled += part.length;
            at += part.length;
          }
        });
        return await call(doing, async () => {
          const last = piece.subarray(0, filled);
          const { id, incarnation } = ref;
          const values = [columnText(id), columnText(incarnation), found, blob, firstNo, last, CHUNK_BYTES, length, lockMs];
          const [row] = await connections.run({ doing, effect: "read", text: statements.putBlob, values }).catch((error: unknown) => {
            throw meaningOf(error, doing, id);
          });
          const named = row?.["blob"];
          if (typeof named !== "string") return gone(doing, ref);
          // The session has these bytes already.
          if (named !== blob) await purgeBlob(store, doing, blob);
          return found;
        });
      } catch (error) {
        if (blob !== "0") await call(doing, () => purgeBlob(store, doing, blob)).catch(() => undefined);
        throw error;
      }
    },

    async *get(ref, digest, { signal } = {}) {
      const doing = `read an attachment of session ${ref.id}`;
      assertDigest(digest);
      let left: number | undefined;
      for (let no = 0; left !== 0;) {
        refuseAborted(doing, signal);
        const values = [columnText(ref.id), digest, no, CHUNKS_AT_ONCE];
        const rows = await call(doing, async () => {
          const found = await connections.run({ doing, effect: "read", text: statements.getBlob, values, signal });
          if (found[0]?.["incarnation"] !== columnText(ref.incarnation)) return gone(doing, ref);
          return found;
        });
        const bytes = rows[0]?.["bytes"];
        if (typeof bytes !== "string")
          throw new AixgoError("ENTRY_NOT_FOUND", `${doing}: it has no attachment ${digest}`, { details: { session: ref.id, digest } });
        left ??= Number(bytes);
        for (const { no: found, chunk } of rows) {
          if (left === 0) break;
          const part = found === no ? bytesOf(chunk) : undefined;
          if (part === undefined || part.length > left) throw damaged(doing, ref, digest);
          no += 1;
          left -= part.length;
          refuseAborted(doing, signal);
          yield part;
        }
      }
    },

    async touch(ref, digest) {
      const doing = `touch an attachment of session ${ref.id}`;
      assertDigest(digest);
      return call(doing, async () => (await touch(doing, ref, digest)) ?? gone(doing, ref));
    },

    async collect(ref, keep, olderThanMs) {
      const doing = `collect attachments of session ${ref.id}`;
      if (!(olderThanMs >= 0)) throw new AixgoError("INVALID_INPUT", `${doing}: olderThanMs must be a time of zero or more`);
      return call(doing, async () => {
        // What is older than the store is nothing.
        const older = Math.min(olderThanMs, MAX_AGE_MS);
        const values = [columnText(ref.id), columnText(ref.incarnation), [...keep], older, lockMs];
        const [row] = await connections.run({ doing, effect: "write", text: statements.collectBlobs, values });
        const count = row?.["gone"];
        if (typeof count !== "string") return gone(doing, ref);
        await purgeLooseBlobs(store);
        return Number(count);
      });
    },
  };
}

const MAX_AGE_MS = 100 * 365 * 24 * 60 * 60 * 1000;

function stagedGone(doing: string): AixgoError {
  return new AixgoError(
    "BACKEND_UNAVAILABLE",
    `${doing}: its bytes came so slowly that those before have been cleared away; nothing was stored`,
  );
}

function damaged(doing: string, ref: Ref, digest: string): AixgoError {
  return new AixgoError("ENTRY_CORRUPT", `${doing}: a part of attachment ${digest} is missing`, { details: { session: ref.id, digest } });
}
