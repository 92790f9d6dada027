import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";

export type Durability = "disk" | "os";

/** A folder for one row, removed when the row is done. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-bench-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function openStore(folder: string, durability: Durability): SessionManager {
  return createSessionManager({ backend: createFileBackend({ baseDir: join(folder, "store"), durability }) });
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
  return { role: "user", parts: [{ type: "text", text: `${index} `.padEnd(characters, "lorem ipsum ") }] };
}
