/** Hints of one watcher: several that nobody has fetched yet are one, so who lags costs no memory. */
export interface Hints {
  give(): void;
  /** No more will come; who waits is let go. Idempotent. */
  end(): void;
  /** For one reader. Ends after `end`. */
  taken(): AsyncGenerator<void, void, undefined>;
}

/** What a backend's `watch` yields from. */
export function createHints(): Hints {
  let isGiven = false;
  let isEnded = false;
  let wake: (() => void) | undefined;
  return {
    give() {
      isGiven = true;
      wake?.();
    },
    end() {
      isEnded = true;
      wake?.();
    },
    async *taken() {
      for (;;) {
        if (!isGiven && !isEnded) await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
        if (isEnded) return;
        isGiven = false;
        yield;
      }
    },
  };
}
