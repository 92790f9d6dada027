import type { BlobStore, CreateRequest, Ref } from "@aixgo/session/backend";
import { isAixgoError } from "@aixgo/core";
import { scripts } from "./scripts.ts";
import { dropStaged, KEPT_MS, type StagedBlob, stageBlob } from "./staged-blob.ts";
import { accept, type Store } from "./store.ts";
import { incarnationText } from "./packed-head.ts";

/** Keys in one command. */
const BATCH = 512;

/** The attachments of a session that is about to be made, without their names yet. */
export interface ForkedBlobs {
  readonly digests: readonly string[];
  readonly staged: readonly StagedBlob[];
  /** Removes what is in the store. Never throws: what stays expires. */
  drop(): Promise<void>;
}

/**
 * Copies what a fork takes over from its origin, which may lie on another node: chunk by chunk, through this process. Asked
 * after the lines have been drawn, which say what is needed.
 */
export async function forkBlobs(
  store: Store,
  blobs: BlobStore,
  operation: string,
  id: string,
  request: CreateRequest,
): Promise<ForkedBlobs> {
  const source = request.blobs?.();
  const digests: string[] = [];
  const staged: StagedBlob[] = [];
  let prolongedAt = performance.now();

  async function drop(): Promise<void> {
    for (const some of batches(staged)) await dropStaged(store, operation, some);
  }

  /** Those that came first must not expire while the last ones come. */
  async function prolong(): Promise<void> {
    if (performance.now() - prolongedAt < KEPT_MS / 4) return;
    prolongedAt = performance.now();
    for (const some of batches(staged)) await store.read({ operation, script: scripts.keepStaged, keys: some, args: [String(KEPT_MS)] });
  }

  async function copy(from: Ref, digest: string): Promise<boolean> {
    const one = stageBlob(store, operation, id);
    staged.push(one);
    try {
      for await (const chunk of blobs.get(from, digest)) {
        await one.add(chunk);
        await prolong();
      }
      await one.end();
    } catch (error) {
      if (!isAixgoError(error, "ENTRY_NOT_FOUND")) throw error;
      staged.pop();
      await one.drop();
      return false;
    }
    digests.push(digest);
    return true;
  }

  try {
    let isMissing = false;
    for (const digest of source?.digests ?? []) if (!(await copy((source as { from: Ref }).from, digest))) isMissing = true;
    // What was missing may have gone with the origin itself: then there is nothing to be forked.
    if (source !== undefined && isMissing) await assertLife(store, operation, source.from);
  } catch (error) {
    await drop();
    throw error;
  }
  return { digests, staged, drop };
}

async function assertLife(store: Store, operation: string, ref: Ref): Promise<void> {
  const { head, lines, blobs } = store.keys.session(ref.id);
  const args = [incarnationText(ref.incarnation)];
  accept(operation, ref, await store.read({ operation, script: scripts.blobAges, keys: [head, lines, blobs], args }));
}

function* batches(staged: readonly StagedBlob[]): Generator<readonly string[]> {
  const keys = staged.filter(({ chunks }) => chunks > 0).map(({ key }) => key);
  for (let at = 0; at < keys.length; at += BATCH) yield keys.slice(at, at + BATCH);
}
