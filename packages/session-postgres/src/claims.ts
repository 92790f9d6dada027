import type { Lease, Position, Ref } from "@aixgo/session/backend";
import type { Held } from "./connection.ts";
import type { Row } from "./pool.ts";
import { headOfRow } from "./head-row.ts";
import { type Refusal, refusalOfRow, refusalValues } from "./refusal.ts";
import type { Store } from "./store.ts";

/** How long a claim waits for the append that it is for. */
const CLAIM_MS = 25;
/** The server ends a claim itself if this process is stopped in the middle of it. */
const STOPPED_MS = 1000;
/** A conflict so soon after another one: many write. */
const CONTENDED_MS = 1000;
/** Sessions that met a conflict. More than are ever contended at once. */
const MAX_CONTENDED = 1000;

/**
 * Turns among many writers of one session. Whoever meets a second conflict within a second reads the new head under the row's lock,
 * in a transaction that stays open for the append that is built on this head: nobody else comes between. Waiting writers get
 * the lock in their order. Without it the unlucky one of eight writers waited for seconds.
 */
export interface Claims {
  /** The transaction that holds a session's row for the next append, if there is one; who takes it ends it. */
  take(id: string): Held | undefined;
  /** An append met a newer head. */
  conflicted(id: string): void;
  /** What refused an append, read under the row's lock if the session is contended; the lock stays if that is a newer head. */
  claim(doing: string, ref: Ref, expect: Position, lease: Pick<Lease, "fence" | "token"> | undefined): Promise<Refusal | undefined>;
  /** Ends all that are open. */
  end(): Promise<void>;
}

interface Claim {
  readonly held: Held;
  readonly timer: NodeJS.Timeout;
}

export function createClaims(store: Store): Claims {
  const { connections, statements, lockMs } = store;
  const conflictedAt = new Map<string, number>();
  const open = new Map<string, Claim>();
  const ending = new Set<Promise<void>>();

  function take(id: string): Held | undefined {
    const claim = open.get(id);
    if (claim === undefined) return undefined;
    clearTimeout(claim.timer);
    open.delete(id);
    return claim.held;
  }

  function giveUp(id: string): void {
    const held = take(id);
    if (held === undefined) return;
    const ended = held.end("ROLLBACK").finally(() => ending.delete(ended));
    ending.add(ended);
  }

  return {
    take,
    conflicted(id) {
      if (conflictedAt.size >= MAX_CONTENDED) conflictedAt.clear();
      conflictedAt.set(id, performance.now());
    },
    async claim(doing, ref, expect, lease) {
      if (performance.now() - (conflictedAt.get(ref.id) ?? Number.NEGATIVE_INFINITY) > CONTENDED_MS) return undefined;
      // Another append of this process has the row already.
      if (open.has(ref.id)) return undefined;
      const held = await connections.hold(doing);
      let row: Row | undefined;
      let isKept = false;
      try {
        [row] = await held.query(statements.refusal, refusalValues(ref, expect, lease, STOPPED_MS, lockMs), "read");
        // Only a newer head is worth a turn: a lease that is live stays so.
        isKept = isNewerHead(row, ref, expect) && !open.has(ref.id);
        if (isKept) open.set(ref.id, { held, timer: setTimeout(giveUp, CLAIM_MS, ref.id) });
      } finally {
        if (!isKept) await held.end("ROLLBACK");
      }
      // It may ask the server once more, for which the connection must be free.
      return refusalOfRow(store, doing, ref, expect, row);
    },
    async end() {
      for (const id of open.keys()) giveUp(id);
      await Promise.all(ending);
    },
  };
}

function isNewerHead(row: Row | undefined, ref: Ref, expect: Position): boolean {
  if (typeof row?.["head"] !== "string") return false;
  const head = headOfRow(row["head"]);
  return head.incarnation === ref.incarnation && (head.seq !== expect.seq || head.hash !== expect.hash);
}
