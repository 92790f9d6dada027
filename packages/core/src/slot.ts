import type { Limiter } from "./limiter.ts";

/**
 * One slot of a limiter, shared by a call and all calls that it makes, so that a limit of 1 cannot deadlock.
 * It goes back when the last of them has really ended, whether or not its caller was answered long before.
 */
export interface Slot {
  readonly limiter: Limiter;
  /** False: the slot was given back already; take a new one. */
  share(): boolean;
  end(): void;
  /**
   * Lends the slot out while one of its calls waits for a session or for mail: whoever brings it may be waiting for this very slot. What else shares the slot goes on meanwhile.
   */
  lend(): void;
  /** Resolves when the slot is held again; before all who wait for one. */
  regain(): Promise<void> | undefined;
}

/** Of a slot that has just been acquired, for its first holder. */
export function createSlot(limiter: Limiter): Slot {
  let holders = 1;
  let lent = 0;
  let held = true;
  let regaining: Promise<void> | undefined;

  const regained = (): void => {
    regaining = undefined;
    held = true;
    // All may have ended, or another may wait for a session, since the slot was asked for.
    if (holders === 0 || lent > 0) give();
  };
  const give = (): void => {
    if (!held) return;
    held = false;
    limiter.release();
  };

  return {
    limiter,
    share() {
      if (holders === 0) return false;
      holders += 1;
      return true;
    },
    end() {
      holders -= 1;
      if (holders === 0) give();
    },
    lend() {
      lent += 1;
      give();
    },
    regain() {
      lent -= 1;
      if (held || lent > 0) return undefined;
      if (regaining !== undefined) return regaining;
      const wait = limiter.acquire(undefined, true);
      if (wait === undefined) {
        held = true;
        return undefined;
      }
      regaining = wait.then(regained);
      return regaining;
    },
  };
}

/** What `wait` brings, with the slot lent out meanwhile. `slot` has been shared for this; without one it is only `wait`. */
export async function lendWhile<T>(slot: Slot | undefined, wait: () => Promise<T>): Promise<T> {
  if (slot === undefined) return wait();
  slot.lend();
  try {
    return await wait();
  } finally {
    await slot.regain();
    slot.end();
  }
}
