import { readFileSync } from "node:fs";
import { AixgoError } from "@aixgo/core";
import { syncFolder } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { openLog, type OpenLog } from "./open-log.ts";
import type { SessionIndex } from "./session-index.ts";
import type { Stripes } from "./stripes.ts";
import type { Tombstones } from "./tombstones.ts";

export const MAX_OPEN_LOGS = 512;

/**
 * Descriptors for logs and for stripe locks: 512 and 256, but together with leases never more than a quarter of what the process may open.
 * A log may need two: its own and its lease record's.
 */
export function descriptorBudget(limit: number = openFileLimit()): { readonly logs: number; readonly stripes: number } {
  const quarter = Math.max(8, Math.floor(limit / 4));
  const stripes = Math.max(2, Math.min(256, Math.floor(quarter / 3)));
  return { stripes, logs: Math.max(2, Math.min(MAX_OPEN_LOGS, Math.floor((quarter - stripes) / 2))) };
}

/** The open logs, the least recently used closed first, none while it is in use. */
export interface OpenLogs {
  /**
   * Runs `body` on the session's log, opened if it is not; `isJustOpened`: by this call, so it was read after the call began.
   * Throws `SESSION_NOT_FOUND`, `SESSION_DELETED`, `ENTRY_CORRUPT`.
   */
  use<T>(id: string, body: (log: OpenLog, isJustOpened: boolean) => T | Promise<T>): Promise<T>;
  /** Ends a use that began with `users++`. */
  release(log: OpenLog): void;
  /** The log if it is open already: for calls that need not wait for anything. */
  cached(id: string): OpenLog | undefined;
  /** Takes over a log that was just created. */
  adopt(log: OpenLog): void;
  /** Closes a log as soon as nobody uses it; the next use opens it anew. */
  drop(log: OpenLog): void;
  /** Whether the session has a log that is not deleted. */
  exists(id: string): boolean;
  /** Saves sidecars and closes all. */
  close(): void;
}

export function createOpenLogs(store: {
  layout: Layout;
  stripes: Stripes;
  index: SessionIndex;
  tombstones: Tombstones;
  durable: boolean;
  maxLineBytes: number;
  maxOpen: number;
}): OpenLogs {
  const { layout, index, tombstones } = store;
  // In order of use: the first is the least recently used.
  const logs = new Map<string, OpenLog>();
  const opening = new Map<string, Promise<OpenLog>>();

  async function open(id: string): Promise<OpenLog> {
    if (tombstones.read(id) !== undefined) throw deleted(id);
    let place = index.noted(id);
    let log = place && (await openLog(layout, store.stripes, id, place.folder, store.maxLineBytes));
    if (log === undefined) {
      place = index.find(id);
      log = place && (await openLog(layout, store.stripes, id, place.folder, store.maxLineBytes));
    }
    if (place === undefined || log === undefined) throw tombstones.read(id) === undefined ? notFound(id) : deleted(id);
    if (!place.settled) {
      // Its creator may have died before its name was durable.
      if (store.durable) await syncFolder(layout.agentFolder(place.folder));
      index.note(id, place.folder, true);
    }
    return log;
  }

  function keep(log: OpenLog): void {
    logs.set(log.id, log);
    for (const [id, oldest] of logs) {
      if (logs.size <= store.maxOpen) return;
      if (oldest.users > 0 || oldest === log) continue;
      logs.delete(id);
      oldest.saveSidecarIfLong();
      oldest.close();
    }
  }

  async function take(id: string): Promise<{ readonly log: OpenLog; readonly isJustOpened: boolean }> {
    const known = logs.get(id);
    if (known !== undefined) {
      logs.delete(id);
      logs.set(id, known);
      return { log: known, isJustOpened: false };
    }
    let pending = opening.get(id);
    const isJustOpened = pending === undefined;
    if (pending === undefined) {
      pending = open(id).then((log) => {
        keep(log);
        return log;
      });
      opening.set(id, pending);
      const done = (): void => void opening.delete(id);
      pending.then(done, done);
    }
    return { log: await pending, isJustOpened };
  }

  function drop(log: OpenLog): void {
    if (logs.get(log.id) === log) logs.delete(log.id);
    if (log.users === 0) log.close();
  }

  async function pin<T>(log: OpenLog, body: () => T | Promise<T>): Promise<T> {
    log.users++;
    try {
      return await body();
    } finally {
      release(log);
    }
  }

  function release(log: OpenLog): void {
    log.users--;
    if (log.distrusted) drop(log);
    if (log.users === 0 && logs.get(log.id) !== log) log.close();
  }

  return {
    release,
    async use(id, body) {
      let taken = await take(id);
      // Dropped or evicted between its opening and this turn of the loop.
      while (taken.log.closed) taken = await take(id);
      const { log, isJustOpened } = taken;
      return pin(log, () => body(log, isJustOpened));
    },
    cached(id) {
      const known = logs.get(id);
      if (known !== undefined && logs.size >= store.maxOpen) {
        logs.delete(id);
        logs.set(id, known);
      }
      return known;
    },
    adopt(log) {
      const known = logs.get(log.id);
      if (known !== undefined) drop(known);
      keep(log);
    },
    drop,
    exists: (id) => tombstones.read(id) === undefined && index.find(id) !== undefined,
    close() {
      for (const log of logs.values()) {
        log.saveSidecarIfLong();
        log.close();
      }
      logs.clear();
    },
  };
}

export function notFound(id: string): AixgoError {
  return new AixgoError("SESSION_NOT_FOUND", `session ${id} does not exist`, { details: { session: id } });
}

export function deleted(id: string): AixgoError {
  return new AixgoError("SESSION_DELETED", `session ${id} was deleted`, { details: { session: id } });
}

function openFileLimit(): number {
  const least = 1024;
  if (process.platform !== "linux") return least;
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === undefined ? least : soft === "unlimited" ? 65_536 : Number(soft);
  } catch {
    return least;
  }
}
