import { newToken } from "@aixgo/security";
import { asBuffer } from "@aixgo/session/backend";
import { scripts } from "./scripts.ts";
import { accept, type Store } from "./store.ts";

/** One command carries so much of an attachment: other sessions wait behind it. */
const CHUNK_BYTES = 256 * 1024;
/** What was not taken goes so long after its last chunk. */
export const KEPT_MS: number = 10 * 60 * 1000;

/** The chunks of an attachment on their way, beside the session. */
export interface StagedBlob {
  readonly key: string;
  readonly chunks: number;
  readonly bytes: number;
  /** Takes any number of bytes; the caller may use its buffer again afterwards. */
  add(bytes: Uint8Array): Promise<void>;
  /** After the last bytes. */
  end(): Promise<void>;
  /** Removes what is in the store. Never throws: what stays expires. */
  drop(): Promise<void>;
}

export function stageBlob(store: Store, operation: string, id: string): StagedBlob {
  const key = store.keys.stagedBlob(id, newToken());
  let filling = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  let chunks = 0;
  let bytes = 0;

  async function flush(): Promise<void> {
    const args = [String(chunks), String(KEPT_MS), filling.subarray(0, filled)];
    // Counted first: a chunk whose fate is not known has to be dropped as well.
    chunks += 1;
    bytes += filled;
    accept(operation, { id }, await store.read({ operation, script: scripts.stageChunk, keys: [key], args }));
    filled = 0;
  }

  return {
    key,
    get chunks() {
      return chunks;
    },
    get bytes() {
      return bytes;
    },
    async add(more) {
      for (let rest = asBuffer(more); rest.length > 0;) {
        const taken = rest.copy(filling, filled);
        filled += taken;
        rest = rest.subarray(taken);
        if (filled < CHUNK_BYTES) return;
        await flush();
        // A client that sends again what a broken connection left unanswered still reads the old one.
        filling = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      }
    },
    async end() {
      if (filled > 0) await flush();
    },
    async drop() {
      if (chunks > 0) await dropStaged(store, operation, [key]);
    },
  };
}

/** Never throws: what stays expires. */
export async function dropStaged(store: Store, operation: string, keys: readonly string[]): Promise<void> {
  await store.read({ operation, script: scripts.dropStaged, keys }).catch(() => undefined);
}
