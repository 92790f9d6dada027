import pg from "pg";
import type { Contender, Store } from "./contender.ts";

const INSERT = { name: "insert", text: "INSERT INTO bare (session, seq, body) VALUES ($1, $2, $3)" };

/** One table by hand: one insert and commit a message, on one connection. */
export function barePostgres(url: string): Contender {
  return { name: "floor: one INSERT and commit", role: "floor", survives: "a power cut", open: (_, text) => open(url, text) };
}

async function open(url: string, text: string): Promise<Store> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    "DROP TABLE IF EXISTS bare; CREATE TABLE bare (session bigint NOT NULL, seq bigint NOT NULL, body text NOT NULL, PRIMARY KEY (session, seq))",
  );
  let sessions = 0;
  const body = (): string => JSON.stringify({ role: "user", parts: [{ type: "text", text }], timestamp: new Date().toISOString() });
  return {
    async filled(messages) {
      const session = (sessions += 1);
      await client.query("INSERT INTO bare SELECT $1, i, $2 FROM generate_series(1, $3) AS i", [session, body(), messages]);
      let seq = messages;
      const append = (): Promise<unknown> => client.query({ ...INSERT, values: [session, (seq += 1), body()] });
      const read = async (from: pg.Client): Promise<number> => {
        const { rows } = await from.query<{ body: string }>({
          name: "read",
          text: "SELECT body FROM bare WHERE session = $1 ORDER BY seq",
          values: [session],
        });
        return rows.map(({ body }) => JSON.parse(body) as unknown).length;
      };
      return {
        append,
        checkpoint: append,
        load: () => read(client),
        async resume() {
          const other = new pg.Client({ connectionString: url });
          await other.connect();
          try {
            return await read(other);
          } finally {
            await other.end();
          }
        },
      };
    },
    close: () => client.end(),
  };
}
