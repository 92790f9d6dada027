import { closeSync, constants, fstatSync, futimesSync, lstatSync, read, readdirSync, renameSync, rmSync, write } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AixgoError } from "@aixgo/core";
import { newSessionId } from "@aixgo/security";
import { assertDigest, type BlobStore, receiveBlob, type Ref } from "@aixgo/session/backend";
import { Draft, openPrivate, removeFile, syncFile, syncFolder } from "./durable.ts";
import { codeOf, isMissing, markForeign } from "./fs-errors.ts";
import { assertIncarnation, type Journal } from "./journal.ts";
import { assertPrivate, type Layout, makePrivateFolder } from "./layout.ts";

export const MAX_BLOB_BYTES: number = 64 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
/** Removed inside one hold of the lock. */
const BATCH = 64;
const DIGEST = /^sha256-[0-9a-f]{64}$/;

/**
 * Attachments: one file each, `<agent>/<id>.blobs/<digest>`, written as a draft, synced whole, then named inside the
 * session's lock. So a name never stands for a part of the bytes, and none can appear once the session is deleted. A file's
 * time is the age of its blob.
 */
export interface Blobs extends BlobStore {
  /** Under the session's lock: removes what is not in `keep`. */
  keepOnly(folder: string, id: string, keep: ReadonlySet<string>): void;
  /** Makes durable what `keepOnly` has done. */
  settleRemoval(folder: string, id: string): Promise<void>;
  /** Takes the blobs of a session away at once; `remains` is to be removed afterwards. */
  detach(folder: string, id: string): string | undefined;
}

export function createBlobs(store: { readonly layout: Layout; readonly journal: Journal; readonly durable: boolean }): Blobs {
  const { layout, journal, durable } = store;

  /** The session must be there, in this life. */
  function folderOfSession(ref: Ref): Promise<string> {
    return journal.withLog(ref.id, (log) => {
      assertIncarnation(log, ref);
      return log.folder;
    });
  }

  /** The names are durable when this resolves, whoever made them. */
  async function settle(folder: string, id: string): Promise<void> {
    if (!durable) return;
    await syncFolder(layout.blobs(folder, id));
    await syncFolder(layout.agentFolder(folder));
  }

  async function touch(ref: Ref, digest: string, doing: string): Promise<boolean> {
    const folder = await journal.withLock(ref, doing, (log) => (renewed(layout.blob(log.folder, ref.id, digest)) ? log.folder : undefined));
    if (folder === undefined) return false;
    await settle(folder, ref.id);
    return true;
  }

  function names(folder: string, id: string): string[] {
    try {
      return readdirSync(layout.blobs(folder, id)).filter((name) => DIGEST.test(name));
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  return {
    async put(ref, digest, body, { signal } = {}) {
      const doing = `put an attachment of session ${ref.id}`;
      if (digest !== undefined) {
        assertDigest(digest);
        if (await touch(ref, digest, doing)) return digest;
      } else await folderOfSession(ref);
      const draft = new Draft(layout.part("drafts"));
      try {
        let at = 0;
        const request = { operation: doing, body: marked(body), expected: digest, maxBytes: MAX_BLOB_BYTES, signal };
        const found = await receiveBlob(request, async (chunk) => {
          await writeLater(draft.fd, chunk, at);
          at += chunk.length;
        });
        // Whatever the durability: a name that outlives a power cut must not lead to other bytes.
        await syncFile(draft.fd);
        const folder = await journal.withLock(ref, doing, (log) => {
          makePrivateFolder(layout.blobs(log.folder, ref.id), layout.shownBlobs(log.folder, ref.id), []);
          const path = layout.blob(log.folder, ref.id, found);
          if (!renewed(path)) draft.publish(path);
          return log.folder;
        });
        await settle(folder, ref.id);
        return found;
      } finally {
        draft.discard();
      }
    },
    async *get(ref, digest, { signal } = {}) {
      assertDigest(digest);
      const folder = await folderOfSession(ref);
      const fd = openBlob(layout, folder, ref.id, digest);
      try {
        for (let at = 0; ;) {
          if (signal?.aborted === true)
            throw new AixgoError("CANCELLED", `reading an attachment of session ${ref.id} was cancelled`, { cause: signal.reason });
          const chunk = await readLater(fd, at);
          if (chunk.length === 0) return;
          at += chunk.length;
          yield chunk;
        }
      } finally {
        closeSync(fd);
      }
    },
    async touch(ref, digest) {
      assertDigest(digest);
      return touch(ref, digest, `touch an attachment of session ${ref.id}`);
    },
    async collect(ref, keep, olderThanMs) {
      const doing = `collect attachments of session ${ref.id}`;
      const folder = await folderOfSession(ref);
      const unnamed = names(folder, ref.id).filter((name) => !keep.has(name));
      let removed = 0;
      for (let at = 0; at < unnamed.length; at += BATCH) {
        removed += await journal.withLock(ref, doing, (log) => {
          let gone = 0;
          for (const name of unnamed.slice(at, at + BATCH)) {
            const path = layout.blob(log.folder, ref.id, name);
            const stat = lstatSync(path, { throwIfNoEntry: false });
            if (stat !== undefined && Date.now() - stat.mtimeMs >= olderThanMs && removeFile(path)) gone += 1;
          }
          return gone;
        });
      }
      return removed;
    },
    keepOnly(folder, id, keep) {
      for (const name of names(folder, id)) if (!keep.has(name)) removeFile(layout.blob(folder, id, name));
    },
    async settleRemoval(folder, id) {
      const path = layout.blobs(folder, id);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) await syncFolder(path);
    },
    detach(folder, id) {
      const path = layout.blobs(folder, id);
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
      const remains = join(layout.part("drafts"), newSessionId());
      try {
        renameSync(path, remains);
        return remains;
      } catch (error) {
        if (isMissing(error)) return undefined;
        rmSync(path, { recursive: true, force: true });
        return undefined;
      }
    },
  };
}

/** What `detach` took away, one or a few of them; a crash leaves them to the sweep of drafts. */
export async function removeRemains(remains: readonly (string | undefined)[]): Promise<void> {
  for (const path of remains) if (path !== undefined) await rm(path, { recursive: true, force: true });
}

/** Begins the age of a blob anew. False: there is none. */
function renewed(path: string): boolean {
  let fd: number;
  try {
    fd = openPrivate(path, constants.O_RDONLY);
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  try {
    const now = new Date();
    futimesSync(fd, now, now);
    return true;
  } finally {
    closeSync(fd);
  }
}

function openBlob(layout: Layout, folder: string, id: string, digest: string): number {
  let fd: number;
  try {
    fd = openPrivate(layout.blob(folder, id, digest), constants.O_RDONLY);
  } catch (error) {
    if (isMissing(error)) throw new AixgoError("ENTRY_NOT_FOUND", `session ${id} has no attachment ${digest}`);
    throw error;
  }
  try {
    assertPrivate(fstatSync(fd), "file", `${layout.shownBlobs(folder, id)}/${digest}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** What the caller's source throws reaches the caller as it is. */
async function* marked(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw markForeign(error);
  }
}

/** On the thread pool: an attachment is no small write. */
async function writeLater(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const written = await new Promise<number>((done, fail) => {
      write(fd, bytes, at, bytes.length - at, position + at, (error, count) => (error === null ? done(count) : fail(error)));
    });
    if (written === 0) throw Object.assign(new Error("nothing more could be written"), { code: "ENOSPC", syscall: "write" });
    at += written;
  }
}

async function readLater(fd: number, position: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const count = await new Promise<number>((done, fail) => {
    read(fd, bytes, 0, CHUNK_BYTES, position, (error, n) => (error === null ? done(n) : fail(error)));
  });
  return bytes.subarray(0, count);
}

export function isUnlinkable(error: unknown): boolean {
  return ["EMLINK", "EPERM", "EXDEV", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error) ?? "");
}
