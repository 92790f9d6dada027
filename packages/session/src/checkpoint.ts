import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import type { SessionLog } from "./log.ts";
import { newEntryId } from "@aixgo/security";
import { encodeJson } from "./message-data.ts";
import type { Draft } from "./line.ts";
import { resolveTarget, type Target } from "./target.ts";
import { assertVersion } from "./version.ts";
import { changedByOthers, Moved, type Writer } from "./writer.ts";
import { AixgoError } from "@aixgo/core";

/** A named place in a session: its head at a time. */
export interface Checkpoint {
  readonly id: string;
  readonly label?: string;
  /** Version of the session with this checkpoint in it. */
  readonly version: number;
  /** Messages on the path to the head that it names. */
  readonly messageCount: number;
  /** ISO 8601. */
  readonly timestamp: string;
}

const MAX_LABEL_BYTES = 1024;

/** Names the head. Costs one append, whatever the length of the session; allowed while a turn runs. */
export async function writeCheckpoint(writer: Writer, label: string | undefined): Promise<Checkpoint> {
  if (label !== undefined && typeof label !== "string") throw new AixgoError("INVALID_INPUT", "a checkpoint's label must be a text");
  const rest = label === undefined ? "" : `,"label":${encodeJson(label, "label", MAX_LABEL_BYTES)}`;
  const written = await writer.submit({
    drafts: [{ id: newEntryId(), type: "checkpoint", side: {}, data: (tip) => `{"seq":${tip.headSeq},"hash":"${tip.headHash}"${rest}}` }],
  });
  return checkpointOf(written.entries()[0] as Entry);
}

export async function readCheckpoints(log: SessionLog, head: Head): Promise<readonly Checkpoint[]> {
  const found: Checkpoint[] = [];
  for await (const entry of log.scan(0, head.seq)) if (entry.type === "checkpoint") found.push(checkpointOf(entry));
  return found;
}

function checkpointOf(entry: Entry): Checkpoint {
  const { label } = entry.data as { readonly label?: string };
  return {
    id: entry.id,
    ...(label === undefined ? undefined : { label }),
    version: entry.seq,
    messageCount: entry.n,
    timestamp: entry.timestamp,
  };
}

export interface RestoreOptions {
  /** Kept in the log. */
  readonly reason?: string;
  /** Refuses with `VERSION_CONFLICT` if the session is not at this version. */
  readonly expectedVersion?: number;
}

/** Moves the head. Nothing is cut off: what is written next grows a sibling branch, and the restore itself can be undone. */
export async function writeRestore(
  log: SessionLog,
  writer: Writer,
  id: string,
  { reason, expectedVersion }: RestoreOptions,
): Promise<{ readonly version: number; readonly messageCount: number }> {
  if (reason !== undefined && typeof reason !== "string") throw new AixgoError("INVALID_INPUT", "a restore's reason must be a text");
  const deadline = performance.now() + writer.rebaseMs;
  for (;;) {
    const head = await log.refresh();
    const place = await resolveTarget(log, head, id);
    // Back where a turn was suspended, that turn waits again, unless it has gone on since.
    const waiting = await log.waitingAt({ headSeq: place.headSeq, seq: head.seq });
    const target = waiting === undefined ? place : { ...place, waitsFor: waiting.waitsFor };
    try {
      const written = await writer.submit({
        drafts: [restoreDraft(id, target, reason)],
        outsideTurns: true,
        check: (current, tip) => {
          assertVersion(log.ref.id, expectedVersion, tip);
          if (waiting !== undefined && current.hash !== head.hash) throw new Moved();
        },
      });
      return { version: written.tip.seq, messageCount: target.n };
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
      if (performance.now() > deadline) throw changedByOthers(log.ref.id, writer.rebaseMs);
    }
  }
}

/** The entry that moves the head to `target`, which is what `id` means. */
export function restoreDraft(id: string, target: Target, reason?: string): Draft {
  const data = { target: id, seq: target.headSeq, hash: target.headHash, ...(reason === undefined ? undefined : { reason }) };
  return { id: newEntryId(), type: "restore", side: { to: target }, data: encodeJson(data, "reason", MAX_LABEL_BYTES * 4) };
}
