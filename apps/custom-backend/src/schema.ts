import { AixgoError } from "@aixgo/core";
import type { Connection } from "./connection.ts";

/** "axgo": says whose file this is. */
const APPLICATION_ID = 0x6178676f;
/** Append-only: the place of a step in this list is the format it leads to. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    incarnation    TEXT NOT NULL,
    log            INTEGER NOT NULL UNIQUE,   -- where its lines lie; a rewrite brings another one
    head           TEXT NOT NULL,             -- the fold over the lines, JSON
    fence          INTEGER NOT NULL,
    keys           BLOB,
    slot           TEXT,                      -- place of its unique key, whether it still has it or not
    lease_fence    INTEGER,                   -- the lease lies in the row of the head: one UPDATE moves both
    lease_token    TEXT,
    lease_holder   TEXT,
    lease_since    INTEGER,                   -- milliseconds since 1970
    lease_until    INTEGER,
    lease_cancel   TEXT,
    agent          TEXT NOT NULL,             -- what list filters and orders by; texts are JSON, see quoted()
    tenant         TEXT,
    user           TEXT,
    updated_ms     INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sessions_by_update ON sessions (updated_ms DESC, id);
  CREATE INDEX sessions_by_agent ON sessions (agent, updated_ms DESC, id);
  CREATE INDEX sessions_by_user ON sessions (tenant, user, updated_ms DESC, id);

  CREATE TABLE logs (
    log            INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice
    draft_ms       INTEGER                             -- set while no session names it: when its writer last wrote
  ) STRICT;
  CREATE INDEX logs_drafts ON logs (draft_ms) WHERE draft_ms IS NOT NULL;
  CREATE TABLE lines (
    log            INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    entry          TEXT NOT NULL,
    op             TEXT,
    line           BLOB NOT NULL,
    UNIQUE (log, seq)
  ) STRICT;
  CREATE INDEX lines_by_entry ON lines (log, entry);
  CREATE INDEX lines_by_op ON lines (log, op) WHERE op IS NOT NULL;

  CREATE TABLE unique_keys (slot TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE tombstones (id TEXT PRIMARY KEY, incarnation TEXT NOT NULL, deleted_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX tombstones_by_time ON tombstones (deleted_ms);

  CREATE TABLE indexed_metadata (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TABLE metadata_values (
    name           TEXT NOT NULL,
    digest         TEXT NOT NULL,
    id             TEXT NOT NULL,
    PRIMARY KEY (name, digest, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX metadata_values_by_session ON metadata_values (id);
  `,
  `
  CREATE TABLE bodies (
    body           INTEGER PRIMARY KEY AUTOINCREMENT,  -- bytes of an attachment; forks share them, they never change
    draft_ms       INTEGER                             -- set while no blob names it: when its writer last wrote
  ) STRICT;
  CREATE INDEX bodies_drafts ON bodies (draft_ms) WHERE draft_ms IS NOT NULL;
  CREATE TABLE chunks (
    body           INTEGER NOT NULL,
    n              INTEGER NOT NULL,
    bytes          BLOB NOT NULL,
    UNIQUE (body, n)
  ) STRICT;
  CREATE TABLE blobs (
    id             TEXT NOT NULL,                      -- of the session that has it
    digest         TEXT NOT NULL,
    body           INTEGER NOT NULL,
    touched_ms     INTEGER NOT NULL,
    PRIMARY KEY (id, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blobs_by_body ON blobs (body);
  `,
];

/** Makes the tables, or brings those of an older format up to date, in the transaction of its caller. */
export function migrate(connection: Connection, shownFile: string): void {
  const format = connection.pragma("user_version");
  const owner = connection.pragma("application_id");
  const isEmpty = connection.get("SELECT 1 FROM sqlite_master LIMIT 1") === undefined;
  if (!isEmpty && owner !== APPLICATION_ID) {
    throw new AixgoError("BACKEND_UNAVAILABLE", `${shownFile} is a database of another program; name another file`, {
      retryable: false,
    });
  }
  if (typeof format !== "number" || format > STEPS.length) {
    throw new AixgoError(
      "BACKEND_UNAVAILABLE",
      `${shownFile} has format ${String(format)}; this version reads format ${STEPS.length}. Update it`,
      { retryable: false },
    );
  }
  if (format === STEPS.length) return;
  for (const step of STEPS.slice(format)) connection.run(step);
  connection.run(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${STEPS.length}`);
}
