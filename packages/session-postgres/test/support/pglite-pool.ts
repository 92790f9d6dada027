import type { PGlite } from "@electric-sql/pglite";
import type { PostgresClient, PostgresPool } from "@aixgo/session-postgres";

/** PGlite as a pool of one connection: who connects waits until the one before has released it. */
export function poolOf(database: PGlite): PostgresPool {
  let free: Promise<void> = Promise.resolve();
  return {
    async connect(): Promise<PostgresClient> {
      const before = free;
      let release = (): void => undefined;
      free = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      return { query: (text, values) => database.query(text, values), release };
    },
  };
}
