import { AixgoError } from "@aixgo/core";

interface Waiting {
  readonly interrupts: boolean;
  enter(): void;
  leave(error: unknown): void;
}

/** Turns of one session within this process: one at a time, first come first served. */
export class TurnQueue {
  readonly #session: string;
  #isTaken = false;
  #waiting: Waiting[] = [];

  constructor(session: string) {
    this.#session = session;
  }

  get isIdle(): boolean {
    return !this.#isTaken && this.#waiting.length === 0;
  }

  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Somebody waits who interrupts what runs: also a turn that was only being opened when they came. */
  get isInterrupted(): boolean {
    return this.#waiting.some(({ interrupts }) => interrupts);
  }

  /** Resolves when it is the caller's turn; the caller calls `leave` in the end. Throws `SESSION_BUSY` or `CANCELLED`. */
  enter(options: {
    readonly maxQueued: number;
    readonly timeoutMs: number;
    readonly interrupts: boolean;
    readonly signal?: AbortSignal;
  }): Promise<void> {
    if (!this.#isTaken) {
      this.#isTaken = true;
      return Promise.resolve();
    }
    if (this.#waiting.length >= options.maxQueued) {
      return Promise.reject(
        new AixgoError(
          "SESSION_BUSY",
          `${this.#waiting.length} turns wait for session ${this.#session} already, the most that may (maxQueued)`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", aborted);
      };
      const waiting: Waiting = {
        interrupts: options.interrupts,
        enter: () => {
          settle();
          resolve();
        },
        leave: (error) => {
          settle();
          this.#waiting = this.#waiting.filter((each) => each !== waiting);
          reject(error);
        },
      };
      const aborted = (): void =>
        waiting.leave(
          new AixgoError("CANCELLED", `the wait for session ${this.#session} was cancelled`, { cause: options.signal?.reason }),
        );
      const timer = setTimeout(() => waiting.leave(queueTimeout(this.#session, options.timeoutMs)), options.timeoutMs);
      options.signal?.addEventListener("abort", aborted, { once: true });
      this.#waiting.push(waiting);
    });
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isTaken = false;
    else next.enter();
  }

  /** Sends everybody away. */
  close(error: unknown): void {
    for (const each of this.#waiting) each.leave(error);
  }
}

export function queueTimeout(session: string, timeoutMs: number): AixgoError {
  return new AixgoError("SESSION_BUSY", `a turn of session ${session} was still running after ${timeoutMs} ms (queueTimeoutMs)`);
}
