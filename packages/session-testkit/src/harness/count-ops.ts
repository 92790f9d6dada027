import { envelopeOf, type SessionBackend } from "@aixgo/session/backend";
import type { CaseContext } from "./case.ts";
import { verifyLog } from "./verify-log.ts";

/** Pauses before a log is taken for settled, and how often it is looked at. */
const SETTLE_MS = 50;
const MOST_LOOKS = 20;

/**
 * The log, verified, once nothing is under way: a server may still carry out what a process had sent before it was killed. Then
 * head and lines that were read one after the other do not belong together.
 */
async function settledLog(node: SessionBackend, id: string): ReturnType<typeof verifyLog> {
  for (let look = 1; ; look += 1) {
    const before = await node.head(id);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    try {
      return await verifyLog(node, before);
    } catch (error) {
      if (look === MOST_LOOKS || (await node.head(id)).seq === before.seq) throw error;
    }
  }
}

/** How often each op stands in the log. */
export async function countOps(
  { open }: CaseContext,
  id: string,
): Promise<{ readonly ops: ReadonlyMap<string, number>; readonly length: number }> {
  const node = await open();
  const { lines } = await settledLog(node, id);
  const ops = new Map<string, number>();
  for (const line of lines) {
    const { op } = envelopeOf(line);
    if (op !== undefined) ops.set(op, (ops.get(op) ?? 0) + 1);
  }
  return { ops, length: lines.length };
}
