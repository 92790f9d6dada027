import type { Head, SessionInfo } from "@aixgo/session/backend";
import { textOfColumn } from "./column-text.ts";

/** Columns that make the info of a session: texts as columns hold them, numbers as texts where a driver could round them. */
interface InfoRow {
  readonly id: string;
  readonly seq: number | string;
  readonly messages: number | string;
  readonly agent_name: string;
  readonly tenant_id: string | null;
  readonly user_id: string | null;
  readonly key: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly metadata: string;
}

/** The type `head`, as JSON. */
interface HeadRow extends InfoRow {
  readonly incarnation: string;
  readonly seq: number;
  readonly hash: string;
  readonly head_seq: number;
  readonly fence: number;
  readonly bytes: number;
  readonly unsupported: string | null;
  readonly lease_fence: number | null;
  readonly lease_holder: string;
  readonly lease_ms: number;
  readonly cancel_requested: string | null;
  readonly wrapped_keys: string | null;
}

export function headOfRow(json: unknown): Head {
  const row = JSON.parse(String(json)) as HeadRow;
  const { unsupported, wrapped_keys: keys } = row;
  return {
    id: textOfColumn(row.id),
    incarnation: textOfColumn(row.incarnation),
    seq: row.seq,
    hash: textOfColumn(row.hash),
    headSeq: row.head_seq,
    fence: row.fence,
    bytes: row.bytes,
    info: infoOfRow(row),
    ...(unsupported === null ? undefined : { unsupported: textOfColumn(unsupported) }),
    ...(row.lease_fence === null ? undefined : { lease: leaseOfRow(row, row.lease_fence) }),
    ...(keys === null ? undefined : { keys: Uint8Array.from(Buffer.from(keys, "hex")) }),
  };
}

function leaseOfRow(
  { lease_holder: holder, lease_ms: left, cancel_requested: cancel }: HeadRow,
  fence: number,
): NonNullable<Head["lease"]> {
  return {
    fence,
    holder: textOfColumn(holder),
    expiresInMs: Math.ceil(left),
    ...(cancel === null ? undefined : { cancelRequested: textOfColumn(cancel) }),
  };
}

/** @param value a row with the columns of `InfoRow` */
export function infoOfRow(value: object): SessionInfo {
  const row = value as InfoRow;
  const { tenant_id: tenantId, user_id: userId, key } = row;
  return {
    id: textOfColumn(row.id),
    agentName: textOfColumn(row.agent_name),
    ...(userId === null ? undefined : { userId: textOfColumn(userId) }),
    ...(tenantId === null ? undefined : { tenantId: textOfColumn(tenantId) }),
    ...(key === null ? undefined : { key: textOfColumn(key) }),
    version: Number(row.seq),
    messageCount: Number(row.messages),
    createdAt: textOfColumn(row.created_at),
    updatedAt: textOfColumn(row.updated_at),
    metadata: JSON.parse(row.metadata) as SessionInfo["metadata"],
  };
}
