import { closeSync, constants, fsyncSync, lstatSync } from "node:fs";
import { allSynced, Draft, openPrivate, removeFile, syncFile, syncFolder } from "./durable.ts";
import { isMissing } from "./fs-errors.ts";
import type { Layout } from "./layout.ts";
import { encodeRecord, readRecord } from "./record.ts";
import type { Stripes } from "./stripes.ts";

/** Which session has a unique key. Written before that session's log, so that two creators agree on one id. */
interface KeyRecord {
  readonly id: string;
}

export interface Keys {
  /** Id of the session that has the key, or will have it once its creation is finished. */
  holder(keyFile: string): string | undefined;
  /** Sets the holder if it still is `from`. Durable when it resolves, as far as the store is. False: somebody else was faster. */
  set(keyFile: string, from: string | undefined, to: string): Promise<boolean>;
  /** Makes durable what another creator has written. */
  settle(keyFile: string): Promise<void>;
  /** Removes the record if it still names `id`. */
  remove(keyFile: string, id: string): Promise<void>;
}

export function createKeys(layout: Layout, stripes: Stripes, durable: boolean): Keys {
  const pathOf = (keyFile: string): string => layout.own("keys", keyFile);
  const holder = (keyFile: string): string | undefined => (readRecord(pathOf(keyFile)) as KeyRecord | undefined)?.id;
  /** Bytes and name in one commit: both are written already. */
  async function settle(keyFile: string): Promise<void> {
    if (!durable) return;
    let fd: number;
    try {
      fd = openPrivate(pathOf(keyFile), constants.O_RDONLY);
    } catch (error) {
      // Deleted meanwhile, with the session that it named: there is nothing to be made durable.
      if (isMissing(error)) return;
      throw error;
    }
    try {
      await allSynced(syncFile(fd), syncFolder(layout.part("keys")));
    } finally {
      closeSync(fd);
    }
  }

  return {
    holder,
    async set(keyFile, from, to) {
      const draft = new Draft(layout.part("drafts"));
      try {
        draft.write(encodeRecord({ id: to } satisfies KeyRecord), 0);
        const set = await stripes.hold(stripes.of(keyFile), `setting the key of session ${to}`, () => {
          if (holder(keyFile) !== from) return false;
          // A record that replaces another must not be empty after a power cut; a first one may.
          if (durable && from !== undefined) fsyncSync(draft.fd);
          draft.publish(pathOf(keyFile));
          return true;
        });
        if (set) await settle(keyFile);
        return set;
      } finally {
        draft.discard();
      }
    },
    settle,
    async remove(keyFile, id) {
      if (lstatSync(pathOf(keyFile), { throwIfNoEntry: false }) === undefined) return;
      const removed = await stripes.hold(stripes.of(keyFile), `removing the key of session ${id}`, () => {
        if (holder(keyFile) !== id) return false;
        removeFile(pathOf(keyFile));
        return true;
      });
      if (removed && durable) await syncFolder(layout.part("keys"));
    },
  };
}
