import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { isAixgoError } from "@aixgo/core";
import type { Append, Head, SessionBackend } from "@aixgo/session/backend";
import { continueLog, message, namesSync } from "./log-builder.ts";

const PATIENCE_MS = 60_000;
const PAUSE_MS = 10;
/** What may succeed when it is tried again as it is. */
export const PASSING: ReadonlySet<string> = new Set(["BACKEND_UNAVAILABLE", "STORE_BUSY", "OUTCOME_UNKNOWN"]);

/** Tries again what may succeed later, and tells of each failure. Bounded. */
export async function patiently<T>(what: string, operation: () => Promise<T>, onFailure?: (code: string) => void): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await operation();
    } catch (error) {
      if (!isAixgoError(error) || !PASSING.has(error.code)) throw error;
      if (performance.now() > end) assert.fail(`${what}: it did not succeed within ${PATIENCE_MS} ms, at last: ${String(error)}`);
      onFailure?.(error.code);
      await pause(PAUSE_MS);
    }
  }
}

/**
 * Appends one message as the session layer does: the same bytes again after an unknown outcome or when the store is away, anew
 * on the head that a conflict brought, unless its own op is what is in the way. Answers with the head that has it.
 */
export async function appendSurely(backend: SessionBackend, known: Head, op: string, { lease }: Pick<Append, "lease"> = {}): Promise<Head> {
  let head = known;
  let isUnknown = false;
  for (;;) {
    const base = head;
    const log = continueLog(base, namesSync(backend));
    const { position: expect } = log;
    const under = lease === undefined ? {} : { turn: 1, fence: lease.fence };
    const lines = log.add(message(op, { op, timestamp: new Date().toISOString(), ...under }));
    const request: Append = { expect, lines, ...(lease === undefined ? {} : { lease }) };
    const answer = await patiently(
      `append ${op}`,
      () => backend.append(base, request),
      (code) => {
        isUnknown ||= code === "OUTCOME_UNKNOWN";
      },
    );
    if ("head" in answer) return answer.head;
    if (isUnknown && (await patiently(`find ${op}`, () => backend.find(base, { op }))) !== undefined) return answer.conflict;
    isUnknown = false;
    head = answer.conflict;
  }
}
