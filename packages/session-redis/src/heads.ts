import type { Head, Position, Ref } from "@aixgo/session/backend";
import { headOf, type StoredHead, unpackHead } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import { accept, type Store } from "./store.ts";

const MAX_KEPT = 1024;
/** Larger ones, which is metadata, are asked for again rather than kept. */
const MAX_KEPT_CHARACTERS = 64 * 1024;

/**
 * Heads as they were seen last, so that an append needs no question before it. A head follows from the log up to its
 * position, and a position names that log by its hash: one that fits what the caller expects is right, however old it is.
 * Only lease times are not: those come from the server with every answer.
 */
export interface Heads {
  /** The kept head at that place. */
  at(ref: Ref, place: Position): StoredHead | undefined;
  keep(head: StoredHead): void;
  drop(id: string): void;
  /** Asks the server. `now` is its clock in milliseconds. */
  load(operation: string, id: string): Promise<{ readonly stored: StoredHead; readonly now: number; readonly head: Head }>;
}

export function createHeads(store: Store): Heads {
  const kept = new Map<string, StoredHead>();

  const heads: Heads = {
    at({ id, incarnation }, { seq, hash }) {
      const found = kept.get(id)?.fold;
      return found !== undefined && found.seq === seq && found.hash === hash && found.incarnation === incarnation
        ? kept.get(id)
        : undefined;
    },
    keep(stored) {
      const { id } = stored.fold;
      kept.delete(id);
      if (stored.packed.length > MAX_KEPT_CHARACTERS) return;
      kept.set(id, stored);
      if (kept.size > MAX_KEPT) {
        const [oldest] = kept.keys();
        if (oldest !== undefined) kept.delete(oldest);
      }
    },
    drop: (id) => void kept.delete(id),
    async load(operation, id) {
      const { head, lines } = store.keys.session(id);
      const [, packed, now] = accept(operation, { id }, await store.read({ operation, script: scripts.head, keys: [head, lines] }));
      const stored = unpackHead(id, packed as Buffer);
      heads.keep(stored);
      return { stored, now: now as number, head: headOf(stored, now as number) };
    },
  };
  return heads;
}
