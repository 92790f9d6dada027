import { isAixgoError } from "./errors.ts";

/** What a client of ours may be told of a failed call. */
export interface PublicError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** What each code means to whoever waits for an answer. An error's own message may quote what an agent threw, and that may hold a secret. */
const TEXTS: { readonly [code: string]: string } = {
  AGENT_FAILED: "the agent failed",
  AGENT_NOT_FOUND: "there is no agent of that name",
  AGENT_MISMATCH: "the session belongs to another agent",
  BACKEND_UNAVAILABLE: "the store cannot be reached, try again later",
  CANCELLED: "the call was cancelled",
  INVALID_INPUT: "the message is not valid",
  INVALID_OPTION: "the call was made with an option that does not fit",
  LIMIT_EXCEEDED: "a limit was exceeded",
  NOT_STARTED: "the agent does not take calls now",
  OVERLOADED: "too many calls are waiting, try again later",
  PERMISSION_DENIED: "this is not allowed",
  SESSION_BUSY: "the session is busy, try again later",
  SESSION_DELETED: "the session was deleted",
  SESSION_NOT_FOUND: "there is no such session",
  TIMEOUT: "there was no answer in time",
  TURN_SUSPENDED: "the session waits for a decision",
  UNAUTHENTICATED: "the caller is not known",
};
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** The code, and a text of ours for it: nothing of what was thrown. */
export function publicError(error: unknown): PublicError {
  const ours = isAixgoError(error) && CODE.test(error.code) ? error : undefined;
  const code = ours?.code ?? "AGENT_FAILED";
  return {
    code,
    message: Object.hasOwn(TEXTS, code) ? (TEXTS[code] as string) : "the call failed",
    retryable: ours?.retryable ?? false,
  };
}
