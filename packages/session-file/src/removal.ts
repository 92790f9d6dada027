import { isAixgoError } from "@aixgo/core";
import type { Head, Ref } from "@aixgo/session/backend";
import { removeRemains } from "./blobs.ts";
import { type Draft, removeFile, syncFile, syncFolder } from "./durable.ts";
import { incarnationChanged } from "./journal.ts";
import { keyFileOf } from "./layout.ts";
import { removeLease } from "./lease.ts";
import { removeSidecar } from "./sidecar.ts";
import type { Tombstone } from "./tombstones.ts";
import { removeWrapped } from "./wrapped-keys.ts";
import type { Store } from "./store.ts";

/**
 * Deletes a session: its tombstone is durable before its log loses its name, both inside the lock, so that no write can come
 * between; then its blobs and its key go, if it still names this session. The tombstone knows the key, so that an interrupted delete
 * is finished by the next one.
 */
export async function remove(store: Store, ref: Ref, erase: boolean): Promise<void> {
  const { layout, tombstones, keys, journal, durable } = store;
  const doing = `delete session ${ref.id}`;
  const before = tombstones.read(ref.id);
  if (before !== undefined) {
    if (before.incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
    return finish(store, before, undefined, erase);
  }
  let draft: Draft | undefined;
  let tombstone: Tombstone | undefined;
  try {
    const { info, incarnation } = await headOf(store, ref.id);
    if (incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
    const keyFile = info.key === undefined ? undefined : keyFileOf(info.tenantId, info.agentName, info.key);
    const made: Tombstone = {
      id: ref.id,
      incarnation,
      deletedAt: new Date().toISOString(),
      ...(keyFile !== undefined && keys.holder(keyFile) === ref.id ? { keyFile } : {}),
    };
    const written = tombstones.draft(made);
    draft = written;
    if (durable) await syncFile(written.fd);
    const { folder, head, remains } = await journal.withLock(
      ref,
      doing,
      (log) => {
        store.catalog.doubt(ref.id, log.folder);
        tombstones.place(written, ref.id, durable);
        removeFile(log.path);
        removeSidecar(layout, ref.id);
        removeLease(layout, ref.id);
        store.index.forget(ref.id);
        store.catalog.remove(log.state.head);
        const remains = store.blobs.detach(log.folder, ref.id);
        // The next use finds the tombstone.
        log.distrusted = true;
        return { folder: log.folder, head: log.state.head, remains };
      },
      { evenDamaged: true },
    );
    tombstone = made;
    await finish(store, made, { folder, head }, erase);
    await removeRemains([remains]);
  } catch (error) {
    // Deleted by somebody else meanwhile: that is what was asked for.
    const other = tombstone === undefined && isAixgoError(error, "SESSION_DELETED") ? tombstones.read(ref.id) : undefined;
    if (other === undefined || other.incarnation !== ref.incarnation) throw error;
    await finish(store, other, undefined, erase);
  } finally {
    draft?.discard();
  }
  tombstones.sweep();
}

async function finish(store: Store, tombstone: Tombstone, log: { folder: string; head: Head } | undefined, erase: boolean): Promise<void> {
  const { layout, keys, durable, index } = store;
  const { id, keyFile } = tombstone;
  // Whoever began may have been killed before it was durable: then the log must not go first.
  if (log === undefined && durable) await syncFolder(layout.part("tombstones"));
  if (keyFile !== undefined) await keys.remove(keyFile, id);
  const folder = log?.folder ?? index.find(id)?.folder;
  // Interrupted before the log lost its name.
  if (log === undefined && folder !== undefined) removeFile(layout.log(folder, id));
  if (log === undefined) store.catalog.remove(tombstone);
  if (log === undefined) await removeRemains(store.folders().map((each) => store.blobs.detach(each, id)));
  if (erase) {
    removeWrapped(layout, id, false);
    for (const each of store.folders())
      if (removeFile(layout.damaged(each, id)) && durable && each !== folder) await syncFolder(layout.agentFolder(each));
    // Also what another removed who was killed before it was durable: keys that come back can be used.
    if (durable) await syncFolder(layout.part("wrapped"));
  }
  if (durable && folder !== undefined) await syncFolder(layout.agentFolder(folder));
}

/** Also of a damaged log, which must be possible to delete. */
async function headOf({ journal }: Store, id: string): Promise<Head> {
  return journal.withLog(id, (log) => log.state.head);
}
