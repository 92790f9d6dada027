import { AixgoError, type OpenTurn, type TurnOptions } from "@aixgo/core";
import type { Head } from "./contract.ts";
import { finishedTurn } from "./finished-turn.ts";
import { decodeMessage, type EncodedMessage } from "./message-data.ts";
import { isOnPath } from "./messages.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import { closeSuspended, suspended, suspendedReply, suspensionAt } from "./suspension.ts";
import type { TurnKey } from "./turn-data.ts";
import { replyOf, type TurnMark, turnOp, turnWithOp } from "./turn-log.ts";
import type { Wanted } from "./wanted-turn.ts";
import { isLive } from "./writer.ts";

const DECLINED = "declined: a new message came instead of an answer";

/** A turn with an input: a new one, or another attempt of the one with its key. */
export function newTurn(
  { log, ref }: OpenSession,
  { userId }: Session,
  input: EncodedMessage,
  { turnKey, ifSuspended = "reject" }: TurnOptions,
): Wanted {
  const name = turnKey ?? input.id;
  const op = name === undefined ? undefined : turnOp(name);
  const key: TurnKey | undefined = name === undefined ? undefined : { key: name, inputDigest: input.digest() };
  /** What was found of its key, and for which head: an append on that head lands only if nothing has come since. */
  let found: { readonly on: string; readonly mark: TurnMark | undefined } | undefined;

  async function markAt({ hash }: Head, op: string): Promise<TurnMark | undefined> {
    if (found?.on !== hash) found = { on: hash, mark: await turnWithOp(log, op) };
    return found.mark;
  }

  return {
    outgoing: input.outgoing,
    async known(head: Head): Promise<OpenTurn | undefined> {
      if (op === undefined) return undefined;
      found = undefined;
      const mark = await markAt(head, op);
      if (mark === undefined) return undefined;
      if (mark.data.inputDigest !== key?.inputDigest) {
        throw new AixgoError(
          "TURN_KEY_REUSED",
          `turn key ${JSON.stringify(name)} of session ${ref.id} stands for another input. Use a new key for a new question`,
        );
      }
      const { attempt, status, phase } = mark.data;
      const of = { ref, userId, attempt };
      if (status === "completed")
        return finishedTurn({ ...of, reply: await replyOf(log, mark), input: decodeMessage(await log.one(mark.turnSeq + 1)) });
      if (phase !== "suspend" || isLive(head)) return undefined;
      const suspension = await suspensionAt(log, head);
      if (suspension?.turnSeq !== mark.turnSeq) return undefined;
      const reply = await suspendedReply(log, head, suspension, true);
      return finishedTurn({ ...of, reply, input: decodeMessage(await log.one(mark.turnSeq + 1)) });
    },
    async plan(head) {
      const suspension = await suspensionAt(log, head);
      if (suspension !== undefined && ifSuspended !== "decline")
        throw suspended(
          ref.id,
          suspension.requests.map(({ requestId }) => requestId),
        );
      const earlier = op === undefined ? undefined : await markAt(head, op);
      const continued = earlier !== undefined && (await isOnPath(log, head, earlier.turnSeq)) ? earlier : undefined;
      return {
        start: {
          key,
          op,
          input,
          ...(continued === undefined ? undefined : { continued }),
          ...(suspension === undefined
            ? undefined
            : { before: (fence: number) => closeSuspended(log, head, suspension, { fence, reason: DECLINED }) }),
        },
      };
    },
  };
}
