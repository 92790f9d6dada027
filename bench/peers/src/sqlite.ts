import Database from "libsql";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Store } from "#contender";

/** A table of messages by hand: one row and one commit each. */
export function sqlite(synchronous: "NORMAL" | "FULL"): Contender {
  return {
    name: `SQLite, ${synchronous}`,
    role: "peer",
    survives: synchronous === "FULL" ? "a power cut" : "a kill",
    note: "one table by hand, one INSERT a message",
    open: (folder, text) => open(folder, text, synchronous),
  };
}

async function open(folder: string, text: string, synchronous: "NORMAL" | "FULL"): Promise<Store> {
  const file = join(folder, "messages.db");
  const connect = (): Database.Database => {
    const database = new Database(file);
    database.pragma("journal_mode = WAL");
    database.pragma(`synchronous = ${synchronous}`);
    return database;
  };
  const database = connect();
  database.exec(`
    CREATE TABLE sessions (id INTEGER PRIMARY KEY, agent TEXT NOT NULL, updated INTEGER NOT NULL);
    CREATE INDEX by_update ON sessions (updated DESC);
    CREATE TABLE messages (session INTEGER NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session, seq)) WITHOUT ROWID`);
  const begin = database.prepare("INSERT INTO sessions (agent, updated) VALUES ('a', ?)");
  const insert = database.prepare("INSERT INTO messages (session, seq, body) VALUES (?, ?, ?)");
  const newest = database.prepare("SELECT id, agent, updated FROM sessions ORDER BY updated DESC LIMIT ?");
  const body = (): string => JSON.stringify({ role: "user", parts: [{ type: "text", text }], timestamp: new Date().toISOString() });
  const create = (): number => Number(begin.run(Date.now()).lastInsertRowid);
  const others: Database.Database[] = [];

  return {
    async filled(messages) {
      const session = create();
      let seq = 0;
      const append = (): unknown => insert.run(session, (seq += 1), body());
      database.transaction(() => {
        for (let left = messages; left > 0; left -= 1) append();
      })();
      const read = (from: Database.Database): number =>
        (from.prepare("SELECT body FROM messages WHERE session = ? ORDER BY seq").all(session) as { body: string }[]).map(
          ({ body }) => JSON.parse(body) as unknown,
        ).length;
      return {
        append,
        load: () => read(database),
        resume() {
          const other = connect();
          others.push(other);
          return read(other);
        },
      };
    },
    bytes() {
      database.pragma("wal_checkpoint(TRUNCATE)");
      return statSync(file).size;
    },
    async populate(conversations) {
      database.transaction(() => {
        for (let left = conversations; left > 0; left -= 1) insert.run(create(), 1, body());
      })();
    },
    list: (limit) => newest.all(limit).length,
    async close() {
      for (const other of others) other.close();
      database.close();
    },
  };
}
