import { AixgoError, type AttachedTurn, type Message, type Reply } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { Reader } from "./feed.ts";
import { followPath } from "./follow.ts";
import { decodeMessage } from "./message-data.ts";
import { News } from "./news.ts";
import type { OpenSession } from "./open-session.ts";
import { lifeOf, placeOf } from "./place.ts";
import { suspendedReply } from "./suspension.ts";
import { lastTurn, markOf, replyOf, type TurnMark } from "./turn-log.ts";
import { isLive } from "./writer.ts";

/** How long after its lease a turn may be taken over before those who follow it are told that it is over. */
const TAKEOVER_MS = 1000;

interface Item {
  readonly version: number;
  readonly message?: Message;
}

/** The turn that runs on this session, to be followed from a cursor, or from behind its input. Undefined: none runs. */
export async function attachTurn(
  open: OpenSession,
  head: Head,
  after: string | undefined,
  reader: Reader,
): Promise<AttachedTurn | undefined> {
  const { log, ref } = open;
  const given = after === undefined ? undefined : placeOf(after, head);
  const isRunning = (now: Head): boolean => isLive(now) || open.running !== undefined;
  if (!isRunning(head)) return undefined;
  const last = await lastTurn(log, head);
  if (last?.data.phase !== "start") return undefined;
  const { turnSeq } = last;
  const { id } = await log.one(turnSeq);
  const place = given ?? { life: lifeOf(ref), version: turnSeq + 1, shown: 0 };
  const listening = new Set<News>();

  /** What is stored behind a version until the attempt ends; returns the end. */
  async function* until(end: number, signal: AbortSignal | undefined): AsyncGenerator<Item, TurnMark, undefined> {
    const news = new News(log.backend, ref);
    listening.add(news);
    let ended: TurnMark | undefined;
    let deadSince: number | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      for await (const look of followPath(log, head, { after: end, signal, reader, news })) {
        if ("entry" in look) {
          const { entry } = look;
          if (entry.type === "turn" && entry.seq > (last as TurnMark).entry.seq) {
            const mark = markOf(entry);
            // Another attempt of the same turn, begun where the first one died, is still this turn.
            if (mark.turnSeq !== turnSeq) ended ??= mark;
            else ended = mark.data.phase === "start" ? undefined : (ended ?? mark);
          } else if (entry.type === "message" && ended === undefined) yield { version: entry.seq, message: decodeMessage(entry) };
          continue;
        }
        if (ended !== undefined) return ended;
        // A lease runs out without an entry: that is looked for by time.
        deadSince = isRunning(look.head) ? undefined : (deadSince ?? performance.now());
        if (deadSince !== undefined && performance.now() - deadSince >= TAKEOVER_MS) throw interrupted(id, ref.id, "its process is gone");
        clearTimeout(timer);
        timer = setTimeout(news.tell, deadSince === undefined ? Math.max(0, look.head.lease?.expiresInMs ?? 0) + 10 : TAKEOVER_MS);
        yield { version: look.head.seq };
      }
    } finally {
      clearTimeout(timer);
      listening.delete(news);
    }
    throw interrupted(id, ref.id, "it is not followed any more");
  }

  return {
    id,
    place,
    async *messages(signal) {
      const mark = yield* until(place.version, signal);
      const { status, phase } = mark.data;
      if (status !== "completed" && phase !== "suspend") throw failure(mark, id, ref.id);
    },
    async stepBefore() {
      let found: Message[] = [];
      await log.walk(head, head.headSeq, () => {
        found = [];
        return (entry) => {
          if (entry.seq > place.version || entry.type !== "message") return true;
          const { message } = log.tree.message(entry);
          found.push(message);
          return message.role === "tool";
        };
      });
      return found.reverse();
    },
    async reply(signal): Promise<Reply> {
      const items = until(last.entry.seq, signal);
      try {
        for (;;) {
          const item = await items.next();
          if (item.done !== true) continue;
          const mark = item.value;
          if (mark.data.status === "completed") return await replyOf(log, mark, false);
          if (mark.data.phase !== "suspend") throw failure(mark, id, ref.id);
          return await suspendedReply(log, await atMark(mark), { ...mark, turnId: id, requests: mark.data.requests ?? [] }, false);
        }
      } finally {
        await items.return(undefined as never);
      }
    },
    wake() {
      for (const news of listening) news.tell();
    },
  };

  /** The head as it was when this entry was the last. */
  async function atMark({ entry }: TurnMark): Promise<Head> {
    return { ...(await log.refresh()), headSeq: entry.seq };
  }
}

/** What became of a turn without an answer, as its log says it. */
function failure({ data }: TurnMark, turnId: string, sessionId: string): AixgoError {
  const { status, error } = data;
  if (status === "failed" && error !== undefined)
    return new AixgoError(
      error.code === undefined ? "AGENT_FAILED" : error.code,
      `turn ${turnId} of session ${sessionId} failed: ${error.message}`,
    );
  if (status === "cancelled") return new AixgoError("CANCELLED", `turn ${turnId} of session ${sessionId} was cancelled`);
  return interrupted(turnId, sessionId, "another call took its place, or its process ended");
}

function interrupted(turnId: string, sessionId: string, why: string): AixgoError {
  return new AixgoError(
    "CANCELLED",
    `turn ${turnId} of session ${sessionId} was interrupted: ${why}. Call again with its key to go on with it`,
  );
}
