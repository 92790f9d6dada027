import { isAixgoError } from "@aixgo/core";
import { redactError } from "@aixgo/security";

/** What a span says of an error. */
export interface Failure {
  /** The code of an error of aixgo, else the error's name: few distinct values. */
  readonly type: string;
  /** Redacted; absent where it may quote what users or models wrote. */
  readonly message?: string;
}

/**
 * Codes whose messages are made of names, ids and limits. All others may quote content: what an agent threw, what a caller sent, why a
 * user cancelled.
 */
const SPEAKING: ReadonlySet<string> = new Set([
  "AGENT_NOT_FOUND",
  "AGENT_MISMATCH",
  "INVALID_OPTION",
  "NOT_STARTED",
  "TIMEOUT",
  "OVERLOADED",
  "SESSION_NOT_FOUND",
  "SESSION_DELETED",
  "SESSION_BUSY",
  "TURN_REENTRANT",
  "TURN_KEY_REUSED",
  "TURN_SUSPENDED",
  "TURN_ENDED",
  "VERSION_CONFLICT",
  "FENCED",
  "OP_REUSED",
  "OUTCOME_UNKNOWN",
  "ENTRY_CORRUPT",
  "UNSUPPORTED_ENTRY",
  "INCARNATION_CHANGED",
  "LIMIT_EXCEEDED",
  "BACKEND_CLOSED",
  "BACKEND_UNAVAILABLE",
  "BACKEND_NOT_SHARED",
  "STORE_BUSY",
  "LOCK_UNAVAILABLE",
]);
const TYPE = /^[A-Za-z0-9_.:-]{1,64}$/;
/** What the conventions say where nothing better is known. */
const OTHER = "_OTHER";

export function failureOf(error: unknown, withContent: boolean): Failure {
  const { name, code, message } = redactError(error);
  const isOurs = isAixgoError(error);
  const type = isOurs ? code : name === "Error" ? (code ?? name) : name;
  return {
    type: type !== undefined && TYPE.test(type) ? type : OTHER,
    ...(withContent || (isOurs && SPEAKING.has(error.code)) ? { message } : undefined),
  };
}
