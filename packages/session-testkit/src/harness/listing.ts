import assert from "node:assert/strict";
import type { SessionBackend, SessionInfo, SessionQuery } from "@aixgo/session/backend";
import type { LogBuilder } from "./log-builder.ts";
import { startSession } from "./start-session.ts";

/** When the first of `sessions` begins. */
export const START: number = Date.UTC(2026, 2, 1);
export const MINUTE = 60_000;
const MAX_PAGES = 500;

/** A time in the life of `sessions`. */
export function at(minute: number): string {
  return new Date(START + minute * MINUTE).toISOString();
}

/** Sessions whose last updates are a minute apart, the last one the newest. */
export async function sessions(backend: SessionBackend, options: readonly Parameters<typeof startSession>[1][]): Promise<LogBuilder[]> {
  const logs: LogBuilder[] = [];
  for (const [i, one] of options.entries()) logs.push(await startSession(backend, { startedAt: START + i * MINUTE, ...one }));
  return logs;
}

export function idsOf(logs: readonly LogBuilder[]): string[] {
  return logs.map((log) => log.ref.id);
}

/** All pages of a query, one after the other; `between` runs after each. */
export async function pages(
  backend: SessionBackend,
  query: SessionQuery,
  between?: (page: readonly SessionInfo[]) => Promise<void>,
): Promise<SessionInfo[][]> {
  const all: SessionInfo[][] = [];
  let cursor: string | undefined;
  do {
    assert.ok(all.length < MAX_PAGES, "the pages do not end");
    const page = await backend.list({ ...query, ...(cursor === undefined ? undefined : { cursor }) });
    assert.ok(page.items.length <= (query.limit ?? 50), "a page is longer than its limit");
    assert.ok(page.nextCursor === undefined || page.items.length > 0, "a page is empty, but others are to follow");
    all.push([...page.items]);
    cursor = page.nextCursor;
    await between?.(page.items);
  } while (cursor !== undefined);
  return all;
}

/** Ids of all that a query finds, in its order. */
export async function listed(backend: SessionBackend, query: SessionQuery): Promise<string[]> {
  return (await pages(backend, query)).flat().map(({ id }) => id);
}
