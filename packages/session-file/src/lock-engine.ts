import { closeSync, constants, linkSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { AixgoError } from "@aixgo/core";
import { newSessionId } from "@aixgo/security";
import { openPrivate, removeFile, writeAll } from "./durable.ts";
import { codeOf } from "./fs-errors.ts";
import { isDead, ownIdentity, type ProcessIdentity } from "./process-identity.ts";
import { decodeRecord, encodeRecord, readSmallFile } from "./record.ts";

/** How one lock file is locked. Every call is synchronous and never waits. */
export interface LockEngine {
  /** `path` is the lock file of the descriptor. */
  tryLock(fd: number, path: string): boolean;
  unlock(fd: number, path: string): void;
  /** Pid of the process that holds the lock, if it can be found. Slow: for messages only. */
  holder(path: string): number | undefined;
  close(): void;
}

interface Native {
  tryLock(fd: number): boolean;
  unlock(fd: number): void;
}

/** What the name of a file begins with that says who a process is. */
const OWNER = "owner-";

/** The best lock there is here. `singleProcess`: none, because the critical sections are synchronous. */
export function createLockEngine(folder: string, singleProcess: boolean): LockEngine {
  if (singleProcess) return { tryLock: () => true, unlock: () => undefined, holder: () => undefined, close: () => undefined };
  const native = loadNative();
  if (native !== undefined) return createNativeEngine(native);
  if (ownIdentity().boot === "" || ownIdentity().start === "") {
    throw new AixgoError(
      "LOCK_UNAVAILABLE",
      "no file lock is available: fs-native-extensions does not load here, and this system does not tell processes apart. Install the package for this platform, or give the option singleProcess: true",
    );
  }
  return createFileEngine(folder);
}

/** Kernel locks of open file descriptions: kept by a paused holder, freed when the holder dies. */
export function createNativeEngine(native: Native): LockEngine {
  return {
    tryLock(fd) {
      try {
        return native.tryLock(fd);
      } catch (error) {
        throw new AixgoError(
          "LOCK_UNAVAILABLE",
          `the file system refuses file locks (${codeOf(error) ?? "unknown reason"}). Use a local disk, or the option singleProcess: true`,
          { cause: error },
        );
      }
    },
    unlock: (fd) => native.unlock(fd),
    holder: kernelHolder,
    close: () => undefined,
  };
}

/**
 * Where there are no kernel locks: a link `<lock>.held` to a file that names its owner. Making the link is atomic, and it
 * is complete at once. A dead owner's link is removed under a second link, `<lock>.break`, so that two processes that find
 * it dead cannot remove each other's. That one is never broken: a process killed inside these microseconds leaves a file
 * that has to be removed by hand.
 */
export function createFileEngine(folder: string): LockEngine {
  const self = ownIdentity();
  const owner = join(folder, `${OWNER}${self.pid}-${newSessionId()}`);
  let made = false;
  const link = (path: string): boolean => {
    if (!made) {
      removeOwnersOfDead(folder);
      const fd = openPrivate(owner, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC);
      try {
        writeAll(fd, encodeRecord(self), 0);
      } finally {
        closeSync(fd);
      }
      made = true;
    }
    try {
      linkSync(owner, path);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    }
  };
  const stale = (path: string): boolean => {
    const holder = ownerOf(path);
    return holder === "unknown" || (holder !== undefined && isDead(holder));
  };
  /** Left by an `unlock` that failed: the link is still this engine's, and nobody breaks a lock of the living. */
  const isOwn = (path: string): boolean => {
    const left = lstatSync(path, { throwIfNoEntry: false });
    return left !== undefined && left.ino === lstatSync(owner).ino;
  };
  return {
    tryLock(_, path) {
      const held = `${path}.held`;
      if (link(held) || isOwn(held)) return true;
      if (!stale(held) || !link(`${path}.break`)) return false;
      try {
        if (stale(held)) removeFile(held);
      } finally {
        removeFile(`${path}.break`);
      }
      return link(held);
    },
    unlock: (_, path) => removeFile(`${path}.held`),
    holder(path) {
      const holder = ownerOf(`${path}.held`);
      return typeof holder === "object" ? holder.pid : undefined;
    },
    close() {
      removeFile(owner);
      made = false;
    },
  };
}

/** A process that was killed leaves its file. Links to it that are still held keep its record until somebody breaks them. */
function removeOwnersOfDead(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(OWNER)) continue;
    const owner = ownerOf(join(folder, name));
    if (typeof owner === "object" && isDead(owner)) removeFile(join(folder, name));
  }
}

/** A record that is not whole was left by a power cut: links are made to whole records only. */
function ownerOf(path: string): ProcessIdentity | "unknown" | undefined {
  const bytes = readSmallFile(path);
  if (bytes === undefined) return undefined;
  return (decodeRecord(bytes) as ProcessIdentity | undefined) ?? "unknown";
}

function loadNative(): Native | undefined {
  try {
    return createRequire(import.meta.url)("fs-native-extensions") as Native;
  } catch {
    return undefined;
  }
}

/** Linux shows the locks of each open descriptor in /proc/<pid>/fdinfo. */
function kernelHolder(path: string): number | undefined {
  try {
    for (const pid of readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      if (holdsLock(pid, path)) return Number(pid);
    }
  } catch {
    // Without such a /proc the message does without the pid.
  }
  return undefined;
}

function holdsLock(pid: string, path: string): boolean {
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`) === path && readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1").includes("\nlock:"))
        return true;
    }
  } catch {
    // Another user's process, or one that has just ended.
  }
  return false;
}
