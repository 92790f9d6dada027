import { AixgoError } from "@aixgo/core";
import { assertDigest, type BlobStore, receiveBlob, type Ref } from "@aixgo/session/backend";
import { incarnationText } from "./packed-head.ts";
import { type Script, scripts } from "./scripts.ts";
import { stageBlob } from "./staged-blob.ts";
import { accept, namingDamage, type Reply, STATUS, type Store } from "./store.ts";

/** Removed by one script. */
const BATCH = 64;
const MAX_AGE_MS = 100 * 365 * 24 * 60 * 60 * 1000;

/**
 * Attachments: the chunks of each in a list of its own, and a hash that says which of them the session has. Chunks are
 * gathered under another name, which expires soon; the one script that looks at the session gives them theirs. So a name
 * never stands for a part of the bytes, and none can appear once the session is deleted.
 *
 * `known` throws if the backend is closed, or the id is none.
 */
export function createBlobs(store: Store, known: (operation: string, id: string) => void): BlobStore {
  const { keys, options } = store;

  function named(operation: string, ref: Ref, digest: string, script: Script, args: readonly string[]): Parameters<Store["read"]>[0] {
    const { head, lines, blobs } = keys.session(ref.id);
    return {
      operation,
      script,
      keys: [head, lines, blobs, keys.blob(ref.id, digest)],
      args: [incarnationText(ref.incarnation), digest, ...args],
    };
  }

  /** A write, so that it is durable, and so that rights are looked at before the first chunk is sent. */
  function touch(operation: string, ref: Ref, digest: string): Promise<boolean> {
    const touching = store.write(named(operation, ref, digest, scripts.touchBlob, [])).then(({ reply }) => accept(operation, ref, reply));
    return namingDamage(store, operation, ref.id, touching, digest).then(([status]) => status === STATUS.done);
  }

  async function chunkOf(operation: string, ref: Ref, digest: string, index: number): Promise<Reply> {
    const reading = store.read(named(operation, ref, digest, scripts.readChunk, [String(index)]));
    const reply = await namingDamage(
      store,
      operation,
      ref.id,
      reading.then((answer) => accept(operation, ref, answer)),
      digest,
    );
    if (reply[0] !== STATUS.done) throw new AixgoError("ENTRY_NOT_FOUND", `${operation}: it has no attachment ${digest}`);
    return reply;
  }

  return {
    async put(ref, digest, body, { signal } = {}) {
      const operation = `put an attachment of session ${shown(ref)}`;
      if (digest !== undefined) assertDigest(digest);
      known(operation, ref.id);
      if ((await touch(operation, ref, digest ?? "")) && digest !== undefined) return digest;
      const staged = stageBlob(store, operation, ref.id);
      try {
        const request = { operation, body, expected: digest, maxBytes: options.maxBlobBytes, signal };
        const found = await receiveBlob(request, (chunk) => staged.add(chunk));
        await staged.end();
        const { args = [], ...call } = named(operation, ref, found, scripts.publishBlob, [String(staged.chunks), String(staged.bytes)]);
        const publishing = store.write({ ...call, keys: [...call.keys, staged.key, keys.session(ref.id).marks], args });
        await namingDamage(
          store,
          operation,
          ref.id,
          publishing.then(({ reply }) => accept(operation, ref, reply)),
          found,
        );
        return found;
      } catch (error) {
        await staged.drop();
        throw error;
      }
    },

    async *get(ref, digest, { signal } = {}) {
      const operation = `read an attachment of session ${shown(ref)}`;
      assertDigest(digest);
      known(operation, ref.id);
      for (let index = 0; ; index++) {
        if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${operation} was cancelled`, { cause: signal.reason });
        const [, bytes, chunks] = await chunkOf(operation, ref, digest, index);
        if ((bytes as Buffer).length > 0) yield bytes as Buffer;
        if (index + 1 >= (chunks as number)) return;
      }
    },

    async touch(ref, digest) {
      const operation = `touch an attachment of session ${shown(ref)}`;
      assertDigest(digest);
      known(operation, ref.id);
      return touch(operation, ref, digest);
    },

    async collect(ref, keep, olderThanMs) {
      const operation = `collect attachments of session ${shown(ref)}`;
      known(operation, ref.id);
      if (!(olderThanMs >= 0)) throw new AixgoError("INVALID_INPUT", `${operation}: olderThanMs must be a time of zero or more`);
      const ageMs = Math.min(Math.ceil(olderThanMs), MAX_AGE_MS);
      const { head, lines, blobs } = keys.session(ref.id);
      const life = incarnationText(ref.incarnation);
      const asking = store.read({ operation, script: scripts.blobAges, keys: [head, lines, blobs], args: [life] });
      const [, now, pairs] = await namingDamage(
        store,
        operation,
        ref.id,
        asking.then((reply) => accept(operation, ref, reply)),
      );
      const old = oldest(pairs as readonly Buffer[], (now as number) - ageMs).filter((digest) => !keep.has(digest));
      let removed = 0;
      for (let at = 0; at < old.length; at += BATCH) {
        const digests = old.slice(at, at + BATCH);
        const { reply } = await store.write({
          operation,
          script: scripts.collectBlobs,
          keys: [head, lines, blobs, ...digests.map((digest) => keys.blob(ref.id, digest))],
          args: [life, String(ageMs), ...digests],
        });
        removed += accept(operation, ref, reply)[1] as number;
      }
      return removed;
    },
  };
}

/** Digests of what was not touched after `since`. */
function oldest(pairs: readonly Buffer[], since: number): readonly string[] {
  const found: string[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    if (Number.parseInt(String(pairs[i + 1]), 10) <= since) found.push(String(pairs[i]));
  }
  return found;
}

function shown({ id }: Ref): string {
  return typeof id === "string" ? id.slice(0, 64) : typeof id;
}
