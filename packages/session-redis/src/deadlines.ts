/** Deadlines of one length: as they run out in the order in which they were set, one timer does for all. */
export interface Deadlines {
  /** Resolves as `work` does, and rejects with what `failed` makes of its error, or `late` when its time is over. `work` itself goes on. */
  within<T>(work: Promise<T>, late: () => Error, failed: (error: unknown) => Error): Promise<T>;
}

interface Waiting {
  readonly at: number;
  expire(): void;
}

export function createDeadlines(timeoutMs: number): Deadlines {
  /** The oldest first. */
  const waiting = new Set<Waiting>();
  let timer: NodeJS.Timeout | undefined;

  function arm(first: Waiting): void {
    timer = setTimeout(sweep, Math.max(1, first.at - performance.now()));
  }

  function sweep(): void {
    timer = undefined;
    const now = performance.now();
    for (const one of waiting) {
      if (one.at > now) {
        arm(one);
        return;
      }
      waiting.delete(one);
      one.expire();
    }
  }

  /** A timer is cheaper to keep than to make; while nothing waits it does not keep the process from ending. */
  function enter(one: Waiting): void {
    waiting.add(one);
    if (timer === undefined) arm(one);
    else if (waiting.size === 1) timer.ref();
  }

  function leave(one: Waiting): void {
    if (waiting.delete(one) && waiting.size === 0) timer?.unref();
  }

  return {
    within: <T>(work: Promise<T>, late: () => Error, failed: (error: unknown) => Error) =>
      new Promise<T>((resolve, reject) => {
        const one: Waiting = { at: performance.now() + timeoutMs, expire: () => reject(late()) };
        enter(one);
        work.then(
          (value) => {
            leave(one);
            resolve(value);
          },
          (error: unknown) => {
            leave(one);
            reject(failed(error));
          },
        );
      }),
  };
}
