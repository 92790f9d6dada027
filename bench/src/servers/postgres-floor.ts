import pg from "pg";
import { builtLine } from "../floors.ts";
import type { StoreFloor } from "./redis-floor.ts";

const INSERT = "INSERT INTO floor (session, seq, line) VALUES ($1, $2, $3)";

/** One insert and its commit, by a prepared statement, over as many connections as our backend opens. */
export async function postgresFloor(url: string): Promise<StoreFloor> {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  // `end` does not wait for its connections to close: one that the server ends first is no failure of the benchmark.
  pool.on("error", () => {});
  await pool.query(
    "CREATE TABLE IF NOT EXISTS floor (session text NOT NULL, seq bigint NOT NULL, line bytea NOT NULL, PRIMARY KEY (session, seq))",
  );
  let seq = 0;
  return {
    append(session, text) {
      seq += 1;
      return pool.query({ name: "floor", text: INSERT, values: [session, seq, Buffer.from(builtLine(text))] });
    },
    close: () => pool.end(),
  };
}
