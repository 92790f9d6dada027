import type { MessageDraft } from "@aixgo/core";
import type { Entry, Session } from "@aixgo/session";
import { entryAt, memberOf, walkBack } from "./path.ts";

/** A turn that has no answer yet, with what is needed to go on with it. */
export interface UnfinishedTurn {
  readonly turnKey: string;
  /** The stored input: the same key with another input would be refused. */
  readonly input: MessageDraft;
  readonly text: string;
  /** How the last attempt ended; `open`: its process died, or is still at it. */
  readonly status: string;
}

/**
 * The last turn on the path, if it was cut off: by a crash, an interrupt or a failure. A turn that its user cancelled is over.
 */
export async function findUnfinishedTurn(session: Session): Promise<UnfinishedTurn | undefined> {
  const last = await walkBack(session, (entry) => (entry.type === "turn" ? entry : undefined));
  if (last === undefined) return undefined;
  const status = statusOf(last);
  const turnKey = memberOf(last, "key");
  if (status === "completed" || status === "cancelled" || status === "suspended" || typeof turnKey !== "string") return undefined;
  if (await isAnsweredElsewhere(session, last)) return undefined;
  // The input is stored right behind the first start of its turn.
  const input = await entryAt(session, (last.turn ?? last.seq) + 1);
  if (input?.type !== "message" || memberOf(input, "role") !== "user") return undefined;
  const { role, parts, metadata, id } = input.data as unknown as MessageDraft;
  const draft: MessageDraft = {
    role,
    parts,
    ...(metadata === undefined ? undefined : { metadata }),
    ...(id === undefined ? undefined : { id }),
  };
  return { turnKey, input: draft, text: textOf(draft), status };
}

/** Where the session stood before its last turn on the path: the id of that entry, to be restored. */
export async function placeBeforeLastTurn(session: Session): Promise<string | undefined> {
  const last = await walkBack(session, (entry) => (entry.type === "turn" ? entry : undefined));
  if (last === undefined) return undefined;
  const start = await entryAt(session, last.turn ?? last.seq);
  if (start === undefined) return undefined;
  return (await entryAt(session, start.parentSeq ?? start.seq - 1))?.id;
}

/** After a restore into the middle of a turn, its end lies on another branch: its key is answered, there is nothing to go on with. */
async function isAnsweredElsewhere(session: Session, last: Entry): Promise<boolean> {
  const turn = last.turn ?? last.seq;
  for await (const entry of session.entries({ after: last.seq })) {
    if (entry.type === "turn" && entry.turn === turn && statusOf(entry) === "completed") return true;
  }
  return false;
}

function statusOf(turn: Entry): string {
  const status = memberOf(turn, "status");
  return memberOf(turn, "phase") === "end" && typeof status === "string"
    ? status
    : memberOf(turn, "phase") === "start"
      ? "open"
      : "suspended";
}

function textOf({ parts }: MessageDraft): string {
  return parts.map((part) => (part.type === "text" ? (part as { readonly text: string }).text : "")).join("");
}
