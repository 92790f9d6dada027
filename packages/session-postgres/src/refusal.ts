import type { Head, Lease, Position, Ref } from "@aixgo/session/backend";
import { columnText, whole } from "./column-text.ts";
import type { Parameter } from "./connection.ts";
import type { Row } from "./pool.ts";
import { headOfRow } from "./head-row.ts";
import { bytesOf } from "./lines.ts";
import { currentHead, incarnationChanged, type Store } from "./store.ts";

/** What stands in the way of a write, as one statement saw it. */
export interface Refusal {
  readonly head: Head;
  /** Whether the head is the expected one. */
  readonly isExpected: boolean;
  /** All lines since the expected version, or none: a part would let a caller believe that its lines are not there. */
  readonly since?: Uint8Array;
  /** Whether the lease is held as given. */
  readonly isHeld: boolean;
}

/** Parameters of the statement. `claimMs` above 0: the row is taken first, and held until the transaction ends, or for so long. */
export function refusalValues(
  ref: Ref,
  expect: Position,
  lease: Pick<Lease, "fence" | "token"> | undefined,
  claimMs: number,
  lockMs: number,
): Parameter[] {
  const { fence = -1, token = "" } = lease ?? {};
  return [
    columnText(ref.id),
    columnText(ref.incarnation),
    whole(expect.seq),
    columnText(expect.hash),
    whole(fence),
    columnText(token),
    claimMs,
    lockMs,
  ];
}

/** Throws `SESSION_NOT_FOUND`, `SESSION_DELETED`, `INCARNATION_CHANGED`. */
export async function refusalOfRow(store: Store, doing: string, ref: Ref, expect: Position, row: Row | undefined): Promise<Refusal> {
  if (typeof row?.["head"] !== "string") {
    await currentHead(store, doing, ref);
    // Created between the two statements.
    throw incarnationChanged(doing);
  }
  const head = headOfRow(row["head"]);
  if (head.incarnation !== ref.incarnation) throw incarnationChanged(doing);
  const since = row["since"];
  return {
    head,
    isExpected: head.seq === expect.seq && head.hash === expect.hash,
    isHeld: row["held"] === true,
    ...(since === null ? undefined : { since: Uint8Array.from(bytesOf(since)) }),
  };
}

export async function readRefusal(
  store: Store,
  doing: string,
  ref: Ref,
  expect: Position,
  lease?: Pick<Lease, "fence" | "token">,
): Promise<Refusal> {
  const { connections, statements, lockMs } = store;
  const [row] = await connections.run({
    doing,
    effect: "read",
    text: statements.refusal,
    values: refusalValues(ref, expect, lease, 0, lockMs),
  });
  return refusalOfRow(store, doing, ref, expect, row);
}

/** The answer to a caller whose version is not the head's. */
export function conflictOf({ head, since }: Refusal): { readonly conflict: Head; readonly since?: Uint8Array } {
  return { conflict: head, ...(since === undefined ? undefined : { since }) };
}
