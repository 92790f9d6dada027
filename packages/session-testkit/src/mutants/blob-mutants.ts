import { AixgoError } from "@aixgo/core";
import type { BlobStore, SessionBackend } from "@aixgo/session/backend";
import { type Flaw, type Mutant, mutant, tick } from "./mutant.ts";

const PUT = "stores bytes and answers with their digest; nothing is stored of what is refused";
const LIFE = "they belong to one session and go with it";
const COLLECT = "removes the blobs that are not in `keep` and were neither put nor touched for `olderThanMs`";

/** Other blobs over the same store. */
function blobs(real: SessionBackend, flaw: (real: BlobStore) => Partial<BlobStore>): Flaw {
  const own = real.blobs as BlobStore;
  return { blobs: { ...own, ...flaw(own) } };
}

/** Blobs of the whole store, by digest alone: a store that is right otherwise, but knows no sessions. */
function shared(real: SessionBackend): Flaw {
  const all = new Map<string, Uint8Array[]>();
  return blobs(real, (own) => ({
    async put(ref, digest, body, options) {
      const chunks: Uint8Array[] = [];
      const found = await own.put(
        ref,
        digest,
        (async function* () {
          for await (const chunk of body) {
            chunks.push(Uint8Array.from(chunk));
            yield chunk;
          }
        })(),
        options,
      );
      if (!all.has(found)) all.set(found, chunks);
      return found;
    },
    async *get(ref, digest, options) {
      const known = all.get(digest);
      if (known === undefined) yield* own.get(ref, digest, options);
      else for (const chunk of known) yield chunk.slice();
    },
  }));
}

export const blobMutants: readonly Mutant[] = [
  mutant("loses the last byte of a chunk", PUT, ["blobs/round-trip", "blobs/streamed"], (real) =>
    blobs(real, (own) => ({
      async *get(...given) {
        for await (const chunk of own.get(...given)) yield chunk.length > 1 ? chunk.subarray(0, -1) : chunk;
      },
    })),
  ),
  mutant("gives everything as one chunk", "the bytes in chunks of at most 1 MiB", ["blobs/streamed"], (real) =>
    blobs(real, (own) => ({
      async *get(...given) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of own.get(...given)) chunks.push(chunk);
        yield Buffer.concat(chunks);
      },
    })),
  ),
  mutant("lends out its own memory", "chunks, which the reader may keep and change", ["blobs/round-trip"], (real) => {
    const lent = new Map<string, Uint8Array[]>();
    return blobs(real, (own) => ({
      async *get(ref, digest, options) {
        const key = `${ref.id} ${digest}`;
        const known = lent.get(key) ?? [];
        if (known.length === 0) for await (const chunk of own.get(ref, digest, options)) known.push(chunk);
        else for await (const _ of own.get(ref, digest, options));
        lent.set(key, known);
        yield* known;
      },
    }));
  }),
  mutant("believes the digest that it is given", PUT, ["blobs/refused"], (real) => {
    const believed = new Map<string, Uint8Array[]>();
    return blobs(real, (own) => ({
      async put(ref, digest, body, options) {
        if (digest === undefined || (await own.touch(ref, digest))) return own.put(ref, digest, body, options);
        const chunks: Uint8Array[] = [];
        for await (const chunk of body) chunks.push(chunk);
        believed.set(ref.id + digest, chunks);
        return digest;
      },
      async *get(ref, digest, options) {
        const known = believed.get(ref.id + digest);
        if (known === undefined) yield* own.get(ref, digest, options);
        else yield* known;
      },
    }));
  }),
  mutant("stores what came before the source failed", PUT, ["blobs/refused"], (real) =>
    blobs(real, (own) => ({
      async put(ref, digest, body, options) {
        const chunks: Uint8Array[] = [];
        try {
          for await (const chunk of body) chunks.push(chunk);
        } catch (error) {
          await own.put(ref, undefined, given(chunks));
          throw error;
        }
        return own.put(ref, digest, given(chunks), options);
      },
      // What it wrongly has shows under the digest of a part: it finds that for any longer content.
      touch: async (ref, digest) => (await own.touch(ref, digest)) || (await own.collect(ref, new Set([digest]), 0)) > 0,
    })),
  ),
  mutant("stores what is too long", "LIMIT_EXCEEDED above maxBlobBytes: nothing is stored", ["blobs/limit"], (real) =>
    blobs(real, (own) => ({
      async put(ref, digest, body, options) {
        const first: Uint8Array[] = [];
        return own
          .put(
            ref,
            digest,
            (async function* () {
              for await (const chunk of body) {
                if (first.length === 0) first.push(chunk);
                yield chunk;
              }
            })(),
            options,
          )
          .catch(async (error: unknown) => {
            await own.put(ref, undefined, given(first));
            throw error;
          });
      },
    })),
  ),
  mutant("takes any text for a digest", "INVALID_INPUT for what cannot be a digest", ["blobs/digests"], (real) =>
    blobs(real, (own) => ({
      touch: async (ref, digest) => own.touch(ref, digest).catch(() => false),
    })),
  ),
  mutant("shows the blobs of all sessions to each", LIFE, ["blobs/own-session", "blobs/deleted"], shared),
  mutant("stores the same bytes again for each put", "the same bytes are kept once", ["blobs/once"], (real) => {
    const puts = new Map<string, number>();
    return blobs(real, (own) => ({
      async put(ref, ...rest) {
        puts.set(ref.id, (puts.get(ref.id) ?? 0) + 1);
        return own.put(ref, ...rest);
      },
      async collect(ref, ...rest) {
        const removed = await own.collect(ref, ...rest);
        return removed === 0 ? 0 : (puts.get(ref.id) ?? removed);
      },
    }));
  }),
  mutant("collects young blobs", COLLECT, ["blobs/collect"], (real) =>
    blobs(real, (own) => ({ collect: (ref, keep) => own.collect(ref, keep, 0) })),
  ),
  mutant("collects what is named", COLLECT, ["blobs/collect"], (real) =>
    blobs(real, (own) => ({ collect: (ref, _, olderThanMs) => own.collect(ref, new Set(), olderThanMs) })),
  ),
  mutant("does not begin the age anew", COLLECT, ["blobs/collect"], (real) => {
    const known = new Set<string>();
    return blobs(real, (own) => ({
      async put(ref, digest, body, options) {
        if (digest !== undefined && known.has(ref.id + digest)) return digest;
        const found = await own.put(ref, digest, body, options);
        known.add(ref.id + found);
        return found;
      },
    }));
  }),
  mutant("keeps the blobs of deleted sessions", LIFE, ["blobs/deleted"], (real) => {
    const kept = new Map<string, Uint8Array[]>();
    return {
      ...blobs(real, (own) => ({
        async *get(ref, digest, options) {
          const known = kept.get(ref.id + digest);
          if (known === undefined) yield* own.get(ref, digest, options);
          else yield* known;
        },
        async put(ref, digest, body, options) {
          const found = await own.put(ref, digest, body, options);
          const chunks: Uint8Array[] = [];
          for await (const chunk of own.get(ref, found)) chunks.push(chunk);
          kept.set(ref.id + found, chunks);
          return found;
        },
      })),
    };
  }),
  mutant(
    "looks for the session only before the bytes come",
    "a put that ends after its session was deleted is refused",
    ["blobs/late"],
    (real) =>
      blobs(real, (own) => ({
        async put(ref, digest, body, options) {
          await real.head(ref.id);
          return own.put(ref, digest, body, options).catch((error: unknown) => {
            if (error instanceof AixgoError && ["SESSION_DELETED", "INCARNATION_CHANGED"].includes(error.code)) return digest ?? "late";
            throw error;
          });
        },
      })),
  ),
  mutant("drops blobs with a rewrite that does not speak of them", "they survive a rewrite", ["blobs/rewrite"], (real) => ({
    rewrite: (ref, request) => real.rewrite(ref, { blobs: () => new Set(), ...request }),
  })),
  mutant("keeps blobs that a rewrite does not name", "the others go", ["blobs/rewrite"], (real) => ({
    rewrite: (ref, { blobs: _, ...request }) => real.rewrite(ref, request),
  })),
  mutant("drops blobs before the rewrite is sure", "all or nothing", ["blobs/rewrite-refused"], (real) => ({
    async rewrite(ref, request) {
      if (request.blobs !== undefined && request.expect.seq < (await real.head(ref.id)).seq)
        await real.blobs?.collect(ref, request.blobs(), 0);
      return real.rewrite(ref, request);
    },
  })),
  mutant("forks without blobs", "the new session gets them before it is there", ["blobs/fork"], (real) => ({
    create: ({ blobs: _, ...request }) => real.create(request),
  })),
  mutant("shares the blobs of the origin with its fork", "they are its own", ["blobs/fork"], (real) => {
    const origins = new Map<string, { readonly id: string; readonly incarnation: string }>();
    return {
      ...blobs(real, (own) => ({ get: (ref, digest, options) => own.get(origins.get(ref.id) ?? ref, digest, options) })),
      async create({ blobs: source, ...request }) {
        const made = await real.create(request);
        const from = source?.().from;
        if (from !== undefined) origins.set(request.ref.id, from);
        return made;
      },
    };
  }),
  mutant("creates a fork before it looks for the origin", "all or nothing", ["blobs/fork-refused"], (real) => ({
    async create({ blobs: source, ...request }) {
      const made = await real.create(request);
      await tick();
      if (source !== undefined) await real.head(source().from.id);
      return made;
    },
  })),
  mutant("forgets its blobs when it is closed", "as durable as the store declares", ["blobs/kept"], (real) => {
    let generation = 0;
    const born = new Map<string, number>();
    return () => {
      const mine = (generation += 1);
      return blobs(real, (own) => ({
        async put(ref, digest, body, options) {
          const found = await own.put(ref, digest, body, options);
          born.set(ref.id + found, mine);
          return found;
        },
        async *get(ref, digest, options) {
          if ((born.get(ref.id + digest) ?? mine) !== mine) throw new AixgoError("ENTRY_NOT_FOUND", "of another node");
          yield* own.get(ref, digest, options);
        },
      }));
    };
  }),
];

async function* given(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
