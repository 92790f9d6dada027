import { AixgoError, type Json } from "@aixgo/core";
import { isWellFormed, newEntryId } from "@aixgo/security";
import type { Entry } from "./entry.ts";
import { canonical } from "./message-data.ts";
import type { OpenSession } from "./open-session.ts";
import { assertVersion } from "./session.ts";
import type { Batch } from "./writer.ts";

export interface AppendedOnce {
  readonly version: number;
  readonly entries: readonly Entry[];
}

interface Options {
  readonly op: string | undefined;
  readonly expectedVersion: number | undefined;
  readonly signal: AbortSignal | undefined;
}

const MAX_OP_BYTES = 512;

/** Somebody else wrote between the search for an op and the append: search again. Never leaves this file. */
class Moved extends Error {}

/** Appends messages outside of turns; with an op at most once in the life of the session, whoever sends it again. */
export async function appendOnce(open: OpenSession, jsons: readonly string[], options: Options): Promise<AppendedOnce> {
  const { op } = options;
  if (op === undefined) return submit(open, jsons, options);
  if (typeof op !== "string" || op === "" || !isWellFormed(op) || Buffer.byteLength(op) > MAX_OP_BYTES) {
    throw new AixgoError("INVALID_INPUT", `op must be a text of 1 to ${MAX_OP_BYTES} bytes`);
  }
  return open.oneAtATime(op, async () => {
    for (;;) {
      const before = open.writer.written;
      const head = await open.log.refresh();
      const stored = await storedBy(open, jsons, op);
      if (stored !== undefined) return stored;
      try {
        return await submit(open, jsons, options, (now) => {
          if (now !== head.seq + open.writer.written - before) throw new Moved();
        });
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
      }
    }
  });
}

async function submit(open: OpenSession, jsons: readonly string[], options: Options, assertUnmoved?: (seq: number) => void): Promise<AppendedOnce> {
  const { op, expectedVersion, signal } = options;
  const batch: Batch = {
    drafts: jsons.map((data, index) => ({ id: newEntryId(), type: "message", data, ...(op === undefined || index > 0 ? undefined : { op: `u:${op}` }) })),
    outsideTurns: true,
    check: (head, tip) => {
      assertUnmoved?.(head.seq);
      assertVersion(head.id, expectedVersion, tip);
    },
    ...(signal === undefined ? undefined : { signal }),
  };
  const written = await open.writer.submit(batch);
  return { version: written.tip.seq, entries: written.entries() };
}

async function storedBy(open: OpenSession, jsons: readonly string[], op: string): Promise<AppendedOnce | undefined> {
  const { log } = open;
  const first = await log.backend.find(log.ref, { op: `u:${op}` });
  if (first === undefined) return undefined;
  const entries = [await log.one(first)];
  const [, of] = (entries[0] as Entry).batch ?? [0, 1];
  while (entries.length < of) entries.push(await log.one(first + entries.length));
  const isSame = of === jsons.length && entries.every((entry, index) => canonical(entry.data) === canonical(JSON.parse(jsons[index] as string) as Json));
  if (!isSame) throw new AixgoError("OP_REUSED", `op ${JSON.stringify(op)} of session ${log.ref.id} was used for other content. Use a new op for a new append`);
  return { version: first + of - 1, entries };
}
