import { type Head, HeadFold, type Position, type Ref } from "@aixgo/session/backend";

/** What lines change in a head, whatever else is in it: so an append needs to know of the old head no more than its position. */
export interface Delta {
  readonly seq: number;
  readonly hash: string;
  readonly headSeq: number;
  readonly messageCount: number;
  /** Highest fence of the lines. */
  readonly fence: number;
  readonly bytes: number;
  /** Latest time of the lines; "" sorts before all. */
  readonly updatedAt: string;
  /** Absent: unchanged. */
  readonly metadata?: Head["info"]["metadata"];
  readonly unsupported?: string;
}

const UNCHANGED: Head["info"]["metadata"] = Object.freeze({});

/** Folds lines onto a head that knows nothing but its position. Throws `ENTRY_CORRUPT` if they do not follow from it. */
export function deltaOf(ref: Ref, expect: Position, lines: readonly Uint8Array[]): Delta {
  const blank: Head = {
    id: ref.id,
    incarnation: ref.incarnation,
    seq: expect.seq,
    hash: expect.hash,
    headSeq: expect.seq,
    fence: 0,
    bytes: 0,
    info: { id: ref.id, agentName: "", version: expect.seq, messageCount: 0, createdAt: "", updatedAt: "", metadata: UNCHANGED },
  };
  const folding = new HeadFold(blank);
  for (const line of lines) folding.push(line);
  const { seq, hash, headSeq, fence, bytes, info, unsupported } = folding.head as Head;
  return {
    seq,
    hash,
    headSeq,
    messageCount: info.messageCount,
    fence,
    bytes,
    updatedAt: info.updatedAt,
    ...(info.metadata === UNCHANGED ? undefined : { metadata: info.metadata }),
    ...(unsupported === undefined ? undefined : { unsupported }),
  };
}

/** Milliseconds since 1970 of an entry's time; 0 if it is none. */
export function millisecondsOf(timestamp: string): number {
  const time = Date.parse(timestamp);
  return Number.isNaN(time) ? 0 : time;
}
