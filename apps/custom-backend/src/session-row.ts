import { AixgoError } from "@aixgo/core";
import { assertSafeName } from "@aixgo/security";
import type { Head, Ref } from "@aixgo/session/backend";
import { databaseNow } from "./clock.ts";
import type { Connection, Value } from "./connection.ts";
import { LEASE_COLUMNS, type LeaseRecord, leaseOf, leaseValues, shown } from "./lease.ts";
import { isDeleted } from "./tombstones.ts";
import { quoted } from "./text.ts";

/** A session as it is stored. */
export interface SessionRow {
  /** Where its lines lie. */
  readonly log: number;
  /** The fold over its lines, without what is the store's own. */
  readonly folded: Head;
  /** Highest fence of any lease of this incarnation. */
  readonly fence: number;
  readonly lease: LeaseRecord | undefined;
  readonly keys: Uint8Array | undefined;
  /** Place of its unique key; undefined: it was made without one. */
  readonly slot: string | undefined;
}

/** The row of a session, or undefined if there is none, deleted or not. */
export function findRow(connection: Connection, id: string): SessionRow | undefined {
  const row = connection.get(`SELECT log, head, fence, keys, slot, ${LEASE_COLUMNS} FROM sessions WHERE id = ?`, id);
  if (row === undefined) return undefined;
  const [log, head, fence, keys, slot, ...lease] = row;
  return {
    log: log as number,
    folded: JSON.parse(head as string) as Head,
    fence: fence as number,
    lease: leaseOf(lease),
    keys: keys === null ? undefined : Uint8Array.from(keys as Uint8Array),
    slot: (slot as string | null) ?? undefined,
  };
}

/** Throws `SESSION_NOT_FOUND`, `SESSION_DELETED`. */
export function rowOf(connection: Connection, id: string): SessionRow {
  const row = findRow(connection, id);
  if (row !== undefined) return row;
  if (isDeleted(connection, id, Date.now())) throw new AixgoError("SESSION_DELETED", `session ${id} has been deleted`);
  throw new AixgoError("SESSION_NOT_FOUND", `there is no session ${id}`);
}

/** The row of this life of a session. Throws `INCARNATION_CHANGED` as well. */
export function currentRow(connection: Connection, ref: Ref): SessionRow {
  const row = rowOf(connection, ref.id);
  if (row.folded.incarnation === ref.incarnation) return row;
  throw new AixgoError("INCARNATION_CHANGED", `session ${ref.id} has been rewritten since it was opened; open it again`);
}

/** What callers see: the fold, and beside it what is the store's own. */
export function headOf(connection: Connection, { folded, fence, lease, keys }: SessionRow): Head {
  return {
    ...folded,
    fence: Math.max(folded.fence, fence),
    ...(lease === undefined ? undefined : { lease: shown(lease, databaseNow(connection)) }),
    ...(keys === undefined ? undefined : { keys }),
  };
}

const COLUMNS = [
  "incarnation",
  "log",
  "head",
  "fence",
  "keys",
  "slot",
  ...LEASE_COLUMNS.split(", "),
  "agent",
  "tenant",
  "user",
  "updated_ms",
];
const PUT = `INSERT INTO sessions (id, ${COLUMNS.join(", ")}) VALUES (?, ${COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (id) DO UPDATE SET ${COLUMNS.map((name) => `${name} = excluded.${name}`).join(", ")}`;
/** What an append can change, so that the other indexes are left alone. */
const MOVE = `UPDATE sessions SET head = ?, fence = ?, keys = ?, updated_ms = ?,
  ${LEASE_COLUMNS.split(", ")
    .map((name) => `${name} = ?`)
    .join(", ")} WHERE id = ?`;

/** Writes a new session, or another life of one. */
export function putRow(connection: Connection, row: SessionRow): void {
  const { folded, log, fence, keys, slot, lease } = row;
  const { agentName, tenantId, userId } = folded.info;
  connection.run(
    PUT,
    folded.id,
    folded.incarnation,
    log,
    JSON.stringify(folded),
    fence,
    keys ?? null,
    slot ?? null,
    ...leaseValues(lease),
    quoted(agentName),
    optional(tenantId),
    optional(userId),
    updatedMs(folded),
  );
}

/** Writes what an append has changed: head and lease in one statement. */
export function moveRow(connection: Connection, { folded, fence, keys, lease }: SessionRow): void {
  connection.run(MOVE, JSON.stringify(folded), fence, keys ?? null, updatedMs(folded), ...leaseValues(lease), folded.id);
}

export function putLease(connection: Connection, id: string, lease: LeaseRecord): void {
  const assignments = LEASE_COLUMNS.split(", ")
    .map((name) => `${name} = ?`)
    .join(", ");
  connection.run(`UPDATE sessions SET ${assignments} WHERE id = ?`, ...leaseValues(lease), id);
}

/** Throws `INVALID_INPUT` for what cannot name a session. */
export function assertRef(ref: Ref): void {
  assertSafeName("session id", ref.id);
  if (typeof ref.incarnation !== "string" || ref.incarnation === "")
    throw new AixgoError("INVALID_INPUT", `the incarnation of session ${ref.id} must be a text`);
}

function optional(text: string | undefined): Value {
  return text === undefined ? null : quoted(text);
}

/** Of the last update, in milliseconds since 1970; 0 if the writer's time is none. */
export function updatedMs({ info }: Head): number {
  const time = Date.parse(info.updatedAt);
  return Number.isNaN(time) ? 0 : time;
}
