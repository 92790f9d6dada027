import {
  closeSync,
  constants,
  fchmodSync,
  fdatasync,
  fsync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { newSessionId } from "@aixgo/security";
import { isMissing } from "./fs-errors.ts";

/** fdatasync on the thread pool, begun at once. Tells `synced`, or has `failed` make the error that is thrown. */
export function syncData(fd: number, synced: () => void, failed: (error: unknown) => unknown): Promise<void> {
  return new Promise((done, fail) =>
    fdatasync(fd, (error) => {
      if (error !== null) return fail(failed(error));
      synced();
      done();
    }),
  );
}

/** fsync on the thread pool. */
export function syncFile(fd: number): Promise<void> {
  return new Promise((done, fail) => fsync(fd, (error) => (error === null ? done() : fail(error))));
}

/** Waits for all of them, also when one fails: a descriptor must not be closed while another still uses it. Throws the first failure. */
export async function allSynced(...syncs: ReadonlyArray<Promise<void>>): Promise<void> {
  for (const outcome of await Promise.allSettled(syncs)) if (outcome.status === "rejected") throw outcome.reason;
}

/** Opens a file of the store without following a symbolic link; one that is made gets mode 0600 whatever the umask. */
export function openPrivate(path: string, flags: number): number {
  const fd = openSync(path, flags | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0), 0o600);
  if ((flags & constants.O_CREAT) !== 0 && process.platform !== "win32") fchmodSync(fd, 0o600);
  return fd;
}

/** Makes the names in a folder durable. Windows has no such call: its renames are journaled. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const fd = openSync(path, constants.O_RDONLY);
  try {
    await syncFile(fd);
  } finally {
    closeSync(fd);
  }
}

export function syncFolderNow(path: string): void {
  if (process.platform === "win32") return;
  const fd = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A new file in the store's folder for unfinished ones, which the next start sweeps. */
export class Draft {
  readonly path: string;
  readonly fd: number;
  #open = true;

  constructor(folder: string) {
    this.path = join(folder, newSessionId());
    this.fd = openPrivate(this.path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
  }

  write(bytes: Uint8Array, position: number): void {
    writeAll(this.fd, bytes, position);
  }

  /** Gives the draft its name. With `keep` the descriptor stays open and is the caller's. */
  publish(path: string, keep = false): void {
    renameSync(this.path, path);
    if (!keep) closeSync(this.fd);
    this.#open = false;
  }

  /** Idempotent; does nothing after `publish`. */
  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
    removeFile(this.path);
  }
}

/** Removes a file if it is there. Returns whether it was. */
export function removeFile(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return false;
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Replaces a small file whole. Not durable: for what can be rebuilt. */
export function replaceNow(drafts: string, path: string, bytes: Uint8Array): void {
  const draft = new Draft(drafts);
  try {
    draft.write(bytes, 0);
    draft.publish(path);
  } finally {
    draft.discard();
  }
}

/**
 * Writes a record over the one that is there, whose end may stay behind it. Not durable, and a reader may meet half of it: for
 * records that tell themselves whether they are whole. Far cheaper than a replacement, which makes the file system write at once.
 */
export function overwriteNow(path: string, record: Uint8Array): void {
  const fd = openPrivate(path, constants.O_WRONLY | constants.O_CREAT);
  try {
    writeAll(fd, record, 0);
  } finally {
    closeSync(fd);
  }
}

/** Writes all bytes or throws. A full disk shows as a short write, which is no error of the system's. */
export function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  let at = 0;
  while (at < bytes.length) {
    const written = writeSync(fd, bytes, at, bytes.length - at, position === null ? null : position + at);
    if (written === 0) throw Object.assign(new Error("nothing more could be written"), { code: "ENOSPC", syscall: "write" });
    at += written;
  }
}
