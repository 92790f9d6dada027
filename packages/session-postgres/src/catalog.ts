import { type ListQuery, listQuery, type Page, type SessionInfo, type SessionQuery } from "@aixgo/session/backend";
import { arrayLiteral, columnText, textOfColumn, whole } from "./column-text.ts";
import type { Parameter } from "./connection.ts";
import { infoOfRow } from "./head-row.ts";
import { labelOf } from "./labels.ts";
import type { Store } from "./store.ts";

const COLUMNS = { agentName: "agent_name", tenantId: "tenant_id", userId: "user_id" } as const;

/** One page: filters, then order, then the page, all in one statement on the indexes. */
export async function listSessions({ connections, statements, options }: Store, query: SessionQuery): Promise<Page<SessionInfo>> {
  const checked = listQuery(query, options.capabilities, "number");
  const { conditions, values } = conditionsOf(checked);
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  const order = checked.order === "id" ? "id" : "listed_ms DESC, id";
  // One more than the page holds tells whether another page follows.
  const text = `${statements.list}${where} ORDER BY ${order} LIMIT ${checked.limit + 1}`;
  const rows = await connections.run({ doing: "list sessions", effect: "read", text, values });
  const items = rows.slice(0, checked.limit).map((row) => infoOfRow(row));
  const last = rows[checked.limit - 1];
  if (last === undefined || rows.length <= checked.limit) return { items };
  return { items, nextCursor: checked.cursor({ id: textOfColumn(String(last["id"])), rank: Number(last["place"]) }) };
}

function conditionsOf({ filters, metadata, updatedAfter, updatedBefore, order, after }: ListQuery<number>): {
  readonly conditions: readonly string[];
  readonly values: readonly Parameter[];
} {
  const values: Parameter[] = [];
  const parameter = (value: Parameter): string => `$${values.push(value)}`;
  const conditions = Object.entries(filters).map(
    ([name, value]) => `${COLUMNS[name as keyof typeof COLUMNS]} = ${parameter(columnText(value))}`,
  );
  const labels = metadata.map(([key, value]) => labelOf(key, value));
  if (labels.length > 0) conditions.push(`labels @> ${parameter(arrayLiteral(labels))}::bytea[]`);
  // The coarse time is never after the exact one: it narrows what the index yields, the exact one decides.
  if (updatedAfter !== undefined)
    conditions.push(`updated_ms > ${parameter(updatedAfter)}::bigint AND listed_ms > ${parameter(updatedAfter - COARSE_MS)}::bigint`);
  if (updatedBefore !== undefined)
    conditions.push(`updated_ms < ${parameter(updatedBefore)}::bigint AND listed_ms < ${parameter(updatedBefore)}::bigint`);
  if (after !== undefined && order === "id") conditions.push(`id > ${parameter(columnText(after.id))}`);
  if (after !== undefined && order === "updated") {
    const place = parameter(whole(after.rank));
    conditions.push(`listed_ms <= ${place}::bigint AND (listed_ms < ${place}::bigint OR id > ${parameter(columnText(after.id))})`);
  }
  return { conditions, values };
}

/** How far the coarse time of update may lie behind the exact one. */
const COARSE_MS = 10_000;
