import type { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";

/** Calls that may wait for a slot. Beyond it callers are refused rather than kept. */
export const MAX_WAITING_CALLS = 65_536;

interface Waiter {
  grant(): void;
  previous: Waiter | undefined;
  next: Waiter | undefined;
}

/** Lets at most `max` holders in, in the order they came. */
export interface Limiter {
  readonly active: number;
  readonly waiting: number;
  /**
   * `undefined`: a slot was free and is taken. Otherwise a promise that resolves with the slot taken, or rejects with the reason of
   * `cancellation`, having taken none. `first` goes before all who wait. Throws `OVERLOADED` when too many wait.
   */
  acquire(cancellation?: Cancellation, first?: boolean): Promise<void> | undefined;
  /** Gives a slot to who has waited longest. */
  release(): void;
}

/** At most `max` slots and `maxWaiting` that wait for one. */
export function createLimiter(max: number, maxWaiting: number = MAX_WAITING_CALLS): Limiter {
  let active = 0;
  let waiting = 0;
  // A list with both ends: taking one from the middle, as a cancel does, costs the same with 10 and with 10,000 waiting.
  let head: Waiter | undefined;
  let tail: Waiter | undefined;

  const enqueue = (waiter: Waiter, first: boolean): void => {
    waiting += 1;
    if (first) {
      waiter.next = head;
      if (head !== undefined) head.previous = waiter;
      head = waiter;
      tail ??= waiter;
    } else {
      waiter.previous = tail;
      if (tail !== undefined) tail.next = waiter;
      tail = waiter;
      head ??= waiter;
    }
  };
  const remove = (waiter: Waiter): void => {
    waiting -= 1;
    if (waiter.previous === undefined) head = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === undefined) tail = waiter.previous;
    else waiter.next.previous = waiter.previous;
  };

  return {
    get active() {
      return active;
    },
    get waiting() {
      return waiting;
    },
    acquire(cancellation, first = false) {
      cancellation?.throwIfCancelled();
      if (active < max) {
        active += 1;
        return undefined;
      }
      if (!first && waiting >= maxWaiting)
        throw new AixgoError("OVERLOADED", `${waiting} calls wait for one of ${max} slots already: call again later`);
      return new Promise<void>((resolve, reject) => {
        const left = (reason: AixgoError): void => {
          remove(waiter);
          reject(reason);
        };
        const waiter: Waiter = {
          grant: () => {
            cancellation?.offCancel(left);
            resolve();
          },
          previous: undefined,
          next: undefined,
        };
        enqueue(waiter, first);
        cancellation?.onCancel(left);
      });
    },
    release() {
      const waiter = head;
      if (waiter === undefined) {
        active -= 1;
        return;
      }
      // The slot changes hands: nobody who comes in between can take it.
      remove(waiter);
      waiter.grant();
    },
  };
}
