import { serialize } from "node:v8";
import { AixgoError } from "@aixgo/core";
import { createMemoryBackend, createMemoryStore, type MemoryStore } from "@aixgo/session";
import type { BlobStore, Head, Ref, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { linesOf } from "../harness/verify-log.ts";

/** Small, so that the cases about long lines are quick. */
export const MAX_LINE_BYTES: number = 320 * 1024;

/** A backend that breaks one sentence of the contract. */
export interface Mutant {
  readonly name: string;
  /** The sentence that it breaks. */
  readonly sentence: string;
  /** Ids of cases that must fail on it. Others may. */
  readonly mustFail: readonly string[];
  create(): Fixture;
}

/** What a mutant does otherwise than the backend below it. */
export type Flaw = Partial<SessionBackend>;
/** Called once for each store, for what its nodes share; the result is called once for each node. */
export type Break = (real: SessionBackend) => Flaw | (() => Flaw);

/** A mutant of the memory backend. */
export function mutant(name: string, sentence: string, mustFail: readonly string[], breakIt: Break): Mutant {
  return { name, sentence, mustFail, create: () => brokenFixture(name, breakIt) };
}

/** A fixture over one memory backend per store, its nodes broken. */
export function brokenFixture(
  name: string,
  breakIt: Break,
  options: Parameters<typeof createMemoryBackend>[0] = { maxLineBytes: MAX_LINE_BYTES },
): Fixture {
  const stores = new Map<string, { readonly node: () => SessionBackend; readonly kept: MemoryStore }>();
  return {
    name,
    offers: ["watch", "blobs"],
    async open(store) {
      const known = stores.get(store);
      if (known !== undefined) return known.node();
      const kept = createMemoryStore();
      const real = createMemoryBackend({ ...options, store: kept });
      const flaw = breakIt(real);
      const node = (): SessionBackend => nodeOf(real, typeof flaw === "function" ? flaw() : flaw);
      stores.set(store, { node, kept });
      return node();
    },
    async destroy(store) {
      stores.delete(store);
    },
    async remains(store, bytes) {
      const { logs, tombstones, keys } = (stores.get(store) as { readonly kept: MemoryStore }).kept;
      return serialize([logs, tombstones, keys]).includes(Buffer.from(bytes));
    },
  };
}

/** One node on a store: it is closed alone. */
export function nodeOf(real: SessionBackend, flaw: Flaw): SessionBackend {
  let closed = false;
  const closing = new AbortController();
  const backend: SessionBackend = { ...real, ...flaw };
  const ready = (): void => {
    if (closed) throw new AixgoError("BACKEND_CLOSED", "this node has been closed");
  };
  if (flaw.close !== undefined) return backend;
  return {
    name: backend.name,
    capabilities: backend.capabilities,
    create: async (...given) => (ready(), backend.create(...given)),
    head: async (...given) => (ready(), backend.head(...given)),
    append: async (...given) => (ready(), backend.append(...given)),
    async *read(...given) {
      ready();
      yield* backend.read(...given);
    },
    find: async (...given) => (ready(), backend.find(...given)),
    list: async (...given) => (ready(), backend.list(...given)),
    renew: async (...given) => (ready(), backend.renew(...given)),
    cancel: async (...given) => (ready(), backend.cancel(...given)),
    rewrite: async (...given) => (ready(), backend.rewrite(...given)),
    delete: async (...given) => (ready(), backend.delete(...given)),
    async close() {
      closed = true;
      closing.abort();
    },
    ...(backend.watch === undefined
      ? undefined
      : {
          async *watch(ref, after, signal) {
            ready();
            yield* (backend.watch as NonNullable<SessionBackend["watch"]>)(ref, after, AbortSignal.any([signal, closing.signal]));
          },
        }),
    ...(backend.blobs === undefined ? undefined : { blobs: blobsOf(backend.blobs, ready) }),
  };
}

function blobsOf(blobs: BlobStore, ready: () => void): BlobStore {
  return {
    put: async (...given) => (ready(), blobs.put(...given)),
    async *get(...given) {
      ready();
      yield* blobs.get(...given);
    },
    touch: async (...given) => (ready(), blobs.touch(...given)),
    collect: async (...given) => (ready(), blobs.collect(...given)),
  };
}

/** All lines of a session. */
export async function allLines(real: SessionBackend, ref: Ref): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  for await (const page of real.read(ref)) lines.push(...linesOf(page));
  return lines;
}

export function joinLines(lines: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
}

/** A head with a member left out. */
export function without<K extends keyof Head>(head: Head, member: K): Omit<Head, K> & Head {
  const copy = { ...head };
  delete copy[member];
  return copy;
}

/** Lets everything else that waits go first. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
