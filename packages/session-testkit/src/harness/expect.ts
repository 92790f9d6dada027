import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { type AixgoError, isAixgoError } from "@aixgo/core";
import type { Appended, Head, SessionBackend } from "@aixgo/session/backend";
import type { LogBuilder } from "./log-builder.ts";
import { verifyLog } from "./verify-log.ts";

const PATIENCE_MS = 10_000;

/** The head of an append that must have been written. */
export function written(answer: Appended): Head {
  assert.ok(
    "head" in answer,
    `the append was answered with a conflict: the head is ${"conflict" in answer ? answer.conflict.seq : "unknown"}`,
  );
  return answer.head;
}

/** The answer to an append that must not have been written. */
export function conflicting(answer: Appended): Extract<Appended, { conflict: Head }> {
  assert.ok("conflict" in answer, `the append was written: the head is ${"head" in answer ? answer.head.seq : "unknown"}`);
  return answer;
}

/** The error of an operation that must be refused with this code, or one of these. */
export async function refused(code: string | readonly string[], operation: () => Promise<unknown>): Promise<AixgoError> {
  const codes = typeof code === "string" ? [code] : code;
  const due = codes.join(" or ");
  let error: unknown;
  try {
    const value = await operation();
    assert.fail(`${due} is due, but it was done (${typeof value})`);
  } catch (thrown) {
    error = thrown;
  }
  if (error instanceof assert.AssertionError) throw error;
  assert.ok(isAixgoError(error), `${due} is due, but this was thrown: ${String(error)}`);
  assert.ok(codes.includes(error.code), `${due} is due, but this was thrown: ${String(error)}`);
  return error;
}

/** An operation that fails as its source of lines did: with that error, or with one that names it as its cause. */
export async function failsWith(cause: Error, operation: Promise<unknown>): Promise<void> {
  await assert.rejects(operation, (error) => {
    assert.ok(
      error === cause || (error instanceof Error && error.cause === cause),
      `the failure of the source is due, but this was thrown: ${String(error)}`,
    );
    return true;
  });
}

/** The store holds what was built, byte for byte, and nothing else. */
export async function holds(backend: SessionBackend, log: LogBuilder): Promise<Head> {
  const { head, lines } = await verifyLog(backend, log.ref);
  assert.equal(lines.length, log.lines.length, "the log has another number of lines than were written");
  for (const [seq, line] of log.lines.entries())
    assert.ok(line.equals(lines[seq] as Buffer), `line ${seq} is not the one that was written`);
  return head;
}

/** Asks until the answer is yes; bounded. */
export async function until(what: string, probe: () => Promise<boolean>, patienceMs: number = PATIENCE_MS): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await probe())) {
    if (performance.now() > end) assert.fail(`waited in vain: ${what}`);
    await pause(5);
  }
}

/** What became of several operations that ran at once: values and errors. */
export async function outcomes<T>(
  operations: readonly Promise<T>[],
): Promise<{ readonly values: readonly T[]; readonly errors: readonly unknown[] }> {
  const settled = await Promise.allSettled(operations);
  return {
    values: settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])),
    errors: settled.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : [])),
  };
}
