import { AixgoError } from "@aixgo/core";
import type { Connection } from "./connection.ts";
import { openDatabase } from "./database.ts";
import type { ResolvedOptions } from "./options.ts";
import { patiently } from "./patience.ts";
import { isConnectionLost, storeError } from "./sqlite-errors.ts";
import { createWriteQueue } from "./write-queue.ts";

/** The way to the database: opened by the first call, and again after it failed. */
export interface Store {
  /** All that `job` reads is of one moment; acknowledged writes are seen. */
  read<T>(doing: string, job: (connection: Connection) => T): Promise<T>;
  /** Resolves when what `job` wrote is as durable as the options say. If `job` throws, nothing of it is written. */
  write<T>(doing: string, job: (connection: Connection) => T): Promise<T>;
  /** Leaves no copies of deleted bytes behind, as far as readers of other processes allow. */
  emptyWriteAheadLog(doing: string): Promise<void>;
  /** A copy of a line that fits into this store. Throws `LIMIT_EXCEEDED`. */
  accept(doing: string, line: Uint8Array): Uint8Array;
  /** Throws `BACKEND_CLOSED`. */
  ready(doing: string): void;
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>;
}

export function createStore(options: ResolvedOptions): Store {
  const { busyTimeoutMs, maxLineBytes } = options;
  let opened: Connection | undefined;
  let closing: Promise<void> | undefined;
  let isClosed = false;
  const queue = createWriteQueue(busyTimeoutMs, connect, disconnect);

  function connect(): Connection {
    if (isClosed) throw closed();
    return (opened ??= openDatabase(options));
  }

  function disconnect(): void {
    opened?.close();
    opened = undefined;
  }

  return {
    ready(doing) {
      if (closing !== undefined) throw storeError(closed(), doing);
    },
    async read(doing, job) {
      try {
        return await patiently(busyTimeoutMs, () => {
          const connection = connect();
          return connection.reading(() => job(connection));
        });
      } catch (error) {
        if (isConnectionLost(error)) disconnect();
        throw storeError(error, doing);
      }
    },
    async write(doing, job) {
      try {
        if (closing !== undefined) throw closed();
        return await queue.push(job);
      } catch (error) {
        throw storeError(error, doing);
      }
    },
    async emptyWriteAheadLog(doing) {
      try {
        await queue.drained();
        await patiently(busyTimeoutMs, () => connect().truncateLog());
      } catch (error) {
        throw storeError(error, doing);
      }
    },
    accept(doing, line) {
      if (!(line instanceof Uint8Array)) throw new AixgoError("INVALID_INPUT", `${doing}: a line is not given as bytes`);
      if (line.length <= maxLineBytes) return Uint8Array.from(line);
      throw new AixgoError("LIMIT_EXCEEDED", `${doing}: a line has ${line.length} bytes; this store takes ${maxLineBytes}`, {
        details: { bytes: line.length, maxLineBytes },
      });
    },
    close() {
      // What was called before still gets its connection.
      return (closing ??= queue.drained().then(() => {
        isClosed = true;
        disconnect();
      }));
    },
  };
}

function closed(): AixgoError {
  return new AixgoError("BACKEND_CLOSED", "this SQLite backend has been closed");
}
