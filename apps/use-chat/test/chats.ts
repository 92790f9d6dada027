import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LanguageModel } from "@aixgo/agents";
import { createSessionManager, type Session } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { afterEach, beforeEach, expect } from "vitest";
import { createOfflineModel } from "../src/offline-model.ts";
import { type Server, startServer } from "../src/server.ts";
import { openPage, type Page } from "./page.ts";

export interface Chats {
  /** Those that run. */
  readonly servers: ReadonlySet<Server>;
  start(model?: LanguageModel, port?: number): Promise<Server>;
  stop(server: Server): Promise<void>;
  open(server: Server, id?: string, user?: string): Promise<Page>;
  close(page: Page): void;
  /** What the store holds of ada's first chat, whose log is whole. */
  stored<T>(read: (session: Session) => Promise<T>): Promise<T>;
}

/** Servers of one folder and pages on them; each test of the file has its own, and they end with it. */
export function chats(): Chats {
  let baseDir: string;
  const servers = new Set<Server>();
  const pages = new Set<Page>();
  beforeEach(async () => {
    baseDir = await mkdtemp(join(tmpdir(), "aixgo-use-chat-"));
  });
  afterEach(async () => {
    for (const page of pages) page.close();
    for (const server of servers) await server.close();
    pages.clear();
    servers.clear();
    await rm(baseDir, { recursive: true, force: true, maxRetries: 3 });
  });
  return {
    servers,
    async start(model = createOfflineModel(0), port = 0) {
      const server = await startServer({ baseDir, model, port });
      servers.add(server);
      return server;
    },
    async stop(server) {
      servers.delete(server);
      await server.close();
    },
    async open(server, id = "chat-1", user = "ada") {
      const page = await openPage(server.url, id, user);
      pages.add(page);
      return page;
    },
    close(page) {
      pages.delete(page);
      page.close();
    },
    async stored(read) {
      await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
      const session = await sessions.getOrCreate("assistant", "ada", { key: "chat:ada:chat-1" });
      const result = await read(session);
      expect((await session.verify()).problems).toEqual([]);
      return result;
    },
  };
}

export const shows = (page: Page, text: string): Promise<void> => expect.poll(() => page.text(), { timeout: 20_000 }).toBe(text);
export const settled = (page: Page): Promise<void> => expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("ready");
