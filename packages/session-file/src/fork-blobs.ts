import { constants, linkSync, lstatSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { copyFile, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { newSessionId } from "@aixgo/security";
import type { CreateRequest } from "@aixgo/session/backend";
import { isUnlinkable } from "./blobs.ts";
import { syncFolder, syncFolderNow } from "./durable.ts";
import { isMissing } from "./fs-errors.ts";
import { assertIncarnation, type Journal } from "./journal.ts";
import type { Layout } from "./layout.ts";

/** The blobs of a session that is about to be created, without a name yet. */
export interface StagedBlobs {
  /** Under the session's lock, before its log gets its name. */
  publish(folder: string, id: string): void;
  /** Idempotent; does nothing after `publish`. */
  discard(): void;
}

/**
 * What a fork takes over from its origin: further names of the same files where the file system has such, else copies. Drawn
 * after the lines, which say what is needed. Undefined: nothing is.
 */
export async function stageBlobs(
  { layout, journal, durable }: { readonly layout: Layout; readonly journal: Journal; readonly durable: boolean },
  request: CreateRequest,
): Promise<StagedBlobs | undefined> {
  const source = request.blobs?.();
  if (source === undefined || source.digests.size === 0) return undefined;
  const { from, digests } = source;
  const folderOfOrigin = (): Promise<string> =>
    journal.withLog(from.id, (log) => {
      assertIncarnation(log, from);
      return log.folder;
    });
  const origin = await folderOfOrigin();
  const staged = join(layout.part("drafts"), newSessionId());
  let isPublished = false;
  const discard = (): void => {
    if (!isPublished) rmSync(staged, { recursive: true, force: true });
  };
  try {
    mkdirSync(staged, { mode: 0o700 });
    for (const digest of digests) await takeOver(layout.blob(origin, from.id, digest), join(staged, digest));
    // What was missing may have gone with the origin itself: then there is nothing to be forked.
    if ((await readdir(staged)).length < digests.size) await folderOfOrigin();
    if (durable) await syncFolder(staged);
  } catch (error) {
    discard();
    throw error;
  }
  return {
    publish(folder, id) {
      const path = layout.blobs(folder, id);
      // Of a create with this id that was killed right before its log got its name.
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) renameSync(path, join(layout.part("drafts"), newSessionId()));
      renameSync(staged, path);
      isPublished = true;
      if (durable) syncFolderNow(layout.agentFolder(folder));
    },
    discard,
  };
}

async function takeOver(from: string, to: string): Promise<void> {
  try {
    linkSync(from, to);
  } catch (error) {
    if (isMissing(error)) return;
    if (!isUnlinkable(error)) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const copy = await open(to, "r+");
    try {
      await copy.chmod(0o600);
      await copy.sync();
    } finally {
      await copy.close();
    }
  }
}
