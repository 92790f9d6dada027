import fs, { type Stats } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join, relative } from "node:path";

const original = { ...fs };
type Callback = (error: Error | null, ...more: unknown[]) => void;

/** What a power cut could take back: written and not synced, named or removed and the folder not synced, or replaced by what was not. */
export interface SyncLedger {
  /** Of these paths, relative to the store: `bytes <file>`, `name <file or folder>`, and for good `replaced too soon <file>`. */
  unsynced(matters: (path: string) => boolean): string[];
  /** What of these paths was not synced when each got its name, or lost it. Begins with the call. */
  moments(matters: (path: string) => boolean): readonly { readonly at: string; readonly unsynced: readonly string[] }[];
  /** Whether syncs of folders fail. A process that is killed before one leaves the same behind. */
  failFolders(fail: boolean): void;
  end(): void;
}

/** Watches how this process works on a store until `end` is called. Nobody else may write to it meanwhile. */
export function watchSyncs(store: string): SyncLedger {
  /** By inode: how often it was written, and up to where that is on the disk. */
  const written = new Map<number, number>();
  const onDisk = new Map<number, number>();
  /** Names that came, went or stand for something else now, by folder. */
  const names = new Map<string, Set<string>>();
  const replacedTooSoon = new Set<string>();
  let areFoldersFailing = false;
  let noted: { readonly matters: (path: string) => boolean; readonly all: { at: string; unsynced: readonly string[] }[] } | undefined;

  const statOf = (path: string): Stats | undefined => original.lstatSync(path, { throwIfNoEntry: false });
  const pathOf = (fd: number): string => original.readlinkSync(`/proc/self/fd/${fd}`);
  const named = (path: string): void => {
    if (relative(store, path).startsWith("..")) return;
    const folder = dirname(path);
    names.set(folder, (names.get(folder) ?? new Set()).add(basename(path)));
  };
  const isDirty = (ino: number): boolean => (written.get(ino) ?? 0) > (onDisk.get(ino) ?? 0);
  const unsynced = (matters: (path: string) => boolean): string[] => {
    const found: string[] = [];
    for (const [folder, own] of names) {
      for (const name of own) {
        const path = relative(store, join(folder, name));
        if (matters(path)) found.push(`name ${path}`);
      }
    }
    for (const path of original.readdirSync(store, { recursive: true }) as string[]) {
      const stat = statOf(join(store, path));
      if (stat !== undefined && isDirty(stat.ino) && matters(path)) found.push(`bytes ${path}`);
    }
    for (const path of replacedTooSoon) if (matters(path)) found.push(`replaced too soon ${path}`);
    return found.toSorted();
  };

  const moment = (path: string): void => {
    const at = relative(store, path);
    if (noted?.matters(at) === true) noted.all.push({ at, unsynced: unsynced(noted.matters) });
  };
  const wrote = (fd: number): void => {
    const { ino } = original.fstatSync(fd);
    written.set(ino, (written.get(ino) ?? 0) + 1);
  };
  /** What a sync that begins now will have made durable. */
  const syncing = (fd: number): (() => void) => {
    const stat = original.fstatSync(fd);
    if (!stat.isDirectory()) {
      const count = written.get(stat.ino) ?? 0;
      return () => void onDisk.set(stat.ino, Math.max(count, onDisk.get(stat.ino) ?? 0));
    }
    if (areFoldersFailing) throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO", syscall: "fsync" });
    const folder = pathOf(fd);
    const due = new Set(names.get(folder));
    return () => due.forEach((name) => names.get(folder)?.delete(name));
  };
  const later =
    (real: (fd: number, done: Callback) => void) =>
    (fd: number, done: Callback): void => {
      let synced: () => void;
      try {
        synced = syncing(fd);
      } catch (error) {
        setImmediate(() => done(error as Error));
        return;
      }
      real(fd, (error, ...more) => {
        if (error === null) synced();
        done(error, ...more);
      });
    };

  const watched = {
    openSync: (path: string, ...more: [string | number, number?]) => {
      const isNew = statOf(path) === undefined;
      const fd = original.openSync(path, ...more);
      if (isNew) named(path);
      return fd;
    },
    mkdirSync: (path: string, ...more: [object?]) => {
      const made = original.mkdirSync(path, ...more);
      named(path);
      return made;
    },
    linkSync: (from: string, to: string) => {
      original.linkSync(from, to);
      named(to);
    },
    unlinkSync: (path: string) => {
      moment(path);
      original.unlinkSync(path);
      named(path);
    },
    rmSync: (path: string, ...more: [object?]) => {
      original.rmSync(path, ...more);
      named(path);
    },
    renameSync: (from: string, to: string) => {
      // The name may reach the disk before the bytes do: then neither what was there nor what replaced it is left.
      if (statOf(to)?.isFile() === true && isDirty(original.statSync(from).ino)) replacedTooSoon.add(relative(store, to));
      original.renameSync(from, to);
      named(from);
      named(to);
      // What was not durable of a folder goes with it.
      const inside = [...names].filter(([folder]) => folder === from || folder.startsWith(`${from}/`));
      for (const [folder, own] of inside) {
        names.set(join(to, relative(from, folder)), own);
        names.delete(folder);
      }
      moment(to);
    },
    writeSync: (fd: number, ...more: never[]) => {
      const count = original.writeSync(fd, ...(more as unknown as [Buffer]));
      wrote(fd);
      return count;
    },
    write: (fd: number, ...more: unknown[]) => {
      const done = more.pop() as Callback;
      (original.write as (...all: unknown[]) => void)(fd, ...more, (error: Error | null, ...rest: unknown[]) => {
        if (error === null) wrote(fd);
        done(error, ...rest);
      });
    },
    ftruncateSync: (fd: number, length: number) => {
      original.ftruncateSync(fd, length);
      wrote(fd);
    },
    fsyncSync: (fd: number) => {
      const synced = syncing(fd);
      original.fsyncSync(fd);
      synced();
    },
    fdatasyncSync: (fd: number) => {
      const synced = syncing(fd);
      original.fdatasyncSync(fd);
      synced();
    },
    fsync: later(original.fsync as never),
    fdatasync: later(original.fdatasync as never),
  };
  Object.assign(fs, watched);
  syncBuiltinESMExports();

  return {
    unsynced,
    moments: (matters) => (noted = { matters, all: [] }).all,
    failFolders: (fail) => void (areFoldersFailing = fail),
    end() {
      for (const name of Object.keys(watched) as (keyof typeof watched)[]) Object.assign(fs, { [name]: original[name] });
      syncBuiltinESMExports();
    },
  };
}
