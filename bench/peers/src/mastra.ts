import { LibSQLStore } from "@mastra/libsql";
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Store } from "#contender";

/** The storage of its memory, as it opens a local file: WAL, synchronous NORMAL. */
export const mastra: Contender = {
  name: "Mastra, libsql",
  role: "peer",
  survives: "a kill",
  note: "the storage of its memory, without embeddings",
  open,
};

async function open(folder: string, text: string): Promise<Store> {
  const file = join(folder, "mastra.db");
  let stores = 0;
  const opened: LibSQLStore[] = [];
  const connect = async () => {
    const store = new LibSQLStore({ id: `bench-${(stores += 1)}`, url: `file:${file}` });
    opened.push(store);
    await store.init();
    const memory = await store.getStore("memory");
    if (memory === undefined) throw new Error("this Mastra store keeps no memory");
    return memory;
  };
  const memory = await connect();

  async function create(): Promise<string> {
    const id = randomUUID();
    const now = new Date();
    await memory.saveThread({ thread: { id, resourceId: "user", title: "", createdAt: now, updatedAt: now, metadata: {} } });
    return id;
  }
  const message = (threadId: string, offset = 0) => ({
    id: randomUUID(),
    threadId,
    resourceId: "user",
    role: "user" as const,
    type: "v2",
    createdAt: new Date(Date.now() + offset),
    content: { format: 2 as const, parts: [{ type: "text" as const, text }] },
  });

  return {
    async filled(messages) {
      const threadId = await create();
      for (let left = messages; left > 0; left -= 250)
        await memory.saveMessages({ messages: Array.from({ length: Math.min(250, left) }, (_, index) => message(threadId, index)) });
      const load = async (from: typeof memory): Promise<number> => (await from.listMessages({ threadId, perPage: false })).messages.length;
      return {
        append: () => memory.saveMessages({ messages: [message(threadId)] }),
        load: () => load(memory),
        resume: async () => load(await connect()),
      };
    },
    bytes: () => statSync(file).size + statSync(`${file}-wal`).size,
    async populate(conversations) {
      for (let left = conversations; left > 0; left -= 1) await create();
    },
    list: async (limit) =>
      (await memory.listThreads({ perPage: limit, page: 0, orderBy: { field: "updatedAt", direction: "DESC" } })).threads.length,
    async close() {
      for (const store of opened) await store.close?.();
    },
  };
}
