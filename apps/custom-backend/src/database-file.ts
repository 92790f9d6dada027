import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AixgoError } from "@aixgo/core";

/**
 * Makes the file and its folder, readable by their owner only, before SQLite opens it: `-wal` and `-shm` get its mode.
 * A file that is there is not opened here: closing it would drop the locks that this process has on it.
 */
export function makeDatabaseFile(file: string, shownFile: string): void {
  try {
    const folder = dirname(file);
    const made = makeFolders(folder);
    try {
      closeSync(openSync(file, "wx", 0o600));
    } catch (error) {
      if (codeOf(error) === "EEXIST") return;
      throw error;
    }
    syncFolder(folder);
    for (const each of made) syncFolder(dirname(each));
  } catch (error) {
    const code = codeOf(error) ?? "an unknown error";
    const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
    throw new AixgoError(
      denied ? "PERMISSION_DENIED" : "BACKEND_UNAVAILABLE",
      `${shownFile} cannot be made (${code}); look at its folder`,
      { details: { errno: code } },
    );
  }
}

/** Makes a folder and those above it; returns what was made. (`recursive: true` never comes back from some paths below `/proc`.) */
function makeFolders(folder: string): string[] {
  const missing: string[] = [];
  for (let at = folder; !existsSync(at); at = dirname(at)) missing.unshift(at);
  for (const each of missing) {
    try {
      mkdirSync(each, { mode: 0o700 });
    } catch (error) {
      // Another process was faster.
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }
  return missing;
}

/** Names the file that lies at a path, so that another one in its place is noticed; undefined: there is none. */
export function identityOf(file: string): string | undefined {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}

/** So that the name of a new file survives a power cut. Windows keeps names durable by itself and opens no folders. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function codeOf(error: unknown): string | undefined {
  const code: unknown = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
