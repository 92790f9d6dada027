import { AixgoError } from "./errors.ts";

/** A place in the events of a session's turns: behind the message stored at `version`, and `shown` events after it. */
export interface TurnPlace {
  /** Tells the lives of a session apart: it changes when the session is rewritten. */
  readonly life: string;
  readonly version: number;
  readonly shown: number;
}

const CURSOR = /^([A-Za-z0-9_-]{1,64})\.(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,14})$/;

/** The place as text. It means the same on every node, and after a restart. */
export function formatTurnCursor({ life, version, shown }: TurnPlace): string {
  return `${life}.${version}.${shown}`;
}

/** @throws AixgoError `INVALID_OPTION` for a text that is no cursor of a session's turn */
export function parseTurnCursor(cursor: string): TurnPlace {
  const match = typeof cursor === "string" && cursor.length <= 128 ? CURSOR.exec(cursor) : null;
  if (match === null)
    throw new AixgoError("INVALID_OPTION", 'the option "after" must be the cursor of an event of a session turn, as its stream gave it');
  return { life: match[1] as string, version: Number(match[2]), shown: Number(match[3]) };
}
