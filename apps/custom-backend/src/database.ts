import { AixgoError } from "@aixgo/core";
import { connect, type Connection } from "./connection.ts";
import { makeDatabaseFile } from "./database-file.ts";
import { removeAbandonedBodies } from "./blob-rows.ts";
import { removeAbandonedLogs } from "./logs.ts";
import { declareMetadata } from "./metadata-index.ts";
import type { ResolvedOptions } from "./options.ts";
import { migrate } from "./schema.ts";

/** Opens the database, makes it if there is none, and brings it up to date. Never waits: `SQLITE_BUSY` is for the caller. */
export function openDatabase(options: ResolvedOptions): Connection {
  makeDatabaseFile(options.file, options.shownFile);
  const connection = connect(options);
  try {
    if (connection.get("PRAGMA journal_mode = WAL")?.[0] !== "wal")
      throw new AixgoError("STORE_UNSUPPORTED_FS", `${options.shownFile} must lie on a local disk, for SQLite's WAL`);
    // FULL syncs the log at each commit; NORMAL leaves that to the operating system. Deleted content is overwritten.
    connection.run(`PRAGMA synchronous = ${options.durability === "disk" ? "FULL" : "NORMAL"}; PRAGMA secure_delete = ON`);
    // macOS tells the disk itself to write only when asked in this way.
    if (options.durability === "disk") connection.run("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
    connection.writing(() => {
      migrate(connection, options.shownFile);
      declareMetadata(connection, options.indexedMetadata);
      removeAbandonedLogs(connection);
      removeAbandonedBodies(connection);
    });
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}
