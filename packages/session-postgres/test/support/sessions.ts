import type { CreateRequest, Head, SessionBackend } from "@aixgo/session/backend";
import { createLog, type Draft, type LogBuilder, type LogOptions } from "@aixgo/session-testkit";

/** The request that creates what a builder holds. */
export function creating(log: LogBuilder, onKey?: "get" | "take"): CreateRequest {
  return { ref: log.ref, info: log.info, ...(onKey === undefined ? undefined : { onKey }), lines: () => linesOf(log) };
}

export async function* linesOf(log: LogBuilder): AsyncGenerator<Uint8Array> {
  for (const line of log.lines) yield line;
}

export async function startSession(backend: SessionBackend, options: LogOptions = {}): Promise<LogBuilder> {
  const log = createLog({ sync: true, ...options });
  await backend.create(creating(log));
  return log;
}

export async function append(backend: SessionBackend, log: LogBuilder, ...drafts: readonly Draft[]): Promise<Head> {
  const expect = log.position;
  const answer = await backend.append(log.ref, { expect, lines: log.add(...drafts) });
  if (!("head" in answer)) throw new Error(`the append met a conflict at ${answer.conflict.seq}`);
  return answer.head;
}

/** The code of the error that an operation must end with. */
export async function codeOf(operation: () => Promise<unknown>): Promise<string> {
  return (await errorOf(operation)).code;
}

export async function errorOf(
  operation: () => Promise<unknown>,
): Promise<{ readonly code: string; readonly message: string; readonly retryable: boolean; readonly cause?: unknown }> {
  try {
    await operation();
  } catch (error) {
    return error as { code: string; message: string; retryable: boolean };
  }
  throw new Error("an error is due, but there was none");
}
