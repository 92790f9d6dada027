import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryBackend, createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { createFileBackend } from "@aixgo/session-file";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { createRedisBackend } from "@aixgo/session-redis";

export type Durability = "disk" | "os";

/** Where a store is: plain data, so that it can be told to another process. */
export type Place =
  | { readonly store: "memory" }
  | { readonly store: "files"; readonly folder: string; readonly durability: Durability }
  | { readonly store: "redis"; readonly url: string; readonly keyPrefix: string }
  | { readonly store: "postgres"; readonly url: string; readonly schema: string };

export function backendAt(place: Place): SessionBackend {
  switch (place.store) {
    case "memory":
      return createMemoryBackend();
    case "files":
      return createFileBackend({ baseDir: join(place.folder, "store"), durability: place.durability });
    case "redis":
      return createRedisBackend({ url: place.url, keyPrefix: place.keyPrefix });
    case "postgres":
      return createPostgresBackend({ connectionString: place.url, schema: place.schema });
  }
}

export function managerAt(place: Place): SessionManager {
  return createSessionManager({ backend: backendAt(place) });
}

/** A store of files in that folder. */
export function openStore(folder: string, durability: Durability): SessionManager {
  return managerAt({ store: "files", folder, durability });
}

/** A folder for one row, removed when the row is done. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-bench-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A session with so many messages of so many characters, written in groups. */
export async function filled(manager: SessionManager, agent: string, messages: number, characters = 200): Promise<Session> {
  const session = await manager.create(agent);
  for (let done = 0; done < messages; done += 250) {
    await Promise.all(
      Array.from({ length: Math.min(250, messages - done) }, (_, index) => session.append(message(characters, done + index))),
    );
  }
  return session;
}

/** `count` sessions with one message each. */
export async function populate(manager: SessionManager, agent: (index: number) => string, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let done = 0; done < count; done += 100) {
    const made = await Promise.all(
      Array.from({ length: Math.min(100, count - done) }, async (_, index) => {
        const session = await manager.create(agent(done + index));
        await session.append(message(100));
        return session.id;
      }),
    );
    ids.push(...made);
  }
  return ids;
}

export function message(characters: number, index = 0): { role: "user"; parts: { type: "text"; text: string }[] } {
  return { role: "user", parts: [{ type: "text", text: textOf(characters, index) }] };
}

export function textOf(characters: number, index = 0): string {
  return `${index} `.padEnd(characters, "lorem ipsum ");
}
