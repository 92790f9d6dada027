import { AixgoError } from "@aixgo/core";
import { createMemoryBackend } from "@aixgo/session";
import type { BlobStore, Ref, SessionBackend, SessionInfo } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { fold, type Head } from "@aixgo/session/backend";
import { type Flaw, MAX_LINE_BYTES, nodeOf } from "./mutant.ts";

/** What is left of a session that has expired, or goes too early. */
export type ExpiryFlaw = "log goes first" | "key stays" | "list stays" | "late append" | "attachments stay" | "never prolonged";

interface Expiry {
  readonly real: SessionBackend;
  readonly living: Map<string, { readonly ref: Ref; readonly info: SessionInfo; endsAt: number; readonly ttlMs: number }>;
  readonly expired: Map<string, SessionInfo>;
  readonly blobs: Map<string, Uint8Array[]>;
}

/** A memory backend whose sessions expire; with a flaw, it breaks one sentence about that. */
export function expiringFixture(name: string, flaw?: ExpiryFlaw): Fixture {
  const stores = new Map<string, Expiry>();
  const opened = (store: string, ttlMs: number): SessionBackend => {
    const known = stores.get(store) ?? {
      real: createMemoryBackend({ maxLineBytes: MAX_LINE_BYTES }),
      living: new Map(),
      expired: new Map(),
      blobs: new Map(),
    };
    stores.set(store, known);
    return nodeOf(known.real, expiring(known, ttlMs, flaw));
  };
  return {
    name,
    offers: ["watch", "blobs"],
    open: async (store) => opened(store, Number.POSITIVE_INFINITY),
    openExpiring: async (store, ttlMs) => opened(store, ttlMs),
    async destroy(store) {
      stores.delete(store);
    },
  };
}

function expiring({ real, living, expired, blobs }: Expiry, ttlMs: number, flaw: ExpiryFlaw | undefined): Flaw {
  const own = real.blobs as BlobStore;

  async function look(id?: string): Promise<void> {
    const now = performance.now();
    for (const [one, { ref, info, endsAt }] of living) {
      if (endsAt > now) continue;
      living.delete(one);
      expired.set(one, info);
      await real.delete(ref).catch(() => undefined);
    }
    if (id !== undefined && expired.has(id)) throw new AixgoError("SESSION_NOT_FOUND", `there is no session ${id}`);
  }

  function lives({ id, incarnation, info }: Head): void {
    const known = living.get(id);
    if (known !== undefined && flaw === "never prolonged") return;
    living.set(id, { ref: { id, incarnation }, info, endsAt: performance.now() + ttlMs, ttlMs });
  }

  return {
    capabilities: { ...real.capabilities, ttl: true },
    async create(request) {
      await look();
      if (flaw === "key stays" && request.info.key !== undefined && [...expired.values()].some(({ key }) => key === request.info.key))
        throw new AixgoError("KEY_EXISTS", "a session has this key");
      const answer = await real.create(request);
      if (answer.created) lives(answer.head);
      return answer;
    },
    head: async (id) => (await look(id), real.head(id)),
    async append(ref, request) {
      if (flaw === "late append" && expired.has(ref.id)) {
        const base = { ...request.expect, ...ref, info: expired.get(ref.id) } as Head;
        return { head: request.lines.reduce<Head>(fold, { ...base, headSeq: base.seq, fence: 0, bytes: 0 }) };
      }
      await look(ref.id);
      const answer = await real.append(ref, request);
      if ("head" in answer) lives(answer.head);
      return answer;
    },
    async *read(ref, range) {
      await look(ref.id);
      const known = living.get(ref.id);
      const isLate = known !== undefined && known.endsAt - performance.now() < known.ttlMs / 2;
      yield* real.read(ref, flaw === "log goes first" && isLate ? { ...range, to: 0 } : range);
    },
    find: async (ref, what) => (await look(ref.id), real.find(ref, what)),
    renew: async (ref, lease, ms) => (await look(ref.id), real.renew(ref, lease, ms)),
    cancel: async (ref, reason) => (await look(ref.id), real.cancel(ref, reason)),
    rewrite: async (ref, request) => (await look(ref.id), real.rewrite(ref, request)),
    delete: async (ref, options) => {
      await look(ref.id);
      living.delete(ref.id);
      return real.delete(ref, options);
    },
    async list(query) {
      await look();
      const page = await real.list(query);
      return flaw === "list stays" ? { ...page, items: [...page.items, ...expired.values()] } : page;
    },
    blobs: {
      async put(ref, digest, body, options) {
        await look(ref.id);
        const found = await own.put(ref, digest, body, options);
        const chunks: Uint8Array[] = [];
        for await (const chunk of own.get(ref, found)) chunks.push(chunk);
        blobs.set(ref.id + found, chunks);
        return found;
      },
      async *get(ref, digest, options) {
        if (flaw === "attachments stay") yield* blobs.get(ref.id + digest) ?? [];
        else {
          await look(ref.id);
          yield* own.get(ref, digest, options);
        }
      },
      touch: async (ref, digest) => (await look(ref.id), own.touch(ref, digest)),
      collect: async (ref, keep, olderThanMs) => (await look(ref.id), own.collect(ref, keep, olderThanMs)),
    },
  };
}
