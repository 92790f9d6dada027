import { isAixgoError } from "@aixgo/core";
import type { Appended, Head, SessionBackend } from "@aixgo/session/backend";
import { continueLog, createLog, type Draft, type LogBuilder, type LogOptions, message } from "@aixgo/session-testkit";
import { onTestFinished } from "vitest";
import { createRedisBackend, type RedisBackendOptions } from "../../src/index.ts";

let stores = 0;

/** A prefix that no other test uses. */
export function newPrefix(): string {
  stores += 1;
  return `test-${process.pid}-${stores}:`;
}

/** A backend that is closed when its test ends. */
export function opened(options: RedisBackendOptions): SessionBackend {
  const backend = createRedisBackend(options);
  onTestFinished(() => backend.close());
  return backend;
}

export async function started(backend: SessionBackend, options: LogOptions = {}, ...history: readonly Draft[]): Promise<LogBuilder> {
  const log = createLog(options);
  for (const draft of history) log.add(draft);
  await backend.create({
    ref: log.ref,
    info: log.info,
    async *lines() {
      yield* log.lines;
    },
  });
  return log;
}

export async function appended(backend: SessionBackend, log: LogBuilder, ...drafts: readonly Draft[]): Promise<Head> {
  const expect = log.position;
  const answer = await backend.append(log.ref, { expect, lines: log.add(...drafts) });
  if (!("head" in answer)) throw new Error("the append was answered with a conflict");
  return answer.head;
}

/** The keys of a session, as an operator would name them. */
export function keysOf(
  prefix: string,
  { ref: { id } }: LogBuilder,
): { readonly head: string; readonly lines: string; readonly marks: string } {
  return { head: `${prefix}{${id}}:head`, lines: `${prefix}{${id}}:lines`, marks: `${prefix}{${id}}:marks` };
}

/** The code of the error that a call must end with. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (isAixgoError(error)) return error.code;
    throw error;
  }
  return "none";
}

export async function errorOf(call: Promise<unknown>): Promise<Error & { code: string; retryable: boolean }> {
  try {
    await call;
  } catch (error) {
    if (isAixgoError(error)) return error;
    throw error;
  }
  throw new Error("an error is due, and there was none");
}

const PATIENCE_MS = 30_000;

/**
 * Appends one message as the session layer does: the same bytes again after an unknown outcome, anew on the head that a
 * conflict brought, again when the server is away. Answers when the message is there.
 */
export async function surely(backend: SessionBackend, id: string, op: string, patienceMs: number = PATIENCE_MS): Promise<void> {
  const end = performance.now() + patienceMs;
  let head: Head | undefined;
  let sent: Parameters<SessionBackend["append"]>[1] | undefined;
  let unknown = false;
  for (;;) {
    if (performance.now() > end) throw new Error(`${op} could not be appended within ${patienceMs} ms`);
    try {
      head ??= await backend.head(id);
      if (sent === undefined) {
        const log = continueLog(head);
        const expect = log.position;
        sent = { expect, lines: log.add(message(op, { op })) };
      }
      const answer: Appended = await backend.append(head, sent);
      if ("head" in answer) return;
      head = answer.conflict;
      // Its own line may be what is in the way, but only if it was told so: a conflict alone means that nothing was written.
      if (unknown && (await backend.find(head, { op })) !== undefined) return;
      unknown = false;
      sent = undefined;
    } catch (error) {
      if (!isAixgoError(error) || !["OUTCOME_UNKNOWN", "BACKEND_UNAVAILABLE"].includes(error.code)) throw error;
      if (error.code === "OUTCOME_UNKNOWN") unknown = true;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** How often each op is in the log. */
export async function opsOf(backend: SessionBackend, id: string): Promise<ReadonlyMap<string, number>> {
  const ops = new Map<string, number>();
  for await (const page of backend.read(await backend.head(id))) {
    for (const line of Buffer.from(page).toString("utf8").trimEnd().split("\n")) {
      const { op } = JSON.parse(line) as { op?: string };
      if (op !== undefined) ops.set(op, (ops.get(op) ?? 0) + 1);
    }
  }
  return ops;
}
