import { hash } from "node:crypto";
import { AixgoError, type Reply, textOf } from "@aixgo/core";
import { isWellFormed } from "@aixgo/security";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import type { SessionLog } from "./log.ts";
import { decodeMessage } from "./message-data.ts";
import type { TurnData } from "./turn-data.ts";

/** A `turn` entry of the log. */
export interface TurnMark {
  readonly entry: Entry;
  readonly data: TurnData;
  /** Seq of the turn's first start: what all its entries name. */
  readonly turnSeq: number;
}

const MAX_KEY_BYTES = 512;

/** The op that a turn's start and end carry. Throws `INVALID_INPUT` for a key that cannot be one. */
export function turnOp(key: string): string {
  if (typeof key !== "string" || key === "" || !isWellFormed(key) || Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new AixgoError("INVALID_INPUT", `a turn key must be a text of 1 to ${MAX_KEY_BYTES} bytes`);
  }
  return `t:${hash("sha256", key, "base64url")}`;
}

/** The op of a turn's entries from its first suspension on, if it has no key: so that its last one can be found. */
export function turnIdOp(turnId: string): string {
  return `t:${turnId}`;
}

/** The op of the entry that answers a request. Throws `INVALID_INPUT` for what cannot be the id of one. */
export function requestOp(requestId: string): string {
  if (typeof requestId !== "string" || requestId === "" || !isWellFormed(requestId))
    throw new AixgoError("INVALID_INPUT", "a request id must be a text that is not empty");
  return `r:${hash("sha256", requestId, "base64url")}`;
}

/** The last thing that the log says of the turn with this op, on whatever branch. */
export async function turnWithOp(log: SessionLog, op: string): Promise<TurnMark | undefined> {
  const seq = await log.backend.find(log.ref, { op });
  return seq === undefined ? undefined : markOf(await log.one(seq));
}

/** The last turn entry of the log: only this one can be open. */
export async function lastTurn(log: SessionLog, head: Head): Promise<TurnMark | undefined> {
  if (head.fence === 0) return undefined;
  const entry = await log.lastOfType(head, "turn");
  return entry === undefined ? undefined : markOf(entry);
}

export function markOf(entry: Entry): TurnMark {
  return { entry, data: entry.data as unknown as TurnData, turnSeq: entry.turn ?? entry.seq };
}

/** The answer of a completed turn, from the log. */
export async function replyOf(log: SessionLog, mark: TurnMark, replayed = true): Promise<Reply> {
  const { entry, data, turnSeq } = mark;
  const message = decodeMessage(await log.one(data.replySeq as number));
  const start = await log.one(turnSeq);
  return {
    message,
    text: textOf(message),
    ...(data.usage === undefined ? undefined : { usage: data.usage }),
    turn: { id: start.id, sessionId: log.ref.id, version: entry.seq, replayed, status: "completed" },
  };
}
