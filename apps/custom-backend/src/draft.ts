import { AixgoError } from "@aixgo/core";
import { type Head, HeadFold, type Ref } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";
import { fromCaller } from "./caller-source.ts";
import { appendDraft, isDraft, nameLog, removeLog } from "./logs.ts";
import { storeError } from "./sqlite-errors.ts";
import type { Store } from "./store.ts";

/** Lines are held back up to here; a log that is no longer than this is written in the transaction that publishes it. */
const CHUNK_BYTES = 1024 * 1024;

/** The lines of a log that no session names yet, and that nobody can see. */
export interface Draft {
  readonly head: Head;
  /** Makes the log whole, in the transaction of its caller, and returns where it lies. To be called again if that is rolled back. */
  publish(connection: Connection): number;
  /** Removes what was written, unless it was published. */
  discard(): Promise<void>;
}

/**
 * Reads all lines of a new log. Their source may be slow and long, so they are not kept in memory and no transaction waits for them.
 * Throws what the source throws; `LIMIT_EXCEEDED`, `ENTRY_CORRUPT`, and `INVALID_INPUT` if it is not the log of `ref`. Nothing is left then.
 */
export async function draftLog(store: Store, doing: string, ref: Ref, lines: () => AsyncIterable<Uint8Array>): Promise<Draft> {
  const folding = new HeadFold(undefined);
  let log: number | undefined;
  let chunk: Uint8Array[] = [];
  let chunkBytes = 0;

  async function discard(): Promise<void> {
    const written = log;
    if (written === undefined) return;
    // What cannot be removed now is cleared as abandoned.
    await store
      .write(doing, (connection) => {
        if (isDraft(connection, written)) removeLog(connection, written);
      })
      .catch(() => undefined);
  }

  try {
    for await (const line of fromCaller(lines)) {
      const copy = store.accept(doing, line);
      folding.push(copy);
      chunk.push(copy);
      chunkBytes += copy.length;
      if (chunkBytes < CHUNK_BYTES) continue;
      const full = chunk;
      chunk = [];
      chunkBytes = 0;
      log = await store.write(doing, (connection) => appendDraft(connection, ref.id, log, full));
    }
    const { head } = folding;
    if (head?.id !== ref.id || head.incarnation !== ref.incarnation)
      throw new AixgoError("INVALID_INPUT", `the lines do not begin with the header of this life of session ${ref.id}`);
    return {
      head,
      discard,
      publish(connection) {
        const at = appendDraft(connection, ref.id, log, chunk);
        nameLog(connection, at);
        return at;
      },
    };
  } catch (error) {
    await discard();
    throw storeError(error, doing);
  }
}
