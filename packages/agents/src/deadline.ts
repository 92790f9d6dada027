import { AixgoError, isAixgoError } from "@aixgo/core";

export interface Deadline {
  readonly signal: AbortSignal;
  /** Milliseconds; `Infinity` for none. */
  readonly ms: number;
  /** The error when time is up. */
  readonly late: () => Error;
  /** Names the work in the error when the signal aborts. */
  readonly what: string;
}

/** The longest delay that a timer takes. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * Settles as `work` does, or rejects as soon as the signal aborts or time is up. Work that was given up may still settle:
 * nobody hears of it.
 */
export function within<T>(work: PromiseLike<T>, deadline: Deadline): Promise<T> {
  const { signal, ms, late, what } = deadline;
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const done = (): void => {
      if (timer !== undefined) clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      done();
      reject(cancelled(signal, what));
    };
    work.then(
      (value) => {
        done();
        resolve(value);
      },
      (error: unknown) => {
        done();
        reject(error);
      },
    );
    if (signal.aborted) onAbort();
    else {
      signal.addEventListener("abort", onAbort, { once: true });
      if (ms !== Infinity) {
        timer = setTimeout(() => {
          done();
          reject(late());
        }, ms);
      }
    }
  });
}

/** The error of an aborted signal: its reason if that is one of ours. */
export function cancelled(signal: AbortSignal, what: string): AixgoError {
  const reason: unknown = signal.reason;
  return isAixgoError(reason) ? reason : new AixgoError("CANCELLED", `${what} was cancelled`, { cause: reason });
}

export function throwIfAborted(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw cancelled(signal, what);
}
