import { AixgoError } from "@aixgo/core";
import { type Append, type Appended, fold, type Head, type Position } from "@aixgo/session/backend";
import { databaseNow } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { assertLease, held, isLive, taken } from "./lease.ts";
import { insertLines, linesSince } from "./log-lines.ts";
import { indexMetadata } from "./metadata-index.ts";
import { headOf, moveRow, type SessionRow } from "./session-row.ts";

/** Checks in the order of the contract and writes lines, head and lease, in the transaction of its caller. */
export function append(connection: Connection, row: SessionRow, { expect, lines, acquire, lease, release, keys }: Append): Appended {
  const now = databaseNow(connection);
  const { folded } = row;
  if (folded.seq !== expect.seq || folded.hash !== expect.hash) return conflict(connection, row, expect);
  if (acquire !== undefined && (isLive(row.lease, now) || acquire.fence !== Math.max(row.fence, folded.fence) + 1))
    return conflict(connection, row, expect);
  if (lease !== undefined) held(row.lease, lease, folded.id);
  const next: SessionRow = {
    ...row,
    folded: lines.reduce<Head>(fold, folded),
    fence: Math.max(row.fence, acquire?.fence ?? 0),
    lease: acquire !== undefined ? taken(acquire, now) : release === true ? undefined : row.lease,
    keys: keys ?? row.keys,
  };
  insertLines(connection, row.log, lines);
  moveRow(connection, next);
  indexMetadata(connection, next.folded, folded);
  return { head: headOf(connection, next) };
}

export function conflict(connection: Connection, row: SessionRow, expect: Position): Appended {
  const since = linesSince(connection, row, expect);
  return { conflict: headOf(connection, row), ...(since === undefined ? undefined : { since }) };
}

/** Throws `INVALID_INPUT`. */
export function assertAppend(id: string, { lines, acquire, lease, release }: Append): void {
  const invalid = (rule: string): AixgoError => new AixgoError("INVALID_INPUT", `append to session ${id}: ${rule}`);
  if (!Array.isArray(lines) || lines.length === 0) throw invalid("there are no lines");
  if (acquire !== undefined && (lease !== undefined || release === true))
    throw invalid("a lease is taken, used or released, one at a time");
  if (release === true && lease === undefined) throw invalid("the lease to be released is not given");
  if (acquire !== undefined) assertLease(id, acquire);
}
