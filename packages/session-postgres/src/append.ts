import { AixgoError } from "@aixgo/core";
import type { Append, Appended, Ref } from "@aixgo/session/backend";
import type { AppendLanes, Outgoing } from "./append-lanes.ts";
import type { Claims } from "./claims.ts";
import { columnText, type Field, rowLiteral, whole } from "./column-text.ts";
import { type Held, refuseAborted } from "./connection.ts";
import { type Delta, deltaOf, millisecondsOf } from "./delta.ts";
import { headOfRow } from "./head-row.ts";
import { labelsOf } from "./labels.ts";
import { type PackedLines, packLines, refuseLongLine } from "./lines.ts";
import { conflictOf, readRefusal, type Refusal } from "./refusal.ts";
import { fenced, type Store } from "./store.ts";

/** Longest lease. What is longer would never end. */
const MAX_TTL_MS = 365 * 24 * 60 * 60 * 1000;
const MAX_LEASE_TEXT = 1024;

export async function append(store: Store, lanes: AppendLanes, claims: Claims, ref: Ref, request: Append): Promise<Appended> {
  const doing = `append to session ${ref.id}`;
  checkAppend(doing, request);
  const { expect, lines, lease } = request;
  for (const line of lines) refuseLongLine(doing, ref.id, line, store.options.capabilities.maxLineBytes);
  let delta: Delta;
  try {
    delta = deltaOf(ref, expect, lines);
  } catch (error) {
    // Lines that do not follow are the last thing that is checked.
    const refusal = answerOf(doing, request, await readRefusal(store, doing, ref, expect, lease));
    if (refusal !== undefined) return refusal;
    throw error;
  }
  const packed = packLines(lines);
  const row = (before: number): string => requestRow(ref, request, delta, packed, before);
  const held = claims.take(ref.id);
  const outgoing = { doing, id: ref.id, bytes: packed.bytes, signal: request.signal, row };
  const answer = held === undefined ? await lanes.send(outgoing) : await sendHeld(store, held, outgoing);
  if (typeof answer === "string") return { head: headOfRow(answer) };
  const refusal = (await claims.claim(doing, ref, expect, lease)) ?? (await readRefusal(store, doing, ref, expect, lease));
  if (!refusal.isExpected) claims.conflicted(ref.id);
  // What stood in the way when it was sent may be gone by now; a lease that has just expired is still a conflict.
  return answerOf(doing, request, refusal) ?? { conflict: refusal.head };
}

/** In the transaction that holds the session's row already. */
async function sendHeld({ statements, lockMs }: Store, held: Held, { doing, signal, row, bytes }: Outgoing): Promise<unknown> {
  let isWritten = false;
  try {
    refuseAborted(doing, signal);
    const [answer] = await held.query(statements.append, [row(0), bytes, lockMs], "write");
    isWritten = typeof answer?.["head"] === "string";
    return answer?.["head"];
  } finally {
    await held.end(isWritten ? "COMMIT" : "ROLLBACK");
  }
}

/** Why an append is not written: as an answer, or as an error. Undefined: nothing stands in its way. */
function answerOf(doing: string, { acquire, lease }: Append, refusal: Refusal): Appended | undefined {
  const { head, isExpected, isHeld } = refusal;
  if (!isExpected) return conflictOf(refusal);
  const isLive = head.lease !== undefined && head.lease.expiresInMs > 0;
  if (acquire !== undefined && (isLive || acquire.fence !== head.fence + 1)) return { conflict: head };
  if (lease !== undefined && !isHeld) throw fenced(doing, lease.fence);
  return undefined;
}

function requestRow(
  ref: Ref,
  { expect, acquire, lease, release, keys }: Append,
  delta: Delta,
  packed: PackedLines,
  before: number,
): string {
  const use = acquire !== undefined ? "take" : release === true ? "release" : lease !== undefined ? "hold" : null;
  const { fence, token } = acquire ?? lease ?? {};
  const fields: readonly Field[] = [
    columnText(ref.id),
    columnText(ref.incarnation),
    whole(expect.seq),
    columnText(expect.hash),
    delta.seq,
    columnText(delta.hash),
    delta.headSeq,
    delta.messageCount,
    delta.fence,
    delta.bytes,
    columnText(delta.updatedAt),
    millisecondsOf(delta.updatedAt),
    delta.metadata === undefined ? null : JSON.stringify(delta.metadata),
    delta.metadata === undefined ? null : labelsOf(delta.metadata),
    delta.unsupported === undefined ? null : columnText(delta.unsupported),
    use,
    fence === undefined ? null : whole(fence),
    token === undefined ? null : columnText(token),
    acquire === undefined ? null : columnText(acquire.holder),
    acquire?.ttlMs,
    keys,
    packed.entryIds,
    packed.ops,
    before === 0 ? packed.starts : packed.starts.map((start) => start + before),
    packed.sizes,
  ];
  return rowLiteral(fields);
}

function checkAppend(doing: string, { lines, acquire, lease, release }: Append): void {
  const invalid = (rule: string): AixgoError => new AixgoError("INVALID_INPUT", `${doing}: ${rule}`);
  if (lines.length === 0) throw invalid("there are no lines");
  if (acquire !== undefined && (lease !== undefined || release === true))
    throw invalid("a lease is taken, used or released, one at a time");
  if (release === true && lease === undefined) throw invalid("the lease to be released is not given");
  if (acquire === undefined) return;
  checkTtl(doing, acquire.ttlMs);
  if (!Number.isSafeInteger(acquire.fence)) throw invalid("the fence of a lease must be a whole number");
  for (const text of [acquire.token, acquire.holder])
    if (Buffer.byteLength(text) > MAX_LEASE_TEXT) throw invalid(`token and holder of a lease have ${MAX_LEASE_TEXT} bytes at most`);
}

export function checkTtl(doing: string, ttlMs: number): void {
  if (!(ttlMs > 0 && ttlMs <= MAX_TTL_MS))
    throw new AixgoError("INVALID_INPUT", `${doing}: ttlMs of a lease must be above zero, and a year at most`);
}
