import { AixgoError, type HistoryOptions } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { closeOpenCalls, OpenCallCloser, select } from "./history.ts";
import type { SessionLog } from "./log.ts";
import { decodeMessage } from "./message-data.ts";
import { resolveTarget } from "./target.ts";
import { isPathEntry, parentOf, type PathMessage } from "./tree.ts";

/** Above this, a whole history is streamed from the store instead of being kept in memory. */
const STREAM_ABOVE_BYTES = 8 * 1024 * 1024;

/** `stored`: without closing calls that have no result. */
export interface ReadOptions extends HistoryOptions {
  readonly calls?: "closed" | "stored";
}

/** Which messages of the path a reader wants: those of its own turn, or all others. */
export type Keep = (message: PathMessage) => boolean;

/** The messages on the path to `head`, well-formed, oldest first. */
export async function readMessages(log: SessionLog, head: Head, options: ReadOptions, keep?: Keep): Promise<readonly PathMessage[]> {
  assertHistoryOptions(options);
  if (options.last !== undefined && options.after === undefined && !log.tree.hasPath(head.headSeq)) {
    return readLast(log, head, options, options.last, keep);
  }
  const closed = shape(await log.path(head, options.signal), options);
  const kept = keep === undefined ? closed : closed.filter(keep);
  return select(options.after === undefined ? kept : await behind(log, head, kept, options.after), options);
}

/** Reads from the end, no further than is needed. */
async function readLast(
  log: SessionLog,
  head: Head,
  options: ReadOptions,
  last: number,
  keep: Keep | undefined,
): Promise<readonly PathMessage[]> {
  for (let want = last + 8; ; want *= 2) {
    let found: PathMessage[] = [];
    let counted = 0;
    let isWhole = true;
    await log.walk(
      head,
      head.headSeq,
      () => {
        found = [];
        counted = 0;
        isWhole = true;
        return (entry: Entry) => {
          if (entry.type !== "message") return true;
          const message = log.tree.message(entry);
          found.push(message);
          if (options.roles?.includes(message.message.role) !== false && keep?.(message) !== false) counted += 1;
          // A window must not begin behind the calls that its first results belong to.
          if (counted < want || message.message.role === "tool") return true;
          isWhole = entry.n === 1;
          return false;
        };
      },
      options.signal,
    );
    const closed = shape(found.reverse(), options);
    const chosen = select(keep === undefined ? closed : closed.filter(keep), options);
    if (isWhole || chosen.length >= last) return chosen;
  }
}

/** The messages of one turn behind its input, earlier attempts included, well-formed. */
export async function readSteps(log: SessionLog, head: Head, turnSeq: number): Promise<readonly PathMessage[]> {
  return closeOpenCalls(await readStored(log, head, turnSeq));
}

/** The same as they are stored: reads no further back than the turn's start. */
export async function readStored(log: SessionLog, head: Head, turnSeq: number): Promise<readonly PathMessage[]> {
  let found: PathMessage[] = [];
  await log.walk(head, head.headSeq, () => {
    found = [];
    return (entry) => {
      if (entry.type === "message" && entry.turn === turnSeq && entry.seq !== turnSeq + 1) found.push(log.tree.message(entry));
      return entry.seq > turnSeq;
    };
  });
  return found.reverse();
}

async function behind(log: SessionLog, head: Head, kept: readonly PathMessage[], id: string): Promise<readonly PathMessage[]> {
  const index = kept.findLastIndex((each) => each.message.id === id || each.entryId === id);
  if (index >= 0) return kept.slice(index + 1);
  const { headSeq } = await resolveTarget(log, head, id);
  if (!(await isOnPath(log, head, headSeq))) {
    throw new AixgoError("ENTRY_NOT_FOUND", `${JSON.stringify(id)} is not on the current path of session ${log.ref.id}`);
  }
  return kept.filter(({ seq }) => seq > headSeq);
}

/** Whether the entry lies on the path to the head. */
export async function isOnPath(log: SessionLog, head: Head, seq: number): Promise<boolean> {
  let found = false;
  await log.walk(head, head.headSeq, () => (entry) => {
    found = entry.seq === seq;
    return entry.seq > seq;
  });
  return found;
}

/** The same as `readMessages` without keeping a large history in memory. */
export async function* streamMessages(log: SessionLog, head: Head, options: ReadOptions): AsyncGenerator<PathMessage> {
  assertHistoryOptions(options);
  if (options.last !== undefined || options.after !== undefined || head.bytes <= STREAM_ABOVE_BYTES || log.tree.hasPath(head.headSeq)) {
    yield* await readMessages(log, head, options);
    return;
  }
  const wanted = (each: PathMessage): boolean => options.roles?.includes(each.message.role) !== false;
  const isOn = await pathMarks(log, head, options.signal);
  const closer = options.calls === "stored" ? undefined : new OpenCallCloser();
  for await (const entry of log.scan(0, head.headSeq, options.signal)) {
    if (entry.type !== "message" || isOn[entry.seq] !== 1) continue;
    const next: PathMessage = { seq: entry.seq, entryId: entry.id, turn: entry.turn, message: decodeMessage(entry) };
    yield* (closer?.push(next) ?? [next]).filter(wanted);
  }
  if (closer !== undefined) yield* closer.flush().filter(wanted);
}

function shape(path: readonly PathMessage[], { calls }: ReadOptions): readonly PathMessage[] {
  return calls === "stored" ? path : closeOpenCalls(path);
}

/** Which entries are on the path: one pass over the log, a few bytes an entry. */
async function pathMarks(log: SessionLog, head: Head, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const parents = new Float64Array(head.headSeq + 1);
  for await (const entry of log.scan(0, head.headSeq, signal)) parents[entry.seq] = isPathEntry(entry) ? parentOf(entry, log.ref.id) : -1;
  const marks = new Uint8Array(head.headSeq + 1);
  for (let seq = head.headSeq; seq >= 0; seq = parents[seq] as number) marks[seq] = 1;
  return marks;
}

function assertHistoryOptions(options: ReadOptions): void {
  const { last, calls = "closed" } = options;
  if (calls !== "closed" && calls !== "stored")
    throw new AixgoError("INVALID_OPTION", `calls must be "closed" or "stored", not ${JSON.stringify(calls)}`);
  if (last !== undefined && !(Number.isSafeInteger(last) && last >= 0)) {
    throw new AixgoError("INVALID_OPTION", `last must be a whole number of messages, 0 or more, not ${String(last)}`);
  }
}
