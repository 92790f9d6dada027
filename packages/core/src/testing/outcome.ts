import assert from "node:assert/strict";
import { type AixgoError, type ErrorCode, isAixgoError } from "../errors.ts";

/** The error that a promise rejects with: of ours and, where one is given, of that code. */
export async function rejection(promise: Promise<unknown>, code?: ErrorCode): Promise<AixgoError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return checked(error, code);
  }
  assert.fail(`expected ${code ?? "a rejection"}, got ${JSON.stringify(value)}`);
}

/** The error that `make` throws at once. */
export function thrown(make: () => unknown, code: ErrorCode): AixgoError {
  let value: unknown;
  try {
    value = make();
  } catch (error) {
    return checked(error, code);
  }
  assert.fail(`expected ${code}, got ${typeof value}`);
}

export async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function checked(error: unknown, code: ErrorCode | undefined): AixgoError {
  assert.ok(isAixgoError(error), `not an error of ours: ${String(error)}`);
  if (code !== undefined) assert.equal(error.code, code, error.message);
  return error;
}
