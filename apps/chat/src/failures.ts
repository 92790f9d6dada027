import { isAixgoError } from "@aixgo/core";
import { oneLine } from "./printable.ts";

/** What this program can do about it, by code. What happened, and what can be done elsewhere, the message says itself. */
const REMEDIES: Readonly<Record<string, string>> = {
  PERMISSION_DENIED: "Another folder can be named with --session-dir",
  BACKEND_UNAVAILABLE: "Another folder can be named with --session-dir",
  STORE_UNSUPPORTED_FS: "A folder on a local disk can be named with --session-dir",
  LOCK_UNAVAILABLE: "A folder on a local disk can be named with --session-dir",
  STORE_BUSY: "Another process holds the store; try again, or stop that process",
  ENTRY_CORRUPT: "Meanwhile another conversation can be had with another --user or --session-dir",
  UNSUPPORTED_ENTRY: "A newer version wrote this session; update this one",
  SESSION_NOT_FOUND: "Leave --session out to get your own; if it is another user's, name them with --user",
  SESSION_DELETED: "Leave --session out to get your own",
  AGENT_MISMATCH: "Leave --session out to get your own",
  TURN_SUSPENDED: "Another process has just asked a question here; answer it first",
  SESSION_BUSY: "Another process is answering in this session; try again in a moment",
  FENCED: "Try again",
};

const MAX_CAUSES = 8;

/** One line for people: what happened and what to do. */
export function explain(error: unknown): string {
  const message = oneLine(messageOf(error)) || "something went wrong";
  const remedy = isAixgoError(error) ? REMEDIES[error.code] : undefined;
  return remedy ? `${withStop(message)} ${remedy}.` : withStop(message);
}

/** Where it came from: for AIXGO_DEBUG=1. */
export function trace(error: unknown): string {
  const lines: string[] = [];
  for (let each: unknown = error; each instanceof Error && lines.length < MAX_CAUSES; each = each.cause)
    lines.push(each.stack ?? each.message);
  return lines.join("\ncaused by: ");
}

/** The agent's own words say little when a model's server failed: then its cause is the news. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : "";
  if (isAixgoError(error, "AGENT_FAILED") && error.cause instanceof Error && !error.message.includes(error.cause.message)) {
    return `${error.message.replace(/\.$/, "")}: ${error.cause.message}`;
  }
  return error.message;
}

function withStop(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
