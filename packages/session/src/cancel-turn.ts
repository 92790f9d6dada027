import type { OpenSession } from "./open-session.ts";
import { closeSuspended, suspensionAt } from "./suspension.ts";
import { cancelReason } from "./turn.ts";
import { lastTurn } from "./turn-log.ts";
import { changedByOthers, isLive, Moved } from "./writer.ts";

/** Stops the session's turn, wherever it runs; ends one that is suspended. False: there is none, or not this one. */
export async function cancelTurn(
  open: OpenSession,
  { turnId, reason }: { readonly turnId?: string; readonly reason?: string },
): Promise<boolean> {
  const { log, running } = open;
  if (running !== undefined) {
    if (turnId !== undefined && turnId !== running.id) return false;
    running.cancel("cancelled", reason ?? "");
    return true;
  }
  const deadline = performance.now() + open.writer.rebaseMs;
  for (;;) {
    const head = await log.refresh();
    if (isLive(head)) {
      if (turnId !== undefined) {
        const last = await lastTurn(log, head);
        if (last === undefined || (await log.one(last.turnSeq)).id !== turnId) return false;
      }
      return log.backend.cancel(open.ref, cancelReason(reason));
    }
    const suspension = await suspensionAt(log, head);
    if (suspension === undefined || (turnId !== undefined && turnId !== suspension.turnId)) return false;
    const drafts = await closeSuspended(log, head, suspension, {
      fence: head.fence,
      reason: reason === undefined || reason === "" ? "cancelled" : `cancelled: ${reason}`,
    });
    try {
      await open.writer.submit({
        drafts,
        outsideTurns: true,
        check: (current) => {
          if (current.hash !== head.hash) throw new Moved();
        },
      });
      return true;
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
      if (performance.now() > deadline) throw changedByOthers(log.ref.id, open.writer.rebaseMs);
    }
  }
}
