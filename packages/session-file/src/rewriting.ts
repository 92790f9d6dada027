import { fstatSync } from "node:fs";
import { AixgoError } from "@aixgo/core";
import type { Appended, Head, Ref, RewriteRequest } from "@aixgo/session/backend";
import { syncFolder } from "./durable.ts";
import { storeError } from "./fs-errors.ts";
import { incarnationChanged, leaseUnderLock } from "./journal.ts";
import { completeHead, isLive, removeLease } from "./lease.ts";
import { OpenLog } from "./open-log.ts";
import { removeSidecar } from "./sidecar.ts";
import { stage } from "./staging.ts";
import type { Store } from "./store.ts";

/** Replaces a log by a new incarnation: written whole beside it, then renamed over it inside the lock. Handles of the old one notice that the file is another. */
export async function rewrite(store: Store, ref: Ref, request: RewriteRequest): Promise<Appended> {
  const { layout, stripes, journal, logs, index, catalog, durable, maxLineBytes } = store;
  const doing = `rewrite session ${ref.id}`;
  if (request.next.id !== ref.id) throw new AixgoError("INVALID_INPUT", `${doing}: a new incarnation keeps the id; nothing was written`);
  if (request.next.incarnation === ref.incarnation)
    throw new AixgoError("INVALID_INPUT", `${doing}: the new incarnation must have a new name; nothing was written`);
  const { info, incarnation } = await journal.head(ref.id);
  if (incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
  const staged = await stage(layout, { id: ref.id, agentName: info.agentName, incarnation: request.next.incarnation }, request.lines, {
    durable,
    maxLineBytes,
    doing,
    syncAlways: true,
  });
  try {
    const kept = request.blobs?.();
    const outcome = await journal.withLock(ref, doing, (log): { conflict: Head } | { log: OpenLog } => {
      const { head } = log.state;
      const record = leaseUnderLock(log);
      if (head.seq !== request.expect.seq || head.hash !== request.expect.hash || isLive(record))
        return { conflict: completeHead(head, record, log.keys) };
      catalog.doubt(ref.id, log.folder);
      // Nobody writes to the new log before its name is durable: who opens it makes it so, also if this process is killed right now.
      if (durable) index.doubt(ref.id, log.folder);
      // Before the new log has the name: leases and sidecars name their incarnation, and are void with it.
      staged.draft.publish(log.path, true);
      removeSidecar(layout, ref.id);
      removeLease(layout, ref.id);
      if (kept !== undefined) store.blobs.keepOnly(log.folder, ref.id, kept);
      catalog.put(staged.state.head);
      log.distrusted = true;
      const { fd } = staged.draft;
      const beside = { sidecarAt: 0, keys: log.keys };
      return { log: new OpenLog(layout, stripes, ref.id, log.folder, { fd, stat: fstatSync(fd) }, staged.state, beside) };
    });
    if ("conflict" in outcome) return await logs.use(ref.id, (log) => journal.conflict(log, outcome.conflict, request.expect));
    const { log } = outcome;
    try {
      if (durable) {
        await syncFolder(layout.agentFolder(log.folder));
        // What was left out must not come back either.
        if (kept !== undefined) await store.blobs.settleRemoval(log.folder, ref.id);
        index.note(ref.id, log.folder, true);
      }
    } catch (cause) {
      log.close();
      throw new AixgoError(
        "OUTCOME_UNKNOWN",
        `${doing}: the disk did not confirm it. Open the session again, and look at its incarnation before rewriting it again`,
        { cause: storeError(cause, doing) },
      );
    }
    logs.adopt(log);
    return { head: completeHead(staged.state.head, undefined, log.keys) };
  } finally {
    staged.draft.discard();
  }
}
