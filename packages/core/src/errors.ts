import type { Json } from "./message.ts";

/**
 * Every code that aixgo raises. Codes are stable: match on them, never on messages.
 * A plugin may add its own; the trailing member keeps the union open.
 */
export type ErrorCode =
  | "AGENT_NOT_FOUND"
  | "AGENT_EXISTS"
  | "AGENT_FAILED"
  | "AGENT_MISMATCH"
  | "INVALID_OPTION"
  | "INVALID_INPUT"
  | "NOT_STARTED"
  | "TIMEOUT"
  | "CANCELLED"
  | "OVERLOADED"
  | "BROADCAST_INCOMPLETE"
  | "SESSION_NOT_FOUND"
  | "SESSION_DELETED"
  | "SESSION_BUSY"
  | "TURN_REENTRANT"
  | "TURN_KEY_REUSED"
  | "TURN_SUSPENDED"
  | "TURN_ENDED"
  | "KEY_EXISTS"
  | "ENTRY_NOT_FOUND"
  | "VERSION_CONFLICT"
  | "FENCED"
  | "OP_REUSED"
  | "OUTCOME_UNKNOWN"
  | "ENTRY_CORRUPT"
  | "UNSUPPORTED_ENTRY"
  | "INCARNATION_CHANGED"
  | "LOG_DIVERGED"
  | "LIMIT_EXCEEDED"
  | "BACKEND_CLOSED"
  | "BACKEND_UNAVAILABLE"
  | "BACKEND_NOT_SHARED"
  | "STORE_BUSY"
  | "STORE_UNSUPPORTED_FS"
  | "LOCK_UNAVAILABLE"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | (string & {});

export interface AixgoErrorOptions {
  readonly cause?: unknown;
  /** Facts for programs: ids, positions, limits. Never content, never a secret. */
  readonly details?: Json;
  /** Overrides what the code alone would say. */
  readonly retryable?: boolean;
}

/** Codes for which the same call may succeed later without a change by the caller. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "TIMEOUT",
  "OVERLOADED",
  "SESSION_BUSY",
  "STORE_BUSY",
  "BACKEND_UNAVAILABLE",
  "FENCED",
  "OUTCOME_UNKNOWN",
]);

/** Found by `isAixgoError` across two installed copies of this package, where `instanceof` fails. */
const BRAND = Symbol.for("aixgo.error");

/** The one error class of aixgo. A message names the operation and the id, never a secret and never an absolute path. */
export class AixgoError extends Error {
  override readonly name = "AixgoError";
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;
  readonly details?: Json;

  constructor(code: ErrorCode, message: string, options: AixgoErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
    if (options.details !== undefined) this.details = options.details;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** Whether `error` is an aixgo error, of that code if one is given. */
export function isAixgoError(error: unknown, code?: ErrorCode): error is AixgoError {
  try {
    return (
      error instanceof Error &&
      (error as { [BRAND]?: unknown })[BRAND] === true &&
      (code === undefined || (error as AixgoError).code === code)
    );
  } catch {
    // Foreign code may throw a proxy whose traps throw.
    return false;
  }
}
