import type { ReadRange, Ref, SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Session } from "../src/index.ts";
import { SessionLog } from "../src/log.ts";

export interface LogPlace {
  readonly log: SessionLog;
  readonly session: Session;
  readonly backend: SessionBackend;
  /** What was read from the store, as [from, to]. */
  readonly reads: [from: number, to: number][];
  /** Another log over the same store, which has read nothing yet. */
  another(change?: Partial<SessionBackend>): SessionLog;
}
export async function logPlace(change: (store: SessionBackend) => Partial<SessionBackend> = () => ({})): Promise<LogPlace> {
  const store = createMemoryStore();
  const plain = createMemoryBackend({ store });
  const session = await createSessionManager({ backend: createMemoryBackend({ store }) }).create("x");
  const reads: [number, number][] = [];
  const changed = { ...plain, ...change(plain) };
  const backend: SessionBackend = {
    ...changed,
    read(ref, range: ReadRange = {}) {
      reads.push([range.from ?? 0, range.to ?? Number.POSITIVE_INFINITY]);
      return changed.read(ref, range);
    },
  };
  const ref = { id: session.id, incarnation: (await plain.head(session.id)).incarnation };
  const another = (more: Partial<SessionBackend> = {}): SessionLog => new SessionLog({ ...backend, ...more }, ref);
  return { log: another(), session, backend, reads, another };
}

/** So many messages, a hundred an append. */
export async function fill(session: Session, count: number, length = 1): Promise<void> {
  for (let done = 0; done < count; done += 100)
    await session.append(Array.from({ length: Math.min(100, count - done) }, (_, index) => `${done + index}${"x".repeat(length)}`));
}

/** A store that has lost what stood behind a place, as in a power cut or after a failover. */
export async function copyUpTo(backend: SessionBackend, ref: Ref, to: number): Promise<SessionBackend> {
  const copy = createMemoryBackend();
  const { info } = await backend.head(ref.id);
  await copy.create({
    ref,
    info,
    async *lines() {
      for await (const page of backend.read(ref, { to }))
        for (const line of Buffer.from(page).toString().trimEnd().split("\n")) yield Buffer.from(line);
    },
  });
  return copy;
}
