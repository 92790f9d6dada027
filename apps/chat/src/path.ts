import type { Json } from "@aixgo/core";
import type { Entry, Session } from "@aixgo/session";

/** Seq of the entry before this one on its path; -1 for the header. */
export function parentSeqOf(entry: Pick<Entry, "seq" | "parentSeq">): number {
  return entry.parentSeq ?? entry.seq - 1;
}

/** Seq of the head after an entry. */
export function headSeqOf(entry: Pick<Entry, "seq" | "head">): number {
  return entry.head ?? entry.seq;
}

/** A member of an entry's data, if the data is an object that has it. */
export function memberOf(entry: Pick<Entry, "data">, name: string): Json | undefined {
  const { data } = entry;
  return typeof data === "object" && data !== null && !Array.isArray(data) ? (data as { readonly [key: string]: Json })[name] : undefined;
}

/** How many entries are read at first: the last turn nearly always lies among them. */
const FIRST_WINDOW = 256;

/**
 * Walks from the head towards the root until `visit` returns something, and returns that. Only the end of the log is read at
 * first, then more and more of it: where the answer is near, a long session costs no more than a short one.
 */
export async function walkBack<T>(session: Session, visit: (entry: Entry) => T | undefined): Promise<T | undefined> {
  const { version } = await session.info();
  for (let window = FIRST_WINDOW; ; window *= 8) {
    const after = Math.max(-1, version - window);
    const entries: Entry[] = [];
    for await (const entry of session.entries({ after })) entries.push(entry);
    const last = entries.at(-1);
    const first = entries[0];
    if (last === undefined || first === undefined) return undefined;
    let seq = headSeqOf(last);
    while (seq >= first.seq) {
      const entry = entries[seq - first.seq]!;
      const found = visit(entry);
      if (found !== undefined) return found;
      seq = parentSeqOf(entry);
    }
    if (seq < 0 || first.seq === 0) return undefined;
  }
}

/** One entry by its seq. */
export async function entryAt(session: Session, seq: number): Promise<Entry | undefined> {
  for await (const entry of session.entries({ after: seq - 1 })) return entry;
  return undefined;
}
