import { setTimeout as delay } from "node:timers/promises";
import type { Append, Appended } from "@aixgo/session/backend";

/** How long after a conflict others are taken to be writing still. */
const CONTENDED_MS = 250;
/** Who has written stands back for up to so many round trips. */
const ROUNDS = 8;
const MOST_MS = 50;
/** Sessions that are remembered as contended. */
const MAX_KEPT = 1024;

/** Lets others have their turn on a session to which several processes append at once. */
export interface FairAppends {
  append(id: string, request: Append, send: () => Promise<Appended>): Promise<Appended>;
}

/**
 * Redis serves whoever asks first, and who has just written knows the new head before all others: it would win again and again. So it
 * stands back a moment after each success, as long as others are met. A turn does not, for nobody else may write beside it.
 */
export function createFairAppends(): FairAppends {
  const contended = new Map<string, { met: number; standsBackUntil: number }>();

  return {
    async append(id, request, send) {
      const { lease } = request;
      const before = contended.get(id);
      if (before !== undefined && lease === undefined) {
        const pause = before.standsBackUntil - performance.now();
        if (pause > 0) await delay(pause);
      }
      const sent = performance.now();
      const answer = await send();
      const at = performance.now();
      if ("conflict" in answer) {
        contended.delete(id);
        contended.set(id, { met: at, standsBackUntil: 0 });
        if (contended.size > MAX_KEPT) contended.delete(contended.keys().next().value as string);
      } else if (before !== undefined && lease === undefined) {
        if (at - before.met > CONTENDED_MS) contended.delete(id);
        else before.standsBackUntil = at + Math.min(MOST_MS, Math.random() * ROUNDS * (at - sent));
      }
      return answer;
    },
  };
}
