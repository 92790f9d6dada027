import { AixgoError } from "@aixgo/core";
import { Draft, syncFile } from "./durable.ts";
import { markForeign } from "./fs-errors.ts";
import type { StagedBlobs } from "./fork-blobs.ts";
import { assertLine } from "./journal.ts";
import type { Layout } from "./layout.ts";
import { PAGE_BYTES } from "./reading.ts";
import { follow, JOINT_BYTES, type LogState } from "./scan.ts";

/** A whole log without a name yet. */
export interface Staged {
  readonly draft: Draft;
  readonly state: LogState;
  /** A lone header may be synced together with its name, which costs one commit instead of two: after a power cut it is there, or the file is empty. */
  readonly synced: boolean;
  /** Of a fork: what its lines name. */
  readonly blobs?: StagedBlobs;
}

/** Written to the disk whole or not at all. */
const BLOCK_BYTES = 4096;
const NOTHING = Buffer.alloc(0);

/** Writes the lines of a new log into a draft and verifies them, so that it can be given its name at once. On any failure nothing remains. */
export async function stage(
  layout: Layout,
  expected: { id: string; agentName: string; incarnation?: string },
  lines: AsyncIterable<Uint8Array>,
  options: { durable: boolean; maxLineBytes: number; doing: string; syncAlways?: boolean },
): Promise<Staged> {
  const { doing } = options;
  /** What `flush` has made so far. */
  const made: { draft?: Draft; state?: LogState | undefined } = {};
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let tail: Buffer = NOTHING;

  /** Bytes of an unfinished batch stay pending in `tail` and are verified again with the rest of it. */
  const flush = (): void => {
    const { state } = made;
    const at = state?.head.bytes ?? 0;
    const bytes = pending.length === 1 && tail.length === 0 ? (pending[0] as Buffer) : Buffer.concat([tail, ...pending]);
    const from = Math.min(at, JOINT_BYTES);
    const step = follow(state, bytes, from);
    if (step.bad !== undefined) throw invalid(doing, state);
    const draft = (made.draft ??= new Draft(layout.part("drafts")));
    made.state = step.state;
    const end = step.state?.head.bytes ?? 0;
    draft.write(bytes.subarray(from, from + end - at), at);
    tail = bytes.subarray(Math.max(0, from + end - at - JOINT_BYTES));
    pending = [];
    pendingBytes = 0;
  };

  let isCallers = true;
  try {
    for await (const line of lines) {
      isCallers = false;
      assertLine(line, doing, options.maxLineBytes);
      const bytes = Buffer.allocUnsafe(line.length + 1);
      bytes.set(line);
      bytes[line.length] = 0x0a;
      pending.push(bytes);
      pendingBytes += bytes.length;
      if (pendingBytes >= Math.max(PAGE_BYTES, tail.length)) flush();
      isCallers = true;
    }
    isCallers = false;
    if (pending.length > 0) flush();
    const { draft, state } = made;
    if (draft === undefined || state === undefined || tail.length > Math.min(state.head.bytes, JOINT_BYTES)) throw invalid(doing, state);
    const { head } = state;
    if (
      head.id !== expected.id ||
      head.info.agentName !== expected.agentName ||
      (expected.incarnation !== undefined && head.incarnation !== expected.incarnation)
    ) {
      throw new AixgoError("INVALID_INPUT", `${doing}: the header names another session, incarnation or agent; nothing was written`);
    }
    const synced = options.durable && (options.syncAlways === true || head.bytes > BLOCK_BYTES || head.seq > 0);
    if (synced) await syncFile(draft.fd);
    return { draft, state, synced };
  } catch (error) {
    made.draft?.discard();
    throw isCallers ? markForeign(error) : error;
  }
}

function invalid(doing: string, state: LogState | undefined): AixgoError {
  return new AixgoError(
    "ENTRY_CORRUPT",
    `${doing}: ${state === undefined ? "the lines do not begin with a session header" : `the lines do not follow entry ${state.head.seq}, or end inside a batch`}; nothing was written`,
  );
}
