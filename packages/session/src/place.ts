import { AixgoError, parseTurnCursor, type TurnPlace } from "@aixgo/core";
import type { Head, Ref } from "./contract.ts";
import { diverged } from "./log.ts";

/** Of an incarnation, in cursors: enough to tell two lives of one session apart. */
const LIFE_LENGTH = 8;

/** How the cursors of a session's turns name its life. */
export function lifeOf({ incarnation }: Pick<Ref, "incarnation">): string {
  return incarnation.slice(0, LIFE_LENGTH);
}

/** The place that a cursor names. Throws `INVALID_OPTION`, `INCARNATION_CHANGED`, and `LOG_DIVERGED` if the log ends before it. */
export function placeOf(cursor: string, head: Head): TurnPlace {
  const place = parseTurnCursor(cursor);
  if (place.life !== lifeOf(head)) {
    throw new AixgoError(
      "INCARNATION_CHANGED",
      `the cursor is of another life of session ${head.id}, or of another session. Read its messages from the beginning`,
      { details: { session: head.id } },
    );
  }
  if (place.version > head.seq) throw diverged(head.id, place.version);
  return place;
}
