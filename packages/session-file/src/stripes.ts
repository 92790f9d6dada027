import { closeSync, constants } from "node:fs";
import { hash } from "node:crypto";
import { join } from "node:path";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { AixgoError } from "@aixgo/core";
import { openPrivate } from "./durable.ts";
import { createLockEngine, type LockEngine } from "./lock-engine.ts";

export const STRIPE_COUNT = 256;
const SPINS = 3;
const LONGEST_PAUSE_MS = 16;

/**
 * The locks of a store: 256 files, each session and key on one of them, so that the files neither grow with the store nor
 * have to be removed. A body runs synchronously inside the lock and must not await: that is what keeps two tasks of one
 * process apart, and a lock's holder from being anywhere but at the processor.
 */
export interface Stripes {
  of(name: string): string;
  /** Runs `body` inside the lock. Throws `STORE_BUSY` if another process stays inside longer than `lockTimeoutMs`; the lock is never broken. */
  hold<T>(stripe: string, doing: string, body: () => T, signal?: AbortSignal): Promise<T>;
  /** The same without waiting: undefined if the lock is taken. */
  tryHold<T>(stripe: string, body: () => T): { readonly value: T } | undefined;
  close(): void;
}

interface LockFile {
  readonly path: string;
  readonly fd: number;
}

export function createStripes(
  folder: string,
  options: { lockTimeoutMs: number; singleProcess: boolean; maxOpen: number; engine?: LockEngine },
): Stripes {
  let engine = options.engine;
  // In order of use: the first is the least recently used. None is in use between two calls, because bodies are synchronous.
  const open = new Map<string, LockFile>();

  function lockFile(stripe: string): LockFile {
    const known = open.get(stripe);
    if (known !== undefined) {
      if (open.size >= options.maxOpen) {
        open.delete(stripe);
        open.set(stripe, known);
      }
      return known;
    }
    if (open.size >= options.maxOpen) {
      const [oldest, { fd }] = open.entries().next().value as [string, LockFile];
      open.delete(oldest);
      closeSync(fd);
    }
    const path = join(folder, stripe);
    const opened = { path, fd: openPrivate(path, constants.O_RDWR | constants.O_CREAT) };
    open.set(stripe, opened);
    return opened;
  }

  function tryHold<T>(stripe: string, body: () => T): { readonly value: T } | undefined {
    engine ??= createLockEngine(folder, options.singleProcess);
    const file = lockFile(stripe);
    if (!engine.tryLock(file.fd, file.path)) return undefined;
    try {
      return { value: body() };
    } finally {
      release(engine, stripe, file);
    }
  }

  function release(engine: LockEngine, stripe: string, { fd, path }: LockFile): void {
    try {
      engine.unlock(fd, path);
    } catch {
      // What the body has done is done, and its caller is to hear of it. The kernel frees a lock with its descriptor; a lock that is a
      // link stays this engine's, which takes it again.
      open.delete(stripe);
      closeSync(fd);
    }
  }

  return {
    of: (name) => hash("sha1", name, "hex").slice(0, 2),
    tryHold,
    async hold(stripe, doing, body, signal) {
      const first = tryHold(stripe, body);
      if (first !== undefined) return first.value;
      const deadline = performance.now() + options.lockTimeoutMs;
      for (let missed = 0; ; missed++) {
        if (signal?.aborted === true)
          throw new AixgoError("CANCELLED", `${doing} was cancelled while it waited for a lock; nothing was written`);
        if (performance.now() >= deadline) throw busy(doing, engine?.holder(join(folder, stripe)), options.lockTimeoutMs);
        if (missed < SPINS) await turn();
        else await sleep(1 + Math.random() * Math.min(LONGEST_PAUSE_MS, 2 ** (missed - SPINS)));
        const held = tryHold(stripe, body);
        if (held !== undefined) return held.value;
      }
    },
    close() {
      for (const { fd } of open.values()) closeSync(fd);
      open.clear();
      engine?.close();
      engine = options.engine;
    },
  };
}

function busy(doing: string, pid: number | undefined, waitedMs: number): AixgoError {
  const who = pid === undefined ? "another process" : `process ${pid}`;
  return new AixgoError(
    "STORE_BUSY",
    `${doing}: ${who} has held the lock for ${waitedMs} ms; nothing was written. If it is stopped, continue or end it`,
    {
      details: { waitedMs, ...(pid === undefined ? {} : { pid }) },
    },
  );
}
