import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Session, SessionManager } from "@aixgo/session";
import { managerAt, type Place, populate } from "../stores.ts";
import type { Contender, Conversation, Store } from "./contender.ts";

export const inMemory: Contender = {
  name: "aixgo, memory",
  role: "ours",
  survives: "nothing",
  open: async (_, text) => open({ store: "memory" }, text),
};

export const inFiles: Contender = {
  name: "aixgo, files, os",
  role: "ours",
  survives: "a kill",
  open: async (folder, text) => ({ ...open({ store: "files", folder, durability: "os" }, text), bytes: () => bytesBelow(folder) }),
};

export const onDisk: Contender = {
  name: "aixgo, files, disk",
  role: "ours",
  survives: "a power cut",
  open: async (folder, text) => open({ store: "files", folder, durability: "disk" }, text),
};

/** In the database of that server. */
export function inPostgres(url: string): Contender {
  return {
    name: "aixgo, PostgreSQL",
    role: "ours",
    survives: "a power cut",
    open: async (_, text) => open({ store: "postgres", url, schema: "aixgo_bench" }, text),
  };
}

function open(place: Place, text: string): Store {
  const manager = managerAt(place);
  const others: SessionManager[] = [];

  function conversation(session: Session): Conversation {
    const own = {
      append: () => session.append(text),
      load: async () => (await session.messages()).length,
      checkpoint: () => session.checkpoint(),
    };
    if (place.store === "memory") return own;
    return {
      ...own,
      async resume() {
        const other = managerAt(place);
        others.push(other);
        return (await (await other.get(session.id)).messages()).length;
      },
    };
  }

  return {
    async filled(messages) {
      const session = await manager.create("a");
      for (let left = messages; left > 0; left -= 250) {
        await session.append(Array.from({ length: Math.min(250, left) }, () => ({ role: "user", parts: [{ type: "text", text }] })));
      }
      return conversation(session);
    },
    async populate(conversations) {
      await populate(manager, () => "a", conversations);
    },
    list: async (limit) => (await manager.list({ limit })).items.length,
    async close() {
      await Promise.all(others.map((other) => other.close()));
      await manager.close();
    },
  };
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).reduce(
    (sum, entry) => (entry.isFile() ? sum + statSync(join(entry.parentPath, entry.name)).size : sum),
    0,
  );
}
