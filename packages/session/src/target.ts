import { AixgoError } from "@aixgo/core";
import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import type { TipAt } from "./line.ts";
import type { SessionLog } from "./log.ts";
import { isPathEntry } from "./tree.ts";

/** Where a restore or a fork goes: what the tip of the log looks like when its head is there. */
export type Target = TipAt;

/**
 * What an id means: a checkpoint its head, an entry of the path itself, a side entry the head of then, a caller's message id
 * the last message with it. Throws `INVALID_INPUT` for what is no text; `ENTRY_NOT_FOUND`; `ENTRY_CORRUPT` if a checkpoint's hash does not agree.
 */
export async function resolveTarget(log: SessionLog, head: Head, id: string): Promise<Target> {
  if (typeof id !== "string")
    throw new AixgoError(
      "INVALID_INPUT",
      `a place in session ${log.ref.id} is named by a text, such as checkpoint.id or message.id, not by ${id === null ? "null" : typeof id}`,
    );
  const entry = await findEntry(log, head, id);
  if (entry === undefined)
    throw new AixgoError("ENTRY_NOT_FOUND", `session ${log.ref.id} has no checkpoint, entry or message ${JSON.stringify(id.slice(0, 80))}`);
  if (isPathEntry(entry)) return at(entry);
  const target = at(await log.one(entry.head as number));
  if (entry.type === "checkpoint") {
    const { hash } = entry.data as { readonly hash?: string };
    if (hash !== target.headHash) {
      throw new AixgoError(
        "ENTRY_CORRUPT",
        `checkpoint ${entry.id} of session ${log.ref.id} names another entry ${target.headSeq} than the log holds`,
        {
          details: { session: log.ref.id, seq: entry.seq },
        },
      );
    }
  }
  return target;
}

async function findEntry(log: SessionLog, head: Head, id: string): Promise<Entry | undefined> {
  if (id === "" || id.length > 512) return undefined;
  const seq = head.damage === undefined ? await log.backend.find(log.ref, { entryId: id }) : undefined;
  if (seq !== undefined) return log.one(seq);
  let found: Entry | undefined;
  for await (const entry of log.scan(0, head.seq)) {
    // A store does not search a damaged log.
    if (head.damage !== undefined && entry.id === id) return entry;
    if (entry.type === "message" && (entry.data as { readonly id?: string }).id === id) found = entry;
  }
  return found;
}

function at(entry: Entry): Target {
  return { headSeq: entry.seq, headId: entry.id, headHash: entry.hash, n: entry.n };
}
