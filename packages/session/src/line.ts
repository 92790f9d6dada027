import { markBuilt } from "./built-line.ts";
import { sealLine } from "./chain.ts";
import type { EntryType, Envelope } from "./entry.ts";

/** Filled by assignment: members that are spread cost as much as the rest of a line. */
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Where a log ends: all that the next line depends on. */
export interface Tip {
  /** -1 before the header. */
  readonly seq: number;
  /** Of the last line; before the header, the incarnation. */
  readonly hash: string;
  /** The head: what the next path entry grows from. */
  readonly headSeq: number;
  readonly headId: string;
  readonly headHash: string;
  /** Messages on the path to the head. */
  readonly n: number;
  /** Requests that the turn at the head waits for: nothing is to grow from there but the turn itself. */
  readonly waitsFor?: readonly string[];
}

/** What a restore says of the place that it moves the head to. */
export type TipAt = Pick<Tip, "headSeq" | "headId" | "headHash" | "n" | "waitsFor">;

/** An entry before it has a place. Its id stays the same however often it is placed anew. */
export interface Draft {
  readonly id: string;
  readonly type: EntryType;
  /** JSON text, or how to make it once the place is known. */
  readonly data: string | ((place: Tip) => string);
  readonly op?: string;
  /** Absent: an entry of the path, which becomes the head. Present: a side entry; with a target it moves the head there. */
  readonly side?: { readonly to?: TipAt };
  /** Of a turn that is suspended from here on. */
  readonly waitsFor?: readonly string[];
  /** Seq of the turn's first start. */
  readonly turn?: number;
  readonly fence?: number;
  /** Set by copies: the time of the original. */
  readonly timestamp?: string;
  /** Members that this version does not know, carried over by copies: JSON text beginning with a comma, or empty. */
  readonly unknown?: string;
}

/** The tip of a log that does not exist yet. */
export function emptyTip(incarnation: string): Tip {
  return { seq: -1, hash: incarnation, headSeq: -1, headId: "", headHash: incarnation, n: 0 };
}

export interface Placed {
  readonly line: Buffer;
  readonly tip: Tip;
}

/** Places a draft behind `tip`. Scalars first, `data`, hash last: the order that `envelopeOf` slices by. */
export function placeLine(tip: Tip, draft: Draft, index: number, of: number, timestamp: string, sync?: number): Placed {
  const seq = tip.seq + 1;
  const isPath = draft.side === undefined;
  const target = draft.side?.to ?? tip;
  const n = isPath ? tip.n + (draft.type === "message" ? 1 : 0) : target.n;
  const time = draft.timestamp ?? timestamp;
  // The text, and beside it the same members as they would be read from it.
  const envelope = { v: 1, seq, id: draft.id, timestamp: time, type: draft.type, n, hash: "" } as Mutable<Envelope>;
  let body = `{"v":1,"seq":${seq},"id":"${draft.id}"`;
  if (isPath && tip.headSeq !== tip.seq) {
    body += `,"parentId":"${tip.headId}","parentSeq":${tip.headSeq}`;
    envelope.parentId = tip.headId;
    envelope.parentSeq = tip.headSeq;
  }
  body += `,"timestamp":"${time}","type":"${draft.type}"`;
  if (draft.op !== undefined) {
    body += `,"op":${JSON.stringify(draft.op)}`;
    envelope.op = draft.op;
  }
  if (of > 1) {
    body += `,"batch":[${index},${of}]`;
    envelope.batch = [index, of];
  }
  if (sync !== undefined) {
    body += `,"sync":${sync}`;
    envelope.sync = sync;
  }
  if (!isPath) {
    body += `,"head":${target.headSeq}`;
    envelope.head = target.headSeq;
  }
  body += `,"n":${n}`;
  if (draft.turn !== undefined) {
    body += `,"turn":${draft.turn}`;
    envelope.turn = draft.turn;
  }
  if (draft.fence !== undefined) {
    body += `,"fence":${draft.fence}`;
    envelope.fence = draft.fence;
  }
  if (draft.unknown !== undefined) body += draft.unknown;
  body += `,"data":${typeof draft.data === "string" ? draft.data : draft.data(tip)}`;
  const { line, hash } = sealLine(tip.hash, body);
  envelope.hash = hash;
  // Members that are not known here are known to whoever parses the line.
  if (draft.unknown === undefined) markBuilt(line, { envelope, previousHash: tip.hash });
  const placed: Mutable<Tip> = isPath
    ? { seq, hash, headSeq: seq, headId: draft.id, headHash: hash, n }
    : { seq, hash, headSeq: target.headSeq, headId: target.headId, headHash: target.headHash, n };
  const waitsFor = isPath ? draft.waitsFor : target.waitsFor;
  if (waitsFor !== undefined) placed.waitsFor = waitsFor;
  return { line, tip: placed };
}
