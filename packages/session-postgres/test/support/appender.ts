import { isAixgoError } from "@aixgo/core";
import type { SessionBackend } from "@aixgo/session/backend";
import { continueLog, message, verifyLog } from "@aixgo/session-testkit";

/**
 * Appends lines with ops `<tag>:0`, `<tag>:1` … to a session until `isOver`, as the session layer does: after an unknown
 * outcome the same bytes are sent again, after a conflict its own op is looked for. `acked` grows by what the store acknowledged.
 */
export async function appendUntil(backend: SessionBackend, id: string, tag: string, acked: string[], isOver: () => boolean): Promise<void> {
  for (let i = 0; !isOver(); i++) {
    const op = `${tag}:${i}`;
    if (await appendOne(backend, id, op, isOver)) acked.push(op);
  }
}

async function appendOne(backend: SessionBackend, id: string, op: string, isOver: () => boolean): Promise<boolean> {
  let head = await patiently(() => backend.head(id), isOver);
  let isUnknown = false;
  while (head !== undefined) {
    const base = head;
    const log = continueLog(base, true);
    const expect = log.position;
    const lines = log.add(message(op, { op }), message("second line of the batch"));
    const answer = await patiently(
      () => backend.append(base, { expect, lines }),
      isOver,
      () => (isUnknown = true),
    );
    if (answer === undefined) return false;
    if ("head" in answer) return true;
    if (isUnknown && (await patiently(() => backend.find(base, { op }), isOver)) !== undefined) return true;
    head = answer.conflict;
  }
  return false;
}

/** Tries again what may succeed later. Undefined: it is over. */
async function patiently<T>(work: () => Promise<T>, isOver: () => boolean, onUnknown?: () => void): Promise<T | undefined> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isAixgoError(error) || !error.retryable) throw error;
      if (error.code === "OUTCOME_UNKNOWN") onUnknown?.();
      if (isOver()) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** How often each op stands in a log that has been verified whole. */
export async function countOps(backend: SessionBackend, id: string): Promise<ReadonlyMap<string, number>> {
  const { lines } = await verifyLog(backend, await backend.head(id));
  const counts = new Map<string, number>();
  for (const line of lines) {
    const op = /"op":"([^"]*)"/.exec(line.toString("utf8"))?.[1];
    if (op !== undefined) counts.set(op, (counts.get(op) ?? 0) + 1);
  }
  return counts;
}
