import { AixgoError } from "@aixgo/core";
import Database from "libsql";
import { identityOf } from "./database-file.ts";
import type { ResolvedOptions } from "./options.ts";
import { sqliteCode } from "./sqlite-errors.ts";

/** What SQLite takes and gives here. The driver ends the process for anything else, such as a boolean. */
export type Value = null | number | string | Uint8Array;
export type Row = readonly Value[];

/** One connection. Everything on it is synchronous: a transaction is one stretch of code that nothing interrupts. */
export interface Connection {
  get(sql: string, ...values: readonly Value[]): Row | undefined;
  all(sql: string, ...values: readonly Value[]): readonly Row[];
  /** With values: one statement. Without: a script. */
  run(sql: string, ...values: readonly Value[]): void;
  pragma(name: string): Value | undefined;
  /** All that `body` reads is of one moment. */
  reading<T>(body: () => T): T;
  /**
   * What `body` writes is there as a whole, and as durable as the options say, or not at all. No other process writes meanwhile.
   * Throws `OUTCOME_UNKNOWN` if the commit fails.
   */
  writing<T>(body: () => T): T;
  /** Empties the write-ahead log, where copies of what was deleted may linger. `SQLITE_BUSY` while another process reads. */
  truncateLog(): void;
  /** Idempotent. */
  close(): void;
}

/** Statements that are kept prepared; those of `list` come in many forms. */
const MAX_STATEMENTS = 64;

/** Connects to a database that is there. Never waits: `SQLITE_BUSY` is for the caller. */
export function connect({ file, shownFile }: ResolvedOptions): Connection {
  const database = new Database(file);
  const identity = identityOf(file);
  const statements = new Map<string, Database.Statement>();
  let isOpen = true;

  function prepared(sql: string): Database.Statement {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    if (statement.reader) statement.raw();
    if (statements.size >= MAX_STATEMENTS) statements.clear();
    statements.set(sql, statement);
    return statement;
  }

  /** A file that was moved away would take what is written with it. */
  function assertSameFile(): void {
    if (identityOf(file) === identity) return;
    throw new AixgoError("BACKEND_UNAVAILABLE", `${shownFile} has been moved or replaced since it was opened; the next call opens it anew`);
  }

  function rollBack(): void {
    // Some failures have rolled back already.
    if (database.inTransaction) database.exec("ROLLBACK");
  }

  return {
    get: (sql, ...values) => prepared(sql).all(bound(values))[0] as Row | undefined,
    all: (sql, ...values) => prepared(sql).all(bound(values)) as Row[],
    run(sql, ...values) {
      if (values.length === 0) database.exec(sql);
      else prepared(sql).run(bound(values));
    },
    pragma: (name) => (prepared(`PRAGMA ${name}`).all([])[0] as Row | undefined)?.[0],
    reading(body) {
      assertSameFile();
      database.exec("BEGIN");
      try {
        return body();
      } finally {
        rollBack();
      }
    },
    writing(body) {
      assertSameFile();
      database.exec("BEGIN IMMEDIATE");
      let result;
      try {
        result = body();
      } catch (error) {
        rollBack();
        throw error;
      }
      try {
        database.exec("COMMIT");
      } catch (error) {
        const busy = database.inTransaction && sqliteCode(error)?.startsWith("SQLITE_BUSY") === true;
        rollBack();
        if (busy) throw error;
        throw new AixgoError(
          "OUTCOME_UNKNOWN",
          "the disk did not confirm the commit; whether it was written shows when the store is read again",
          {
            details: { sqlite: sqliteCode(error) ?? null },
          },
        );
      }
      return result;
    },
    truncateLog() {
      const [busy] = (prepared("PRAGMA wal_checkpoint(TRUNCATE)").all([])[0] ?? []) as Row;
      if (busy !== 0) throw Object.assign(new Error("the write-ahead log is being read"), { code: "SQLITE_BUSY" });
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      statements.clear();
      database.close();
    },
  };
}

/** As an array: a lone buffer would be taken for named values. */
function bound(values: readonly Value[]): Value[] {
  for (const value of values) {
    if (value !== null && typeof value !== "string" && typeof value !== "number" && !(value instanceof Uint8Array))
      throw new TypeError(`a ${typeof value} cannot be given to SQLite`);
  }
  return [...values];
}
