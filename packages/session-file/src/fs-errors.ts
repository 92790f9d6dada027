import { AixgoError, isAixgoError } from "@aixgo/core";

/**
 * The one border where errors of the file system become ours. `doing` says what was tried, and on what: "append to session 4f…".
 * The cause keeps the system call and its code, but not the message, which would name absolute paths.
 */
export function storeError(error: unknown, doing: string, outcome = "nothing was written"): AixgoError {
  if (isAixgoError(error)) return error;
  const code = codeOf(error) ?? "an unknown error";
  const options = { cause: bare(error, code), details: { errno: code } };
  switch (code) {
    case "EACCES":
    case "EPERM":
      return new AixgoError(
        "PERMISSION_DENIED",
        `${doing}: the file system denies access (${code}); ${outcome}. Give this user the rights to the session folder`,
        options,
      );
    case "EROFS":
      return new AixgoError("PERMISSION_DENIED", `${doing}: the file system is read-only; ${outcome}`, options);
    case "ELOOP":
      return new AixgoError(
        "PERMISSION_DENIED",
        `${doing}: a symbolic link stands where a file of the store is due; ${outcome}. Remove it`,
        options,
      );
    case "ENOSPC":
    case "EDQUOT":
      return new AixgoError(
        "BACKEND_UNAVAILABLE",
        `${doing}: the disk or the quota is full (${code}); ${outcome}. Free some space and try again`,
        // Told at once: no waiting helps before somebody has done that.
        { ...options, retryable: false },
      );
    case "EFBIG":
      return new AixgoError(
        "BACKEND_UNAVAILABLE",
        `${doing}: the file may not grow further (${code}); ${outcome}. Raise the file size limit`,
        { ...options, retryable: false },
      );
    case "EMFILE":
    case "ENFILE":
      return new AixgoError(
        "BACKEND_UNAVAILABLE",
        `${doing}: no file descriptor is free (${code}); ${outcome}. Raise the limit of open files`,
        options,
      );
    case "ENOTDIR":
    case "EISDIR":
      return new AixgoError(
        "BACKEND_UNAVAILABLE",
        `${doing}: something else stands where a file or folder of the store is due (${code}); ${outcome}`,
        { ...options, retryable: false },
      );
    default:
      return new AixgoError("BACKEND_UNAVAILABLE", `${doing} failed with ${code}: ${outcome}`, options);
  }
}

const foreign = new WeakSet<object>();

/** Marks what a caller's own code threw, such as the source of a new log's lines: it reaches the caller as it is. */
export function markForeign(error: unknown): unknown {
  if (typeof error === "object" && error !== null) foreign.add(error);
  return error;
}

/** Whether an error is neither ours nor the file system's. */
export function isForeign(error: unknown): boolean {
  return typeof error !== "object" || error === null || foreign.has(error) || (!isAixgoError(error) && codeOf(error) === undefined);
}

/** The system's code of an error (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

function bare(error: unknown, code: string): Error {
  const call = (error as { syscall?: unknown }).syscall;
  return Object.assign(new Error(`${typeof call === "string" ? call : "system call"}: ${code}`), { code });
}
