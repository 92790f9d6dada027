import { AixgoError } from "@aixgo/core";
import { newToken } from "@aixgo/security";
import { asBuffer, type Head, HeadFold, type Ref } from "@aixgo/session/backend";
import { checkLine } from "./appending.ts";
import type { SessionKeys } from "./keys.ts";
import { marksOf } from "./marks.ts";
import { scripts } from "./scripts.ts";
import { accept, type Store } from "./store.ts";

/** One command carries so much of a history. */
const PART_BYTES = 1024 * 1024;
const PART_LINES = 5_000;
/** What was gathered and not taken goes after so long; each part prolongs it. */
const KEPT_MS = 10 * 60 * 1000;

/** The lines of a new log: in memory if they are few, beside the log in the store otherwise. */
export interface Gathered {
  readonly head: Head;
  readonly keys: Pick<SessionKeys, "lines" | "marks">;
  /** Empty if the lines are in the store. */
  readonly lines: readonly Buffer[];
  readonly marks: readonly string[];
  readonly isStored: boolean;
  /** Removes what is in the store. Never throws: what stays expires. */
  drop(): Promise<void>;
}

/** Reads all lines. `store` puts them into the store even if they are few. Throws `LIMIT_EXCEEDED`, `INVALID_INPUT`, `ENTRY_CORRUPT`, and what `source` throws. */
export async function gather(
  store: Store,
  operation: string,
  ref: Ref,
  source: AsyncIterable<Uint8Array>,
  options: { readonly always: boolean },
): Promise<Gathered> {
  const keys = store.keys.staging(ref.id, newToken());
  let lines: Buffer[] = [];
  let marks: string[] = [];
  let bytes = 0;
  let stored = 0;
  const folding = new HeadFold(undefined);

  async function flush(): Promise<void> {
    const args = [String(stored), String(KEPT_MS), String(marks.length), ...marks, ...lines];
    const { reply } = await store.write({ operation, script: scripts.gatherLines, keys: [keys.lines, keys.marks], args });
    if (accept(operation, ref, reply)[0] === 0)
      throw new AixgoError("BACKEND_UNAVAILABLE", `${operation}: what was gathered for it has expired; nothing was written. Try again`);
    stored += lines.length;
    lines = [];
    marks = [];
    bytes = 0;
  }

  async function drop(): Promise<void> {
    if (stored === 0) return;
    await store.read({ operation, script: scripts.dropGathered, keys: [keys.lines, keys.marks] }).catch(() => undefined);
  }

  let head: Head | undefined;
  try {
    for await (const line of source) {
      checkLine(operation, line, store.options.maxLineBytes);
      if (bytes + line.length > PART_BYTES || lines.length >= PART_LINES) await flush();
      const envelope = folding.push(line);
      // The source may use its buffer again.
      lines.push(Buffer.from(asBuffer(line)));
      marks.push(...marksOf(envelope));
      bytes += line.length;
    }
    head = folding.head;
    if (head?.id !== ref.id || head.incarnation !== ref.incarnation) {
      throw new AixgoError("INVALID_INPUT", `${operation}: the lines do not begin with the header of this life of the session`);
    }
    if ((options.always || stored > 0) && lines.length > 0) await flush();
  } catch (error) {
    await drop();
    throw error;
  }
  return { head, keys, lines, marks, isStored: stored > 0, drop };
}
