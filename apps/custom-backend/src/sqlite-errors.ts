import { AixgoError, isAixgoError } from "@aixgo/core";

/** What a caller's own code threw, such as the source of a new log's lines: it reaches the caller as it is. */
export class ForeignError extends Error {
  constructor(cause: unknown) {
    super("the source of the lines failed", { cause });
  }
}

/**
 * The one border: errors from below are given the operation they belong to, and those of SQLite become ours. `doing` says what was tried, and on what: "append to session 4f…".
 * SQLite's own message is left out: it may name the path of the file.
 */
export function storeError(error: unknown, doing: string): unknown {
  if (error instanceof ForeignError) return error.cause;
  if (isAixgoError(error)) {
    if (error.message.startsWith(doing)) return error;
    const { code, message, cause, retryable, details } = error;
    return new AixgoError(code, `${doing}: ${message}`, { cause, retryable, ...(details === undefined ? undefined : { details }) });
  }
  const code = sqliteCode(error);
  if (code === undefined) return error;
  const options = { cause: new Error(`SQLite answered ${code}`), details: { sqlite: code } };
  const fail = (ours: string, why: string, retryable?: boolean): AixgoError =>
    new AixgoError(ours, `${doing}: ${why}`, retryable === undefined ? options : { ...options, retryable });
  if (isBusy(error)) return fail("STORE_BUSY", "other processes did not let go of the database in time. Raise busyTimeoutMs, or try later");
  switch (code.split("_", 2).join("_")) {
    case "SQLITE_FULL":
      return fail("BACKEND_UNAVAILABLE", "the disk or the quota is full; nothing was written. Free some space and try again");
    case "SQLITE_READONLY":
    case "SQLITE_PERM":
    case "SQLITE_AUTH":
      return fail(
        "PERMISSION_DENIED",
        "the database cannot be written; nothing was written. Give this user the rights to the file and its folder",
      );
    case "SQLITE_CANTOPEN":
      return fail("BACKEND_UNAVAILABLE", "the database cannot be opened. Look at the rights of its folder and at the limit of open files");
    case "SQLITE_CORRUPT":
    case "SQLITE_CONSTRAINT":
      return fail("ENTRY_CORRUPT", "the database contradicts itself; restore it from a backup");
    case "SQLITE_NOTADB":
      return fail("BACKEND_UNAVAILABLE", "the file is not a database; name another one", false);
    default:
      return fail("BACKEND_UNAVAILABLE", `SQLite answered ${code}; nothing was written`);
  }
}

/** SQLite's name of an error, such as `SQLITE_BUSY_RECOVERY`; undefined if it is none of SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || isAixgoError(error)) return undefined;
  const code: unknown = (error as { code?: unknown }).code;
  if (typeof code === "string" && code.startsWith("SQLITE_")) return code;
  // The driver reports a failure to open in words.
  return error.message.startsWith("ConnectionFailed") ? "SQLITE_CANTOPEN" : undefined;
}

/** Whether another process is in the way, so that the same again may work at once. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED") || code === "SQLITE_PROTOCOL");
}

/** Whether a statement failed on its own and left its transaction as it was. */
export function isStatementError(error: unknown): boolean {
  return sqliteCode(error)?.startsWith("SQLITE_CONSTRAINT") === true;
}

const LOST = /^SQLITE_(?:IOERR|CORRUPT|NOTADB|CANTOPEN)/;

/**
 * Whether the connection is not to be trusted any more: the next call opens another one. A full disk is no reason: the driver frees
 * connections only with the garbage, so giving them up for what may go on for long would use up the descriptors.
 */
export function isConnectionLost(error: unknown): boolean {
  if (!isAixgoError(error)) return LOST.test(sqliteCode(error) ?? "");
  if (error.code !== "OUTCOME_UNKNOWN") return error.code === "BACKEND_UNAVAILABLE";
  const { sqlite } = (error.details ?? {}) as { readonly sqlite?: unknown };
  return typeof sqlite === "string" && LOST.test(sqlite);
}
