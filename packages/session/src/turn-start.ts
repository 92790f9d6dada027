import type { Json, Message } from "@aixgo/core";
import { newEntryId, newToken } from "@aixgo/security";
import type { Head } from "./contract.ts";
import type { Draft } from "./line.ts";
import type { ManagerOptions } from "./manager-options.ts";
import { decodeMessage, type EncodedMessage, messageOf } from "./message-data.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import { decisionsOf } from "./suspension.ts";
import { Turn } from "./turn.ts";
import { keyOf, type TurnData, type TurnKey } from "./turn-data.ts";
import { lastTurn, type TurnMark } from "./turn-log.ts";
import { isLive, Moved } from "./writer.ts";

/** An attempt that is about to begin. */
export interface Start {
  readonly key: TurnKey | undefined;
  readonly op: string | undefined;
  /** The turn that goes on; its input is in the log. */
  readonly continued?: TurnMark;
  /** The input of a turn that begins. */
  readonly input?: EncodedMessage;
  /** What is written before the start, under its fence: the end of a turn that was declined, or an answer. */
  readonly before?: (fence: number) => readonly Draft[] | Promise<readonly Draft[]>;
  /** The answer among them. */
  readonly decided?: readonly [requestId: string, decision: Json];
}

/** Writes the end of a dead predecessor, what comes before, the start and the input as one batch, which takes the lease. Throws `Moved`. */
export async function startTurn(open: OpenSession, session: Session, head: Head, start: Start, options: ManagerOptions): Promise<Turn> {
  const { log } = open;
  const { continued, input } = start;
  const last = await lastTurn(log, head);
  const lease = { fence: head.fence + 1, token: newToken() };
  const drafts: Draft[] = [];
  if (last?.data.phase === "start") drafts.push(endOfDead(last, lease.fence));
  if (start.before !== undefined) drafts.push(...(await start.before(lease.fence)));

  // Read before the lease is taken: a fault here must not leave the session with a turn that nobody runs.
  const first =
    continued === undefined
      ? undefined
      : { id: (await log.one(continued.turnSeq)).id, input: decodeMessage(await log.one(continued.turnSeq + 1)) };
  const decisions = continued === undefined ? new Map<string, Json>() : await decisionsOf(log, head, continued.turnSeq);
  if (start.decided !== undefined) decisions.set(...start.decided);
  const shown = await shownInput(open, first?.input, input);

  const turnSeq = continued?.turnSeq ?? head.seq + 1 + drafts.length;
  const attempt = continued === undefined ? 1 : continued.data.attempt + 1;
  const startId = newEntryId();
  const inputId = newEntryId();
  const mark = { turn: turnSeq, fence: lease.fence };
  const { key, op } = start;
  const data: TurnData = { phase: "start", ...key, attempt };
  drafts.push({ id: startId, type: "turn", data: JSON.stringify(data), ...mark, ...(op === undefined ? undefined : { op }) });
  if (continued === undefined && input !== undefined) drafts.push({ id: inputId, type: "message", data: input.json, ...mark });

  const written = await open.writer.submit({
    drafts,
    acquire: { ...lease, holder: options.holder, ttlMs: options.leaseMs },
    check: (current) => {
      if (current.hash !== head.hash || current.fence !== head.fence || isLive(current)) throw new Moved();
    },
  });
  const turn = new Turn({
    open,
    session,
    userId: head.info.userId,
    id: first?.id ?? startId,
    turnSeq,
    attempt,
    resumed: start.decided !== undefined,
    key,
    op,
    input: shown(inputId, written.timestamp),
    headSeq: written.tip.headSeq,
    decisions,
    lease,
    leaseMs: options.leaseMs,
    maxMessageBytes: options.maxMessageBytes,
    onEnd: () => {
      open.running = undefined;
      open.turns.leave();
    },
  });
  open.running = turn;
  if (open.turns.isInterrupted) turn.cancel("interrupted", "");
  return turn;
}

/** The input as the agent is given it. What must be read for that is read now; the id and time of a new one come with its entry. */
async function shownInput(
  { attachments }: OpenSession,
  stored: Message | undefined,
  given: EncodedMessage | undefined,
): Promise<(id: string, timestamp: string) => Message> {
  if (stored !== undefined) {
    const [input = stored] = await attachments.forAgent([stored]);
    return () => input;
  }
  const { data, outgoing } = given as EncodedMessage;
  if (outgoing.length === 0) return (id, timestamp) => messageOf(data, id, timestamp);
  const [input] = await attachments.forAgent([messageOf(data, "", "")]);
  return (id, timestamp) => messageOf({ ...data, parts: input?.parts ?? data.parts }, id, timestamp);
}

/** The end that a turn's process did not live to write. */
function endOfDead(dead: TurnMark, fence: number): Draft {
  const data: TurnData = { phase: "end", ...keyOf(dead.data), attempt: dead.data.attempt, status: "interrupted" };
  const { op } = dead.entry;
  return {
    id: newEntryId(),
    type: "turn",
    data: JSON.stringify(data),
    turn: dead.turnSeq,
    fence,
    ...(op === undefined ? undefined : { op }),
  };
}
