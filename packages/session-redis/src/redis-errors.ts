import { AixgoError, isAixgoError, type ErrorCode } from "@aixgo/core";

/** What a command was for: said in messages, and decides what its failure means. */
export interface Purpose {
  /** Such as "append to session 1f…": operation and id. */
  readonly operation: string;
  /** A write whose outcome matters: if it may have been done, that is said. */
  readonly writes: boolean;
}

/** How far a command got. */
export interface Progress {
  /** How often it was written to a connection; a client sends again what a broken one left unanswered. */
  readonly sends: number;
  /** Where it was to go, as it may be shown. */
  readonly endpoint: string;
  /** The last thing that went wrong with the connection, which a flushed command does not say itself. */
  readonly connectionError: Error | undefined;
}

/** The one border: every error of the client or the server becomes an `AixgoError`. */
export function translate(error: unknown, { operation, writes }: Purpose, { sends, endpoint, connectionError }: Progress): AixgoError {
  if (isAixgoError(error)) return error;
  const message = messageOf(error);
  const cause = quiet(error);
  const answered = /^(?:-?[A-Z][A-Z0-9]+) |script/.test(message) && !isConnectionTrouble(message);
  const fail = (code: ErrorCode, text: string, retryable?: boolean): AixgoError =>
    new AixgoError(code, `${operation}: ${text}`, { cause, ...(retryable === undefined ? undefined : { retryable }) });

  const identity = identityTrouble(message) ?? (answered ? undefined : identityTrouble(messageOf(connectionError)));
  if (identity !== undefined) return fail("UNAUTHENTICATED", `the Redis server at ${endpoint} ${identity}`);
  if (message.includes("NOPERM") || message.includes("can't access at least one of the keys")) {
    return fail(
      "PERMISSION_DENIED",
      `the Redis user lacks a right: ${firstSentence(message)}. Grant it (ACL SETUSER); the README lists the least rights`,
    );
  }
  if (message.includes("WRONGTYPE")) return fail("ENTRY_CORRUPT", "one of its keys holds a value of another type; something else wrote it");
  if (/\bOOM\b/.test(message))
    return fail("BACKEND_UNAVAILABLE", "the Redis server has reached its maxmemory; nothing was written. Free memory or raise the limit");
  if (message.includes("READONLY"))
    return fail(
      "BACKEND_UNAVAILABLE",
      `the Redis server at ${endpoint} is a replica and takes no writes; nothing was written. It is promoted, or the address of the master is needed`,
    );
  if (/\bCROSSSLOT\b|cluster support disabled/.test(message) || (/\bMOVED\b/.test(message) && !message.includes("Too many"))) {
    return fail("BACKEND_UNAVAILABLE", "the Redis server belongs to a Cluster: give a Cluster of ioredis as client", false);
  }
  if (/\b(?:LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|NOREPLICAS|UNBLOCKED)\b/.test(message)) {
    return fail(
      "BACKEND_UNAVAILABLE",
      `the Redis server at ${endpoint} is not ready (${firstSentence(message)}); nothing was written. Try again`,
    );
  }
  if (answered) return fail("BACKEND_UNAVAILABLE", `the Redis server at ${endpoint} refused: ${firstSentence(message)}`, false);
  const reason = reasonOf(connectionError) ?? reasonOf(error as Error) ?? "the connection failed";
  // Only a command that has been on its way can have been done.
  if (writes && sends > 0) return unknownOutcome(operation, `the connection to Redis at ${endpoint} was lost (${reason})`, cause);
  return fail(
    "BACKEND_UNAVAILABLE",
    `Redis at ${endpoint} cannot be reached (${reason})${writes ? "; nothing was written" : ""}. Is it running, and is the address right?`,
  );
}

/** A command took longer than it may. It may still be done later. */
export function tooLate({ operation, writes }: Purpose, { endpoint, connectionError }: Progress, timeoutMs: number): AixgoError {
  const reason = reasonOf(connectionError);
  const text = `Redis at ${endpoint} did not answer within ${timeoutMs} ms${reason === undefined ? "" : ` (${reason})`}`;
  return writes ? unknownOutcome(operation, text) : new AixgoError("BACKEND_UNAVAILABLE", `${operation}: ${text}. Try again`);
}

export function unknownOutcome(operation: string, text: string, cause?: Error): AixgoError {
  return new AixgoError(
    "OUTCOME_UNKNOWN",
    `${operation}: ${text}; whether it was done is not known. Send the same again to learn it`,
    cause === undefined ? {} : { cause },
  );
}

export function isMissingScript(error: unknown): boolean {
  return messageOf(error).startsWith("NOSCRIPT");
}

/** A Cluster has moved the slot: the command has not been done. */
export function isRedirect(error: unknown): boolean {
  return /^(?:MOVED|ASK|TRYAGAIN) /.test(messageOf(error));
}

/** Of a Cluster's node that has lost its place, is cut off from most others, or is gone: another has its slots, or will have. */
export function isStaleNode(error: unknown): boolean {
  const message = messageOf(error);
  return /^(?:CLUSTERDOWN|READONLY|MASTERDOWN|LOADING)\b/.test(message) || isConnectionTrouble(message);
}

/**
 * An error fit to be a cause. Those of the client carry the command with its arguments, which are content, and passwords
 * when they come from AUTH or HELLO.
 */
export function quiet(error: unknown): Error {
  const copy = new Error(firstSentence(messageOf(error)));
  if (error instanceof Error) {
    copy.name = error.name;
    const { code } = error as { code?: unknown };
    if (typeof code === "string") Object.defineProperty(copy, "code", { value: code, enumerable: true });
  }
  return copy;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : "";
  // A Cluster that reaches no node says so, and why beside it.
  const { lastNodeError } = error as { lastNodeError?: unknown };
  return lastNodeError instanceof Error ? lastNodeError.message : error.message;
}

function isConnectionTrouble(message: string): boolean {
  return /Connection is closed|max retries per request|Command aborted|Cluster is ended|Stream isn't writeable|ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN|ENOENT|Failed to refresh slots|None of startup nodes|Too many Cluster redirections|All sentinels/i.test(
    message,
  );
}

function identityTrouble(message: string): string | undefined {
  if (message.includes("WRONGPASS")) return "refused the username or password";
  if (/\bNOAUTH\b/.test(message)) return "wants a password, and none was given";
  if (message.includes("invalid password")) return "refused the password";
  return undefined;
}

/** Why a connection failed; text of Node or TLS, which names host and port at most. */
function reasonOf(error: Error | undefined): string | undefined {
  if (error === undefined) return undefined;
  const { code } = error as { code?: unknown };
  const message = messageOf(error);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "its certificate is for another name";
  if (typeof code === "string" && code !== "") return code === "ECONNREFUSED" ? "connection refused" : code;
  return message === "" || message.includes("max retries per request") ? undefined : firstSentence(message);
}

/** Without what a server or the client appends: script digests, line numbers, paths. */
function firstSentence(message: string): string {
  return (message.split(/\. |\n| script: | call to f_/)[0] ?? "").replace(/(?:\/[^\s/:'"]+){2,}/g, "<path>").slice(0, 200);
}
