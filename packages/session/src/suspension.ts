import {
  AixgoError,
  type Json,
  type Message,
  type Reply,
  type SuspendRequest,
  textOf,
  type ToolResultPart,
  type WaitingRequest,
} from "@aixgo/core";
import { newEntryId, redactError } from "@aixgo/security";
import type { Head } from "./contract.ts";
import { openCalls } from "./history.ts";
import type { Draft } from "./line.ts";
import type { SessionLog } from "./log.ts";
import { readSteps, readStored } from "./messages.ts";
import { keyOf, type TurnData } from "./turn-data.ts";
import { markOf, requestOp, turnIdOp, type TurnMark, turnOp } from "./turn-log.ts";

/** A turn that waits at the head of its session. */
export interface Suspension extends TurnMark {
  readonly turnId: string;
  readonly requests: readonly SuspendRequest[];
}

/** Ids that an error's message names; all of them are in its details. */
const MAX_NAMED = 8;

/** The turn that waits at this head, if one does. To be asked when no lease is live. */
export async function suspensionAt(log: SessionLog, head: Head): Promise<Suspension | undefined> {
  const tip = log.knownTip(head);
  if (tip !== undefined && tip.waitsFor === undefined) return undefined;
  const waiting = await log.waitingAt(head);
  if (waiting === undefined) return undefined;
  const mark = markOf(waiting.entry);
  // What it waits for was found in these data.
  return { ...mark, turnId: (await log.one(mark.turnSeq)).id, requests: mark.data.requests as readonly SuspendRequest[] };
}

/** The answers that a turn was given on its path, by request. */
export async function decisionsOf(log: SessionLog, head: Head, turnSeq: number): Promise<Map<string, Json>> {
  let decisions = new Map<string, Json>();
  await log.walk(head, head.headSeq, () => {
    decisions = new Map();
    return (entry) => {
      if (entry.type === "turn" && entry.turn === turnSeq) {
        const { phase, requestId, decision } = entry.data as unknown as TurnData;
        // From the end: the newest answer stands.
        if (phase === "decide" && requestId !== undefined && !decisions.has(requestId)) decisions.set(requestId, decision ?? null);
      }
      return entry.seq > turnSeq;
    };
  });
  return decisions;
}

/** All that the turn asked for when it was suspended last, with the answers that came since. */
export async function askedAt(log: SessionLog, head: Head, { turnSeq, requests }: Suspension): Promise<readonly WaitingRequest[]> {
  let asked = requests;
  const decisions = new Map<string, Json>();
  await log.walk(head, head.headSeq, () => {
    decisions.clear();
    return (entry) => {
      if (entry.type !== "turn" || entry.turn !== turnSeq) return entry.seq > turnSeq;
      const data = entry.data as unknown as TurnData;
      if (data.phase === "decide" && data.requestId !== undefined) decisions.set(data.requestId, data.decision ?? null);
      else asked = data.requests ?? asked;
      return data.phase === "decide";
    };
  });
  return asked.map((request) =>
    decisions.has(request.requestId) ? { ...request, decision: decisions.get(request.requestId) as Json } : request,
  );
}

/** What the caller of a suspended turn gets. */
export async function suspendedReply(log: SessionLog, head: Head, suspension: Suspension, replayed: boolean): Promise<Reply> {
  const steps = await readSteps(log, head, suspension.turnSeq);
  return {
    ...lastWords(
      steps.map(({ message }) => message),
      suspension.turnId,
      suspension.entry.timestamp,
    ),
    turn: {
      id: suspension.turnId,
      sessionId: log.ref.id,
      version: suspension.entry.seq,
      replayed,
      status: "suspended",
      requests: suspension.requests,
    },
  };
}

/** The assistant's last message of a turn, else an empty one that is stored nowhere. */
export function lastWords(steps: readonly Message[], turnId: string, timestamp: string): Pick<Reply, "message" | "text"> {
  const message = steps.findLast(({ role }) => role === "assistant") ?? {
    id: `${turnId}.suspended`,
    role: "assistant",
    parts: [],
    timestamp,
  };
  return { message, text: textOf(message) };
}

/**
 * Ends a suspended turn without an answer: a result `execution-denied` for each of its open calls, a mark for each of its requests
 * (an answer that comes late must not meet another question under the same id), and its end.
 */
export async function closeSuspended(
  log: SessionLog,
  head: Head,
  suspension: Suspension,
  how: { readonly fence: number; readonly reason: string },
): Promise<readonly Draft[]> {
  const { turnSeq, turnId, data } = suspension;
  const mark = { turn: turnSeq, fence: how.fence };
  const calls = openCalls(await readStored(log, head, turnSeq));
  const parts = calls.map(({ toolCallId, toolName }): ToolResultPart => {
    return { type: "tool-result", toolCallId, toolName, output: { type: "execution-denied", reason: how.reason } };
  });
  const end: TurnData = {
    phase: "end",
    ...keyOf(data),
    attempt: data.attempt,
    status: "cancelled",
    error: redactError(new AixgoError("CANCELLED", `turn ${turnId} was cancelled while it was suspended: ${how.reason}`)),
  };
  const drafts: Draft[] = [];
  if (parts.length > 0) drafts.push({ id: newEntryId(), type: "message", data: JSON.stringify({ role: "tool", parts }), ...mark });
  for (const { requestId } of suspension.requests) {
    const withdrawn: TurnData = { phase: "withdraw", ...keyOf(data), attempt: data.attempt, requestId };
    drafts.push({ id: newEntryId(), type: "turn", data: JSON.stringify(withdrawn), op: requestOp(requestId), ...mark });
  }
  drafts.push({ id: newEntryId(), type: "turn", data: JSON.stringify(end), op: opOf(data.key, turnId), ...mark });
  return drafts;
}

/** The entry that answers a request. */
export function decideDraft(
  suspension: Suspension,
  answer: { readonly requestId: string; readonly op: string; readonly decision: Json },
  fence: number,
): Draft {
  const { turnSeq, data } = suspension;
  const requests = suspension.requests.filter(({ requestId }) => requestId !== answer.requestId);
  const decided: TurnData = {
    phase: "decide",
    ...keyOf(data),
    attempt: data.attempt,
    requestId: answer.requestId,
    decision: answer.decision,
    requests,
  };
  return {
    id: newEntryId(),
    type: "turn",
    data: JSON.stringify(decided),
    op: answer.op,
    turn: turnSeq,
    fence,
    ...(requests.length === 0 ? undefined : { waitsFor: requests.map(({ requestId }) => requestId) }),
  };
}

/** What a new message, or an append, is told while a turn waits. */
export function suspended(sessionId: string, requestIds: readonly string[]): AixgoError {
  return new AixgoError(
    "TURN_SUSPENDED",
    `a turn of session ${sessionId} waits for the answer to ${named(requestIds)}. Answer with runtime.resume, end it with cancelTurn, or send the message with ifSuspended: "decline"`,
    { details: { requests: requestIds } },
  );
}

export function named(requestIds: readonly string[]): string {
  const names = requestIds.slice(0, MAX_NAMED).map((id) => JSON.stringify(id.length > 80 ? `${id.slice(0, 80)}…` : id));
  return `request${requestIds.length === 1 ? "" : "s"} ${names.join(", ")}${requestIds.length > MAX_NAMED ? ` and ${requestIds.length - MAX_NAMED} more` : ""}`;
}

/** What the entries of a turn that was suspended are found by. */
export function opOf(key: string | undefined, turnId: string): string {
  return key === undefined ? turnIdOp(turnId) : turnOp(key);
}
