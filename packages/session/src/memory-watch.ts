import { createHints, type Hints } from "./hints.ts";

/** Who waits for news of which session, in all backends of one memory store. */
export class MemoryWatchers {
  readonly #waiting = new Map<string, Set<Hints>>();

  /** The session was appended to, rewritten or deleted. */
  tell(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) for (const hints of waiting) hints.give();
  }

  /** `open`: the watchers of one backend, which ends them when it is closed. */
  async *hear(id: string, isNew: boolean, signal: AbortSignal, open: Set<Hints>): AsyncGenerator<void, void, undefined> {
    if (signal.aborted) return;
    const hints = createHints();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(hints));
    open.add(hints);
    signal.addEventListener("abort", hints.end);
    if (isNew) hints.give();
    try {
      yield* hints.taken();
    } finally {
      signal.removeEventListener("abort", hints.end);
      open.delete(hints);
      waiting.delete(hints);
      if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
    }
  }
}
