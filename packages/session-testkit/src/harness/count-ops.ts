import { envelopeOf } from "@aixgo/session/backend";
import type { CaseContext } from "./case.ts";
import { verifyLog } from "./verify-log.ts";

/** How often each op stands in the log. */
export async function countOps(
  { open }: CaseContext,
  id: string,
): Promise<{ readonly ops: ReadonlyMap<string, number>; readonly length: number }> {
  const node = await open();
  const { lines } = await verifyLog(node, await node.head(id));
  const ops = new Map<string, number>();
  for (const line of lines) {
    const { op } = envelopeOf(line);
    if (op !== undefined) ops.set(op, (ops.get(op) ?? 0) + 1);
  }
  return { ops, length: lines.length };
}
