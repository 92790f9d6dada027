import { AixgoError, isAixgoError } from "@aixgo/core";
import { attachmentsIn } from "./attachment-address.ts";
import type { Attachments } from "./attachments.ts";
import { type Entry, isUnderstood } from "./entry.ts";
import { assertWhole, type SessionLog } from "./log.ts";
import { decodeMessage } from "./message-data.ts";
import { isPathEntry, parentOf } from "./tree.ts";

export interface Problem {
  readonly seq: number;
  /** An error code. */
  readonly code: string;
  readonly message: string;
}

export interface Verification {
  /** Entries whose hash was found to be right. */
  readonly entries: number;
  readonly problems: readonly Problem[];
}

/** What is remembered of an entry: enough to check all that comes after. */
interface Known {
  readonly id: string;
  readonly hash: string;
  readonly n: number;
  readonly isPath: boolean;
}

/** Walks the whole log: hash chain, seq, parents, counts, batches, fences, what checkpoints and restores name, and the bytes of its attachments. */
export async function verifyLog(log: SessionLog, attachments: Attachments): Promise<Verification> {
  const problems: Problem[] = [];
  /** Seq of the first entry that names an attachment. */
  const named = new Map<string, number>();
  const known: Known[] = [];
  let fence = 0;
  let headSeq = 0;
  let batch: { index: number; of: number } = { index: 0, of: 1 };
  const check = (entry: Entry): void => {
    const report = (message: string, code = "ENTRY_CORRUPT"): void => {
      problems.push({ seq: entry.seq, code, message: `entry ${entry.seq} (${entry.type}) ${message}` });
    };
    const isPath = isPathEntry(entry);
    const [index, of] = entry.batch ?? [0, 1];
    if (index !== (batch.index + 1 === batch.of ? 0 : batch.index + 1) && entry.seq > 0) report("does not continue its batch");
    batch = { index, of };
    if (entry.fence !== undefined && entry.fence < fence) report(`has fence ${entry.fence} after fence ${fence}`);
    fence = Math.max(fence, entry.fence ?? 0);
    if (!isUnderstood(entry))
      report("is of a type that this version does not know; the session can be read, not written", "UNSUPPORTED_ENTRY");
    if (isPath && entry.seq > 0) {
      const parent = known[parentOf(entry, log.ref.id)];
      if (parent === undefined || !parent.isPath) report("has a parent that is not on a path");
      else if (entry.parentId !== undefined && parent.id !== entry.parentId) report("names another parent than the one at that place");
      else if (entry.n !== parent.n + (entry.type === "message" ? 1 : 0)) report("counts its messages wrongly");
      if (parentOf(entry, log.ref.id) !== headSeq) report("does not grow from the head of its time");
    }
    if (!isPath) checkSide(entry, known, report);
    if (entry.type === "message" && attachments.maxBytes !== undefined)
      for (const url of attachmentsIn(decodeMessage(entry).parts)) if (!named.has(url)) named.set(url, entry.seq);
    headSeq = entry.head ?? entry.seq;
    known.push({ id: entry.id, hash: entry.hash, n: entry.n, isPath });
  };
  try {
    const head = await log.peek();
    for await (const entry of log.audit(head.seq)) check(entry);
    if (headSeq !== head.headSeq)
      throw new AixgoError("ENTRY_CORRUPT", `the log ends with head ${headSeq}, the store says ${head.headSeq}`);
    assertWhole(head);
  } catch (error) {
    // A damaged log is the answer; a store that does not answer is not.
    if (!isAixgoError(error, "ENTRY_CORRUPT")) throw error;
    problems.push({ seq: known.length, code: error.code, message: error.message });
  }
  for (const [url, seq] of named) {
    try {
      for await (const _ of attachments.read(url));
    } catch (error) {
      if (!isAixgoError(error, "ENTRY_CORRUPT") && !isAixgoError(error, "ENTRY_NOT_FOUND")) throw error;
      problems.push({ seq, code: error.code, message: error.message });
    }
  }
  return { entries: known.length, problems };
}

function checkSide(entry: Entry, known: readonly Known[], report: (message: string) => void): void {
  const target = known[entry.head as number];
  if (target === undefined || !target.isPath) report("names a head that is not on a path");
  else if (entry.n !== target.n) report("counts the messages of its head wrongly");
  else if (entry.type === "checkpoint" || entry.type === "restore") {
    const { seq, hash } = entry.data as { readonly seq?: number; readonly hash?: string };
    if (seq !== entry.head || hash !== target.hash) report("names another entry than the log holds");
  }
}
