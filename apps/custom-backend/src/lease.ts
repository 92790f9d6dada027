import { AixgoError } from "@aixgo/core";
import type { Append, Lease } from "@aixgo/session/backend";
import { quoted } from "./text.ts";
import type { Row, Value } from "./connection.ts";

/** The lease columns of a session's row, in their order. */
export const LEASE_COLUMNS = "lease_fence, lease_token, lease_holder, lease_since, lease_until, lease_cancel";

/** How far the host's clock may be set back before leases that were taken "later" count as expired. */
const CLOCK_SLACK_MS = 60_000;
const MAX_TTL_MS = 86_400_000;
const MAX_TEXT = 1024;

/** A lease as it is stored: by the database's clock, which all processes that share it have in common. */
export interface LeaseRecord {
  readonly fence: number;
  readonly token: string;
  readonly holder: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly cancelRequested?: string;
}

export function leaseOf(columns: Row): LeaseRecord | undefined {
  const [fence, token, holder, sinceMs, untilMs, cancel] = columns;
  if (fence === null || fence === undefined) return undefined;
  return {
    fence: fence as number,
    token: JSON.parse(token as string),
    holder: JSON.parse(holder as string),
    sinceMs: sinceMs as number,
    untilMs: untilMs as number,
    ...(cancel === null ? undefined : { cancelRequested: JSON.parse(cancel as string) as string }),
  };
}

export function leaseValues(record: LeaseRecord | undefined): Value[] {
  if (record === undefined) return [null, null, null, null, null, null];
  const { fence, token, holder, sinceMs, untilMs, cancelRequested } = record;
  return [fence, quoted(token), quoted(holder), sinceMs, untilMs, cancelRequested === undefined ? null : quoted(cancelRequested)];
}

export function taken({ fence, token, holder, ttlMs }: NonNullable<Append["acquire"]>, nowMs: number): LeaseRecord {
  return { fence, token, holder, sinceMs: nowMs, untilMs: nowMs + Math.ceil(ttlMs) };
}

export function prolonged(record: LeaseRecord, ttlMs: number, nowMs: number): LeaseRecord {
  return { ...record, sinceMs: nowMs, untilMs: nowMs + Math.ceil(ttlMs) };
}

/** Zero or less: expired. */
export function remainingMs({ sinceMs, untilMs }: LeaseRecord, nowMs: number): number {
  return sinceMs - nowMs > CLOCK_SLACK_MS ? 0 : untilMs - nowMs;
}

export function isLive(record: LeaseRecord | undefined, nowMs: number): record is LeaseRecord {
  return record !== undefined && remainingMs(record, nowMs) > 0;
}

/** The record that a caller says it holds. Throws `FENCED`. */
export function held(record: LeaseRecord | undefined, claim: Pick<Lease, "fence" | "token">, id: string): LeaseRecord {
  if (record !== undefined && record.fence === claim.fence && record.token === claim.token) return record;
  throw new AixgoError("FENCED", `the lease of session ${id} with fence ${claim.fence} has been released or taken over`);
}

/** What everybody may see of it. */
export function shown(record: LeaseRecord, nowMs: number): Omit<Lease, "token"> {
  const { fence, holder, cancelRequested } = record;
  return { fence, holder, expiresInMs: remainingMs(record, nowMs), ...(cancelRequested === undefined ? undefined : { cancelRequested }) };
}

/** Throws `INVALID_INPUT` for what cannot be a lease. */
export function assertLease(id: string, { fence, token, holder, ttlMs }: NonNullable<Append["acquire"]>): void {
  if (!Number.isSafeInteger(fence)) throw new AixgoError("INVALID_INPUT", `the fence of a lease of session ${id} must be a whole number`);
  assertText(`the token of a lease of session ${id}`, token);
  assertText(`the holder of a lease of session ${id}`, holder);
  assertTtl(id, ttlMs);
}

export function assertTtl(id: string, ttlMs: number): void {
  if (!(ttlMs > 0 && ttlMs <= MAX_TTL_MS))
    throw new AixgoError("INVALID_INPUT", `ttlMs of a lease of session ${id} must be above 0 and at most ${MAX_TTL_MS}`);
}

export function assertText(name: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value.length > MAX_TEXT)
    throw new AixgoError("INVALID_INPUT", `${name} must be a text of at most ${MAX_TEXT} characters`);
}
