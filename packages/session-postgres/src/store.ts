import { AixgoError } from "@aixgo/core";
import type { Head, Ref } from "@aixgo/session/backend";
import { columnText } from "./column-text.ts";
import type { Connections } from "./connection.ts";
import { headOfRow } from "./head-row.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Statements } from "./statements.ts";

/** What every operation works with. */
export interface Store {
  readonly connections: Connections;
  readonly statements: Statements;
  readonly options: ResolvedOptions;
  /** How long a write waits for another transaction's lock: less than the deadline, so that the answer is a sure one. */
  readonly lockMs: number;
}

/** The head of a session. Throws `SESSION_NOT_FOUND`, `SESSION_DELETED`. */
export async function headOf({ connections, statements }: Store, doing: string, id: string): Promise<Head> {
  const [row] = await connections.run({ doing, effect: "read", text: statements.head, values: [columnText(id)] });
  if (typeof row?.["head"] === "string") return headOfRow(row["head"]);
  const [tombstone] = await connections.run({ doing, effect: "read", text: statements.tombstone, values: [columnText(id)] });
  if (tombstone !== undefined) throw new AixgoError("SESSION_DELETED", `${doing}: the session has been deleted`);
  throw new AixgoError("SESSION_NOT_FOUND", `${doing}: there is no such session`);
}

/** The head of this life of a session. Throws `INCARNATION_CHANGED` besides. */
export async function currentHead(store: Store, doing: string, ref: Ref): Promise<Head> {
  const head = await headOf(store, doing, ref.id);
  if (head.incarnation !== ref.incarnation) throw incarnationChanged(doing);
  return head;
}

export function incarnationChanged(doing: string): AixgoError {
  return new AixgoError("INCARNATION_CHANGED", `${doing}: the session has been rewritten since it was opened; open it again`);
}

export function fenced(doing: string, fence: number): AixgoError {
  return new AixgoError("FENCED", `${doing}: the lease with fence ${fence} has been released or taken over`);
}
