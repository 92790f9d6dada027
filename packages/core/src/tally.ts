/** Counts what is under way, and tells when nothing is. */
export interface Tally {
  readonly count: number;
  begin(): void;
  end(): void;
  /** True when nothing was under way at some moment within `ms`. Leaves no timer behind. */
  idleWithin(ms: number): Promise<boolean>;
  /** Calls `then` once, when nothing is under way; at once if that is now. */
  whenIdle(then: () => void): void;
}

export function createTally(): Tally {
  let count = 0;
  const waiting = new Set<() => void>();
  return {
    get count() {
      return count;
    },
    begin() {
      count += 1;
    },
    end() {
      count -= 1;
      if (count > 0 || waiting.size === 0) return;
      const all = [...waiting];
      waiting.clear();
      for (const then of all) then();
    },
    idleWithin(ms) {
      if (count === 0) return Promise.resolve(true);
      return new Promise((resolve) => {
        const idle = (): void => {
          clearTimeout(timer);
          resolve(true);
        };
        const timer = setTimeout(() => {
          waiting.delete(idle);
          resolve(false);
        }, ms);
        waiting.add(idle);
      });
    },
    whenIdle(then) {
      if (count === 0) then();
      else waiting.add(then);
    },
  };
}
