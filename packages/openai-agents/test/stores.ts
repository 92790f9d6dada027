import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryBackend, createMemoryStore, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { afterEach } from "vitest";

/** Opens the same store again and again, as one process after another does. */
export interface Store {
  open(): SessionManager;
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export function memoryStore(): Store {
  const store = createMemoryStore();
  return { open: () => managed(createSessionManager({ backend: createMemoryBackend({ store }) })) };
}

export function fileStore(): Store {
  const baseDir = mkdtempSync(join(tmpdir(), "aixgo-openai-agents-"));
  cleanups.push(() => rmSync(baseDir, { recursive: true, force: true }));
  return { open: () => managed(createSessionManager({ backend: createFileBackend({ baseDir }) })) };
}

export function newSession(store: Store = memoryStore()): Promise<Session> {
  return store.open().create("assistant");
}

function managed(manager: SessionManager): SessionManager {
  cleanups.push(() => manager.close());
  return manager;
}
