import type { FollowedMessage } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { lookAt, type Reader } from "./feed.ts";
import type { SessionLog } from "./log.ts";
import { decodeMessage } from "./message-data.ts";
import { News } from "./news.ts";

export interface Following {
  /** Behind this version; -1: from the first message. */
  readonly after: number;
  readonly signal: AbortSignal | undefined;
  readonly reader: Reader;
  readonly news?: News;
}

/** An entry of the path, or the head each time that all was shown. */
export type Followed = { readonly entry: Entry } | { readonly head: Head };

/**
 * The path entries behind a version, those of branches that were left by `head` passed over, and then all that are appended.
 * What a restore leaves behind from then on was shown before it was left.
 */
export async function* followPath(log: SessionLog, head: Head, following: Following): AsyncGenerator<Followed, void, undefined> {
  const { after, signal, reader, news = new News(log.backend, log.ref) } = following;
  const onPath = new Set<number>();
  await log.walk(head, head.headSeq, () => {
    onPath.clear();
    return (entry) => {
      if (entry.seq > after) onPath.add(entry.seq);
      return entry.seq > after;
    };
  });
  for await (const look of lookAt(log, { from: { seq: after, hash: undefined }, follow: true, signal, news }, reader)) {
    if ("head" in look) yield look;
    else {
      const { entry } = look;
      if (entry.seq > head.seq ? entry.head === undefined || entry.head === entry.seq : onPath.delete(entry.seq)) yield look;
    }
  }
}

/** The messages among them. */
export async function* followMessages(log: SessionLog, head: Head, following: Following): AsyncGenerator<FollowedMessage, void, undefined> {
  const ids = new Map<number, string>();
  for await (const look of followPath(log, head, following)) {
    if (!("entry" in look) || look.entry.type !== "message") continue;
    const { seq, turn } = look.entry;
    if (turn !== undefined && !ids.has(turn)) {
      // One turn at a time: those before are over.
      ids.clear();
      ids.set(turn, (await log.one(turn)).id);
    }
    const turnId = turn === undefined ? undefined : ids.get(turn);
    yield { message: decodeMessage(look.entry), version: seq, ...(turnId === undefined ? undefined : { turnId }) };
  }
}
