import { type FSWatcher, lstatSync, watch } from "node:fs";
import { createHints, type Hints } from "@aixgo/session/backend";

/** Files that the system is asked to watch at once; others are looked at by time. */
const MAX_SYSTEM_WATCHES = 128;
/** Pauses between two looks at a file, in milliseconds: growing while nothing happens, or steady if the system watches it too. */
const LOOK_MS = { first: 25, most: 1000, growth: 1.5 };

/** Tells who waits for a log to change, whichever process writes to it. */
export interface Watchers {
  /** Hints from now on, the first at once. Ends with the signal, or when the watchers are closed. */
  hear(path: string, signal: AbortSignal): AsyncGenerator<void, void, undefined>;
  close(): void;
}

export function createWatchers(): Watchers {
  const watched = new Map<string, WatchedFile>();
  let systemWatches = 0;
  const budget: Budget = {
    take: () => systemWatches < MAX_SYSTEM_WATCHES && (systemWatches += 1) > 0,
    give: () => void (systemWatches -= 1),
  };
  return {
    async *hear(path, signal) {
      if (signal.aborted) return;
      const hints = createHints();
      const file = watched.get(path) ?? new WatchedFile(path, budget);
      watched.set(path, file);
      file.hearers.add(hints);
      signal.addEventListener("abort", hints.end);
      // What came between the caller's look and this moment would be missed otherwise.
      hints.give();
      try {
        yield* hints.taken();
      } finally {
        signal.removeEventListener("abort", hints.end);
        file.hearers.delete(hints);
        if (file.hearers.size === 0) {
          file.close();
          if (watched.get(path) === file) watched.delete(path);
        }
      }
    },
    close() {
      for (const { hearers } of watched.values()) for (const hints of hearers) hints.end();
    },
  };
}

interface Budget {
  take(): boolean;
  give(): void;
}

/** One log, watched for all who wait for it. */
class WatchedFile {
  readonly hearers = new Set<Hints>();
  readonly #path: string;
  readonly #budget: Budget;
  #system: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = LOOK_MS.first;
  #seen: string;

  constructor(path: string, budget: Budget) {
    this.#path = path;
    this.#budget = budget;
    this.#seen = this.#look();
    this.#watch();
    this.#lookLater();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#unwatch();
  }

  #tell(): void {
    for (const hints of this.hearers) hints.give();
  }

  /** Size and identity: a log that grows, is replaced or removed looks different. */
  #look(): string {
    try {
      const stat = lstatSync(this.#path, { throwIfNoEntry: false });
      return stat === undefined ? "none" : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`;
    } catch {
      return "unknown";
    }
  }

  #lookLater(): void {
    const pauseMs = this.#system === undefined ? this.#pauseMs : LOOK_MS.most;
    this.#pauseMs = Math.min(this.#pauseMs * LOOK_MS.growth, LOOK_MS.most);
    this.#timer = setTimeout(
      () => {
        const now = this.#look();
        if (now !== this.#seen) {
          // The system's watch belongs to the file, not to its name.
          if (fileOf(now) !== fileOf(this.#seen)) this.#watch();
          this.#seen = now;
          this.#pauseMs = LOOK_MS.first;
          this.#tell();
        }
        this.#lookLater();
      },
      pauseMs * (0.5 + Math.random() / 2),
    );
    // Who waits decides whether the process lives on.
    this.#timer.unref();
  }

  /** Has the system tell of changes as well, which is quicker; where it cannot, time alone must do. */
  #watch(): void {
    this.#unwatch();
    if (!this.#budget.take()) return;
    try {
      this.#system = watch(this.#path, { persistent: false }, (event) => {
        if (event === "rename") this.#watchAgain();
        this.#tell();
      });
      this.#system.on("error", () => this.#unwatch());
    } catch {
      this.#budget.give();
    }
  }

  #watchAgain(): void {
    const now = this.#look();
    if (fileOf(now) === fileOf(this.#seen)) return;
    this.#seen = now;
    this.#watch();
  }

  #unwatch(): void {
    if (this.#system === undefined) return;
    this.#system.close();
    this.#system = undefined;
    this.#budget.give();
  }
}

function fileOf(seen: string): string {
  return seen.split(":", 2).join(":");
}
