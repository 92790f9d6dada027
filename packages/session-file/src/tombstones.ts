import { readdirSync } from "node:fs";
import { join } from "node:path";
import { encodeSegment } from "@aixgo/security";
import { Draft, removeFile, syncFolderNow } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { encodeRecord, readRecord } from "./record.ts";

export const TOMBSTONE_DAYS = 30;
const LIFE_MS = TOMBSTONE_DAYS * 86_400_000;
const SWEEP_EVERY_MS = 3_600_000;
const SWEEP_AT_MOST = 1_000;

export interface Tombstone {
  readonly id: string;
  readonly incarnation: string;
  /** ISO 8601. */
  readonly deletedAt: string;
  /** File name of the key record to remove, if the session had a key: an interrupted delete is finished with it. */
  readonly keyFile?: string;
}

export interface Tombstones {
  /** Undefined: never deleted, or so long ago that it is forgotten. */
  read(id: string): Tombstone | undefined;
  /** A finished draft; `place` gives it its name, under the session's lock. */
  draft(tombstone: Tombstone): Draft;
  place(draft: Draft, id: string, durable: boolean): void;
  /** Removes some that are too old, at most once an hour. */
  sweep(): void;
}

export function createTombstones(layout: Layout): Tombstones {
  let sweptAt = -Infinity;
  const pathOf = (id: string): string => layout.own("tombstones", encodeSegment(id));
  return {
    read(id) {
      const found = readRecord(pathOf(id)) as Tombstone | undefined;
      return found === undefined || isOld(found) ? undefined : found;
    },
    draft(tombstone) {
      const draft = new Draft(layout.part("drafts"));
      try {
        draft.write(encodeRecord(tombstone), 0);
      } catch (error) {
        draft.discard();
        throw error;
      }
      return draft;
    },
    place(draft, id, durable) {
      draft.publish(pathOf(id));
      if (durable) syncFolderNow(layout.part("tombstones"));
    },
    sweep() {
      const now = performance.now();
      if (now - sweptAt < SWEEP_EVERY_MS) return;
      sweptAt = now;
      const folder = layout.part("tombstones");
      for (const name of readdirSync(folder).slice(0, SWEEP_AT_MOST)) {
        const path = join(folder, name);
        const found = readRecord(path) as Tombstone | undefined;
        if (found !== undefined && isOld(found)) removeFile(path);
      }
    },
  };
}

function isOld(tombstone: Tombstone): boolean {
  return Date.now() - Date.parse(tombstone.deletedAt) > LIFE_MS;
}
