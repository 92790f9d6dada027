import { createMemoryBackend, createMemoryStore } from "../src/memory-backend.ts";
import { createSessionManager, type SessionManager, type SessionManagerOptions } from "../src/index.ts";
import type { SessionBackend } from "../src/backend.ts";

/** Two managers over one store: what one process does, the other must see. */
export function twoNodes(
  options: Omit<SessionManagerOptions, "backend"> = {},
  wrap: (backend: SessionBackend) => SessionBackend = (backend) => backend,
): { readonly a: SessionManager; readonly b: SessionManager; readonly backend: SessionBackend } {
  const store = createMemoryStore();
  const node = (): SessionManager => createSessionManager({ backend: wrap(createMemoryBackend({ store })), ...options });
  return { a: node(), b: node(), backend: createMemoryBackend({ store }) };
}
