import type { CreateRequest, Head, Lease, SessionBackend } from "@aixgo/session/backend";
import { written } from "./expect.ts";
import { createLog, type Draft, type LogBuilder, type LogOptions, namesSync, turn } from "./log-builder.ts";

/** A lease that cannot run out while a case runs. */
export const LONG_MS = 600_000;

/** The request that creates what a builder holds. */
export function creating(log: LogBuilder, onKey?: "get" | "take"): CreateRequest {
  return { ref: log.ref, info: log.info, ...(onKey === undefined ? undefined : { onKey }), lines: () => linesFrom(log.lines) };
}

/** The same, for creates that may be asked to use another id. */
export function creatingAs(options: LogOptions, onKey?: "get" | "take"): CreateRequest & { readonly asked: string[] } {
  const own = createLog(options);
  const asked: string[] = [];
  return {
    ref: own.ref,
    info: own.info,
    ...(onKey === undefined ? undefined : { onKey }),
    asked,
    lines(id) {
      asked.push(id);
      return linesFrom(createLog({ ...options, id, incarnation: own.ref.incarnation }).lines);
    },
  };
}

export async function* linesFrom(lines: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const line of lines) {
    await Promise.resolve();
    yield line;
  }
}

/** Lines that fail before the last one. */
export async function* failingLines(lines: readonly Uint8Array[], error: Error): AsyncGenerator<Uint8Array> {
  yield* linesFrom(lines.slice(0, -1));
  throw error;
}

/** A session in the store, and the builder of its log. */
export async function startSession(
  backend: SessionBackend,
  options: LogOptions & { readonly history?: readonly Draft[] } = {},
): Promise<LogBuilder> {
  const { history = [], ...rest } = options;
  const log = createLog({ sync: namesSync(backend), ...rest });
  for (const draft of history) log.add(draft);
  await backend.create(creating(log));
  return log;
}

/** Appends one batch at the builder's place. */
export async function append(backend: SessionBackend, log: LogBuilder, ...drafts: readonly Draft[]): Promise<Head> {
  const expect = log.position;
  return written(await backend.append(log.ref, { expect, lines: log.add(...drafts) }));
}

/** Takes the lease with the start of a turn. */
export async function takeLease(
  backend: SessionBackend,
  log: LogBuilder,
  {
    fence = 1,
    token = `token-${fence}`,
    ttlMs = LONG_MS,
  }: { readonly fence?: number; readonly token?: string; readonly ttlMs?: number } = {},
): Promise<Pick<Lease, "fence" | "token">> {
  const expect = log.position;
  const lines = log.add(turn("start", fence, expect.seq + 1));
  written(await backend.append(log.ref, { expect, lines, acquire: { fence, token, holder: "kit", ttlMs } }));
  return { fence, token };
}
