import fs, { readlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname, relative, sep } from "node:path";

const CALLS = ["writeSync", "ftruncateSync", "renameSync", "unlinkSync", "mkdirSync", "fsync", "fsyncSync", "fdatasync"] as const;
type Done = (error: Error | null) => void;

/** What a power cut may take: what was changed, and not synced since. */
export interface Power {
  /** Bytes and names of logs and what was cut off them, keys, tombstones, wrapped keys and folders of agents that the disk may still lose, relative to the store. */
  atRisk(): readonly string[];
  /** What was at risk when a file got this name, or lost it. */
  readonly moments: ReadonlyArray<{ readonly at: string; readonly atRisk: readonly string[] }>;
  /** Syncs of paths that end like this fail from now on; undefined: none does. */
  failSyncs(ending: string | undefined): void;
  restore(): void;
}

/** What is not a cache, and not a file without a name. */
const KEPT = /^(?:[^.][^/]*(?:\/[^/]+\.(?:jsonl|damaged))?|\.aixgo\/(?:keys|tombstones|wrapped)\/.+)$/;

/** Watches what this process asks the file system for. To be restored before the test ends. */
export function watchPower(store: string): Power {
  const real = { ...fs };
  const bytes = new Set<string>();
  const names = new Set<string>();
  const moments: Array<{ at: string; atRisk: readonly string[] }> = [];
  let failing: string | undefined;
  const pathOf = (fd: unknown): string => readlinkSync(`/proc/self/fd/${String(fd)}`);
  const shown = (path: string): string => relative(store, path).split(sep).join("/");
  const kept = (paths: Iterable<string>): string[] => [...paths].map(shown).filter((path) => KEPT.test(path));
  const atRisk = (): readonly string[] =>
    [...kept(bytes).map((path) => `bytes of ${path}`), ...kept(names).map((path) => `name ${path}`)].sort();
  const synced = (path: string): void => {
    bytes.delete(path);
    for (const name of names) if (dirname(name) === path) names.delete(name);
  };
  const moment = (path: string): void => void moments.push({ at: shown(path), atRisk: atRisk() });
  const fails = (path: string): Error | undefined =>
    failing !== undefined && path.endsWith(failing) ? Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" }) : undefined;

  /** What is changed while a sync is under way may miss it: only what was changed before counts. */
  const later = (call: "fsync" | "fdatasync") => (fd: number, done: Done) => {
    const path = pathOf(fd);
    const error = fails(path);
    if (error !== undefined) return void setImmediate(() => done(error));
    synced(path);
    real[call](fd, done);
  };
  Object.assign(fs, {
    writeSync(...args: [number]) {
      bytes.add(pathOf(args[0]));
      return (real.writeSync as (...all: unknown[]) => number)(...args);
    },
    ftruncateSync(fd: number, length: number) {
      bytes.add(pathOf(fd));
      real.ftruncateSync(fd, length);
    },
    renameSync(from: string, to: string) {
      real.renameSync(from, to);
      if (bytes.delete(from)) bytes.add(to);
      else bytes.delete(to);
      names.add(to);
      moment(to);
    },
    unlinkSync(path: string) {
      moment(path);
      real.unlinkSync(path);
      bytes.delete(path);
      names.add(path);
    },
    mkdirSync(path: string, options?: fs.MakeDirectoryOptions) {
      const made = real.mkdirSync(path, options);
      names.add(path);
      return made;
    },
    fsyncSync(fd: number) {
      const path = pathOf(fd);
      const error = fails(path);
      if (error !== undefined) throw error;
      real.fsyncSync(fd);
      synced(path);
    },
    fsync: later("fsync"),
    fdatasync: later("fdatasync"),
  });
  syncBuiltinESMExports();
  return {
    atRisk,
    moments,
    failSyncs: (ending) => void (failing = ending),
    restore() {
      for (const call of CALLS) fs[call] = real[call] as never;
      syncBuiltinESMExports();
    },
  };
}
