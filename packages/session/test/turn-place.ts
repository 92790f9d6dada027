import type { SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type Entry, type Session, type SessionManager, type SessionManagerOptions } from "../src/index.ts";
import type { Turn } from "../src/turn.ts";
import { all, ask } from "./turns.ts";

export const entriesOf = (session: Session): Promise<Entry[]> => all(session.entries());
export const lastOf = async (session: Session): Promise<Entry> => (await entriesOf(session)).at(-1) as Entry;

export interface TurnPlace {
  readonly a: SessionManager;
  readonly s: Session;
  readonly t: Session;
  readonly id: string;
  open(options?: Parameters<typeof ask>[1]): Promise<Turn>;
}
/** Two nodes over one store; what the first sends to the store passes through `wrap`. */
export async function turnPlace(
  wrap: (backend: SessionBackend) => Partial<SessionBackend> = () => ({}),
  options: Omit<SessionManagerOptions, "backend"> = {},
): Promise<TurnPlace> {
  const store = createMemoryStore();
  const t = await createSessionManager({ backend: createMemoryBackend({ store }) }).create("x");
  const backend = createMemoryBackend({ store });
  const a = createSessionManager({ backend: { ...backend, ...wrap(backend) }, ...options });
  const open = async (more: Parameters<typeof ask>[1] = {}): Promise<Turn> => (await a.openTurn(t.id, ask("q", more))) as Turn;
  return { a, s: await a.get(t.id), t, id: t.id, open };
}
