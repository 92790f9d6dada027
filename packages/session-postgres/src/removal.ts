import { AixgoError, isAixgoError } from "@aixgo/core";
import type { Appended, Position, Ref, SessionBackend } from "@aixgo/session/backend";
import { columnText, whole } from "./column-text.ts";
import { checkInfo, gather, meaningOf, stage, startRow } from "./creation.ts";
import { headOfRow } from "./head-row.ts";
import { purgeLooseBlobs } from "./loose-blobs.ts";
import { purgeLog, purgeLooseLogs } from "./loose-logs.ts";
import { conflictOf, readRefusal } from "./refusal.ts";
import { currentHead, headOf, type Store } from "./store.ts";

/** The session is gone with the first statement; its lines follow. If that fails, the same call again, or any other delete, goes on. */
export async function deleteSession(store: Store, ref: Ref): Promise<void> {
  const { connections, statements, lockMs } = store;
  const doing = `delete session ${ref.id}`;
  const [row] = await connections.run({
    doing,
    effect: "write",
    text: statements.remove,
    values: [columnText(ref.id), columnText(ref.incarnation), lockMs],
  });
  const log = row?.["log"];
  if (typeof log === "string") await purgeLog(store, doing, log);
  else await refuseUnlessDeleted(store, doing, ref);
  await purgeLooseBlobs(store);
  await purgeLooseLogs(store);
}

/** Deleting the same life of a session twice is fine. */
async function refuseUnlessDeleted(store: Store, doing: string, ref: Ref): Promise<void> {
  try {
    await currentHead(store, doing, ref);
  } catch (error) {
    if (!isAixgoError(error, "SESSION_DELETED")) throw error;
    const { connections, statements } = store;
    const [tombstone] = await connections.run({ doing, effect: "read", text: statements.tombstone, values: [columnText(ref.id)] });
    if (tombstone?.["incarnation"] !== columnText(ref.incarnation)) throw error;
  }
}

export async function rewriteSession(
  store: Store,
  ref: Ref,
  { expect, next, lines, blobs }: Parameters<SessionBackend["rewrite"]>[1],
): Promise<Appended> {
  const { connections, statements, lockMs } = store;
  const doing = `rewrite session ${ref.id}`;
  if (next.id !== ref.id || next.incarnation === ref.incarnation)
    throw new AixgoError("INVALID_INPUT", `${doing}: a rewritten session keeps its id and gets another incarnation`);
  const early = await refusalOf(store, doing, ref, expect);
  if (early !== undefined) return early;
  const built = await gather(store, doing, next, lines);
  let log = built.log;
  try {
    checkInfo(doing, built.head.info);
    log = await stage(store, doing, built.head, log, built.rest);
    const kept = blobs?.();
    const values = [
      columnText(ref.incarnation),
      whole(expect.seq),
      columnText(expect.hash),
      startRow(next, { ...built, log, rest: NOTHING }, undefined),
      kept === undefined ? null : [...kept],
      lockMs,
    ];
    const [row] = await connections.run({ doing, effect: "write", text: statements.rewrite, values });
    const answer = row?.["answer"];
    if (Array.isArray(answer)) {
      const [, head, left] = answer as [string, string, string];
      await purgeLog(store, doing, left);
      if (kept !== undefined) await purgeLooseBlobs(store);
      return { head: headOfRow(head) };
    }
  } catch (error) {
    await purgeLog(store, doing, log).catch(() => undefined);
    throw meaningOf(error, doing, ref.id);
  }
  await purgeLog(store, doing, log);
  // What stood in the way may be gone: a lease that has expired since is still a conflict.
  return (await refusalOf(store, doing, ref, expect)) ?? { conflict: await headOf(store, doing, ref.id) };
}

const NOTHING = { bytes: Buffer.alloc(0), entryIds: [], ops: [], starts: [], sizes: [] };

async function refusalOf(store: Store, doing: string, ref: Ref, expect: Position): Promise<Appended | undefined> {
  const refusal = await readRefusal(store, doing, ref, expect);
  const isLive = (refusal.head.lease?.expiresInMs ?? 0) > 0;
  return refusal.isExpected && !isLive ? undefined : conflictOf(refusal);
}
