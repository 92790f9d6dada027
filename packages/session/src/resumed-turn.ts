import { AixgoError, type Json, type OpenTurn, toDecision } from "@aixgo/core";
import { finishedTurn } from "./finished-turn.ts";
import { decodeMessage, encodeJson } from "./message-data.ts";
import { isOnPath } from "./messages.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import { decideDraft, named, opOf, type Suspension, suspendedReply, suspensionAt } from "./suspension.ts";
import { keyOf, type TurnKey } from "./turn-data.ts";
import { markOf, replyOf, requestOp, type TurnMark, turnWithOp } from "./turn-log.ts";
import type { Wanted } from "./wanted-turn.ts";
import { isLive, Moved } from "./writer.ts";

/**
 * A suspended turn that somebody answers. The answer to the last open request and the start of the next attempt are one batch; one
 * before it is written without a lease. A request that was answered before brings what became of its turn.
 */
export function resumedTurn(
  { log, ref, writer }: OpenSession,
  { userId }: Session,
  given: { readonly requestId: string; readonly decision: Json },
  maxBytes: number,
): Wanted {
  const { requestId } = given;
  const op = requestOp(requestId);
  const decision = JSON.parse(encodeJson(toDecision(given.decision), "decision", maxBytes)) as Json;

  const finished = async (mark: TurnMark, reply: Parameters<typeof finishedTurn>[0]["reply"]): Promise<OpenTurn> => {
    const input = decodeMessage(await log.one(mark.turnSeq + 1));
    return finishedTurn({ ref, userId, reply, input, attempt: mark.data.attempt });
  };
  /** The suspended turn, if the request is one that it waits for. */
  const askedBy = (suspension: Suspension | undefined): Suspension | undefined =>
    suspension?.requests.some((request) => request.requestId === requestId) === true ? suspension : undefined;

  /** The last that the log says of the turn whose request was answered before. Throws `ENTRY_NOT_FOUND` if it was not. */
  const answered = async (suspension: Suspension | undefined): Promise<TurnMark> => {
    const seq = await log.backend.find(log.ref, { op });
    const mark = seq === undefined ? undefined : markOf(await log.one(seq));
    if (mark === undefined || mark.data.phase === "withdraw") throw unknown(ref.id, requestId, suspension);
    const { turnSeq, data } = mark;
    return (await turnWithOp(log, opOf(data.key, (await log.one(turnSeq)).id))) as TurnMark;
  };

  return {
    outgoing: [],
    async known(head) {
      const suspension = isLive(head) ? undefined : await suspensionAt(log, head);
      if (askedBy(suspension) !== undefined) return undefined;
      const mark = await answered(suspension);
      const { status } = mark.data;
      if (status === "completed") return finished(mark, await replyOf(log, mark));
      if (suspension?.turnSeq === mark.turnSeq) return finished(mark, await suspendedReply(log, head, suspension, true));
      if (status === "cancelled")
        throw new AixgoError(
          "TURN_ENDED",
          `request ${JSON.stringify(requestId)} of session ${ref.id} was answered, and then its turn was cancelled. Ask again with a new message`,
        );
      return undefined;
    },
    async plan(head) {
      const found = await suspensionAt(log, head);
      const suspension = askedBy(found);
      if (suspension === undefined) {
        const mark = await answered(found);
        if (!(await isOnPath(log, head, mark.entry.seq))) throw leftBehind(ref.id, requestId);
        return { start: { ...startOf(mark, (await log.one(mark.turnSeq)).id), continued: mark } };
      }
      if (suspension.requests.length === 1) {
        return {
          start: {
            ...startOf(suspension, suspension.turnId),
            continued: suspension,
            before: (fence) => [decideDraft(suspension, { requestId, op, decision }, fence)],
            decided: [requestId, decision],
          },
        };
      }
      const draft = decideDraft(suspension, { requestId, op, decision }, head.fence);
      const written = await writer.submit({
        drafts: [draft],
        outsideTurns: true,
        check: (current) => {
          if (current.hash !== head.hash) throw new Moved();
        },
      });
      const rest = suspension.requests.filter((request) => request.requestId !== requestId);
      const entry = written.entries()[0] as TurnMark["entry"];
      return {
        turn: await finished(suspension, await suspendedReply(log, await log.refresh(), { ...suspension, entry, requests: rest }, false)),
      };
    },
  };
}

function startOf({ data }: TurnMark, turnId: string): { key: TurnKey | undefined; op: string } {
  return { key: keyOf(data), op: opOf(data.key, turnId) };
}

function unknown(id: string, requestId: string, suspension: Suspension | undefined): AixgoError {
  const asked = JSON.stringify(requestId.slice(0, 80));
  const open = suspension?.requests.map((request) => request.requestId) ?? [];
  const problem =
    open.length > 0
      ? `open ${open.length === 1 ? "is" : "are"} ${named(open)}`
      : "none is open: it was cancelled or declined, a restore left it behind, or it was never asked";
  return new AixgoError("ENTRY_NOT_FOUND", `session ${id} has no open request ${asked}; ${problem}`, { details: { requests: open } });
}

function leftBehind(id: string, requestId: string): AixgoError {
  return new AixgoError(
    "ENTRY_NOT_FOUND",
    `request ${JSON.stringify(requestId)} of session ${id} was answered, but its turn was left behind by a restore before it ended. Restore to that turn, or ask again`,
  );
}
