import { AixgoError } from "@aixgo/core";
import type { Appended, CreateRequest, Ref, RewriteRequest, SessionBackend } from "@aixgo/session/backend";
import { conflict } from "./append.ts";
import { keepBlobs, removeBlobs, shareBlobs } from "./blob-rows.ts";
import { databaseNow } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { type Draft, draftLog } from "./draft.ts";
import { isLive } from "./lease.ts";
import { removeLog } from "./logs.ts";
import { indexMetadata, unindexMetadata } from "./metadata-index.ts";
import { currentRow, findRow, headOf, putRow, rowOf, type SessionRow } from "./session-row.ts";
import type { Store } from "./store.ts";
import { bury, isBuried, isDeleted } from "./tombstones.ts";
import { freeKey, giveKey, holderOf, slotOf } from "./unique-keys.ts";

type Created = Awaited<ReturnType<SessionBackend["create"]>>;

/** Key, log and row come with one transaction, so there is no unfinished create that another one would have to complete. */
export async function createSession(store: Store, doing: string, request: CreateRequest): Promise<Created> {
  const { ref, info } = request;
  const slot = slotOf(info);
  const early = await store.read(doing, (connection) => answered(connection, request, slot));
  if (early !== undefined) return early;
  return withDraft(
    store,
    doing,
    ref,
    () => request.lines(ref.id),
    (draft, shared = request.blobs?.()) =>
      (connection) => {
        // Others may have been faster while the lines came.
        const late = answered(connection, request, slot);
        if (late !== undefined) return late;
        const row: SessionRow = {
          log: draft.publish(connection),
          folded: draft.head,
          fence: draft.head.fence,
          lease: undefined,
          keys: undefined,
          slot,
        };
        if (slot !== undefined) giveKey(connection, slot, ref.id);
        putRow(connection, row);
        if (shared !== undefined && shared.digests.size > 0) {
          currentRow(connection, shared.from);
          shareBlobs(connection, shared.from.id, ref.id, shared.digests);
        }
        indexMetadata(connection, draft.head);
        return { head: headOf(connection, row), created: true };
      },
  );
}

/** What lies outside the log stays with the id: its key, its wrapped data keys, its blobs. The lease was of the old life. */
export async function rewriteSession(store: Store, doing: string, ref: Ref, request: RewriteRequest): Promise<Appended> {
  const { expect, next, lines } = request;
  if (next.id !== ref.id || next.incarnation === ref.incarnation)
    throw new AixgoError("INVALID_INPUT", `${doing}: it keeps its id and gets another incarnation`);
  const refused = (connection: Connection): Appended | undefined => {
    const row = currentRow(connection, ref);
    const { seq, hash } = row.folded;
    return seq !== expect.seq || hash !== expect.hash || isLive(row.lease, databaseNow(connection))
      ? conflict(connection, row, expect)
      : undefined;
  };
  const early = await store.read(doing, refused);
  if (early !== undefined) return early;
  return withDraft(
    store,
    doing,
    next,
    () => lines,
    (draft, named = request.blobs?.()) =>
      (connection) => {
        const late = refused(connection);
        if (late !== undefined) return late;
        const { log, keys, slot } = currentRow(connection, ref);
        const row: SessionRow = {
          log: draft.publish(connection),
          folded: draft.head,
          fence: draft.head.fence,
          lease: undefined,
          keys,
          slot,
        };
        putRow(connection, row);
        indexMetadata(connection, draft.head);
        removeLog(connection, log);
        if (named !== undefined) keepBlobs(connection, ref.id, named);
        return { head: headOf(connection, row) };
      },
  );
}

/** Nothing but the tombstone is left. With `erase` the write-ahead log, where deleted bytes may linger, is emptied too. */
export async function deleteSession(store: Store, doing: string, ref: Ref, erase: boolean): Promise<void> {
  await store.write(doing, (connection) => {
    if (findRow(connection, ref.id) === undefined && isDeleted(connection, ref.id, Date.now()) && isBuried(connection, ref)) return;
    const { log, slot } = currentRow(connection, ref);
    bury(connection, ref, Date.now());
    if (slot !== undefined) freeKey(connection, slot, ref.id);
    connection.run("DELETE FROM sessions WHERE id = ?", ref.id);
    unindexMetadata(connection, ref.id);
    removeLog(connection, log);
    removeBlobs(connection, ref.id);
  });
  if (erase) await store.emptyWriteAheadLog(doing);
}

/** How a create is answered without writing anything, if it is. */
function answered(connection: Connection, { ref, info, onKey }: CreateRequest, slot: string | undefined): Created | undefined {
  const holder = slot === undefined ? undefined : holderOf(connection, slot);
  if (holder !== undefined && onKey === "get") return { head: headOf(connection, rowOf(connection, holder)), created: false };
  if (holder !== undefined && onKey === undefined) {
    throw new AixgoError("KEY_EXISTS", `a session of agent ${info.agentName} has this key already`, { details: { session: holder } });
  }
  if (findRow(connection, ref.id) !== undefined)
    throw new AixgoError("KEY_EXISTS", `session ${ref.id} exists already`, { details: { session: ref.id } });
  if (isDeleted(connection, ref.id, Date.now())) throw new AixgoError("SESSION_DELETED", `session ${ref.id} has been deleted`);
  return undefined;
}

/** Drafts a log and publishes it in one transaction, or leaves nothing. */
async function withDraft<T>(
  store: Store,
  doing: string,
  ref: Ref,
  lines: () => AsyncIterable<Uint8Array>,
  publish: (draft: Draft) => (connection: Connection) => T,
): Promise<T> {
  const draft = await draftLog(store, doing, ref, lines);
  try {
    return await store.write(doing, publish(draft));
  } finally {
    await draft.discard();
  }
}
