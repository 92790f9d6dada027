import type { Position, Ref, SessionBackend } from "./contract.ts";

/** Pauses between two looks at a store that gives no hints, while nothing happens there; in milliseconds. */
const UNHINTED_MS = { first: 25, most: 1000, growth: 1.5 };
/** The same where hints are given: in case one is lost on its way. */
const HINTED_MS = 5000;

/** Waits for a session to change: woken by the store's hints where it gives them, else by time. Made for one follower. */
export class News {
  readonly #backend: SessionBackend;
  readonly #ref: Ref;
  readonly #stop = new AbortController();
  #isHinted = false;
  #hearsHints = false;
  #hasAsked = false;
  #pauseMs = UNHINTED_MS.first;
  #wake: (() => void) | undefined;

  constructor(backend: SessionBackend, ref: Ref) {
    this.#backend = backend;
    this.#ref = ref;
  }

  /** Lets `wait` return at once, this time or the next. */
  readonly tell = (): void => {
    this.#isHinted = true;
    this.#wake?.();
  };

  /** There was something new: the pauses begin small again. */
  arrived(): void {
    this.#pauseMs = UNHINTED_MS.first;
  }

  /** Returns when it is time to look whether there is something behind `after`; sometimes there is not. */
  async wait(after: Position): Promise<void> {
    if (!this.#hasAsked) {
      this.#hasAsked = true;
      void this.#listen(after);
    }
    if (!this.#isHinted) {
      const pauseMs = this.#hearsHints ? HINTED_MS : this.#pauseMs;
      this.#pauseMs = Math.min(this.#pauseMs * UNHINTED_MS.growth, UNHINTED_MS.most);
      await new Promise<void>((resolve) => {
        // Many followers of one store should not look all at once.
        const timer = setTimeout(resolve, pauseMs * (0.5 + Math.random() / 2));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#isHinted = false;
  }

  /** Nothing is held any more. */
  stop(): void {
    this.#stop.abort();
    this.tell();
  }

  async #listen(after: Position): Promise<void> {
    if (this.#backend.watch === undefined) return;
    this.#hearsHints = true;
    try {
      const hints = this.#backend.watch(this.#ref, after, this.#stop.signal);
      for await (const _ of hints) this.tell();
    } catch {
      // What is wrong shows at the next look at the store; a store whose hints alone have failed is looked at by time.
    } finally {
      this.#hearsHints = false;
      this.tell();
    }
  }
}
