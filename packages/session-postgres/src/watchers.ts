import { createHash } from "node:crypto";
import { createHints, type Head, type Hints, type Position, type Ref } from "@aixgo/session/backend";
import { columnText } from "./column-text.ts";
import type { Store } from "./store.ts";

/** Pauses between two looks at the watched sessions, in milliseconds: growing while nothing happens. */
const LOOK_MS = { first: 25, most: 1000, growth: 1.5 };
/** The most while the server tells of changes: by nodes that do not tell, or in case it was missed. */
const TOLD_MS = 5000;
/** Sessions that one statement asks for. */
const BATCH = 1000;

/** Tells who waits for a session to change, whichever node changes it. One look at the store is for all that are watched. */
export interface Watchers {
  /** Hints until the signal, or until the watchers are closed. `look` throws if the session is not there. */
  hear(ref: Ref, after: Position, signal: AbortSignal, look: () => Promise<Head>): AsyncGenerator<void, void, undefined>;
  /** The session was changed by this process. */
  tell(id: string): void;
  /** Some node has changed the session of this name; undefined: any may have changed. */
  told(name: string | undefined): void;
  /** Whether the server tells of changes: then looks are rare. */
  setTold(isTold: boolean): void;
  close(): void;
}

interface Watched {
  readonly id: string;
  readonly hearers: Set<Hints>;
  /** Where the session stood when it was last looked at. */
  place: string;
}

const GONE = "gone";

/** What stands for a session where every role of the database can hear it. */
export function nameOf(id: string): string {
  return createHash("sha256").update(JSON.stringify(id)).digest("base64url").slice(0, 22);
}

export function createWatchers({ connections, statements }: Store): Watchers {
  const byId = new Map<string, Watched>();
  const byName = new Map<string, Watched>();
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = LOOK_MS.first;
  let isTold = false;
  let isLooking = false;
  let isClosed = false;

  function give({ hearers }: Watched): void {
    for (const hints of hearers) hints.give();
  }

  function lookSoon(): void {
    pauseMs = LOOK_MS.first;
    schedule();
  }

  function schedule(): void {
    clearTimeout(timer);
    timer = undefined;
    if (isClosed || isLooking || byId.size === 0) return;
    // Many nodes should not look all at once. Who waits decides whether the process lives on.
    timer = setTimeout(() => void look(), pauseMs * (0.5 + Math.random() / 2)).unref();
  }

  async function look(): Promise<void> {
    isLooking = true;
    pauseMs = Math.min(pauseMs * LOOK_MS.growth, isTold ? TOLD_MS : LOOK_MS.most);
    try {
      const watched = [...byId.values()];
      for (let at = 0; at < watched.length && !isClosed; at += BATCH) await compare(watched.slice(at, at + BATCH));
    } catch {
      // A store that does not answer gives no hints; whoever reads from it hears why.
    } finally {
      isLooking = false;
      schedule();
    }
  }

  async function compare(some: readonly Watched[]): Promise<void> {
    const ids = some.map(({ id }) => columnText(id));
    const rows = await connections.run({ doing: "watch sessions", effect: "read", text: statements.places, values: [ids] });
    const places = new Map(rows.map(({ id, place }) => [id, String(place)]));
    for (const [i, watched] of some.entries()) {
      const place = places.get(ids[i]) ?? GONE;
      if (place === watched.place) continue;
      watched.place = place;
      pauseMs = LOOK_MS.first;
      give(watched);
    }
  }

  function join(id: string, hints: Hints, place: string): Watched {
    const known = byId.get(id);
    const watched = known ?? { id, hearers: new Set(), place };
    watched.hearers.add(hints);
    if (known === undefined) {
      byId.set(id, watched);
      byName.set(nameOf(id), watched);
    }
    return watched;
  }

  function leave(watched: Watched, hints: Hints): void {
    watched.hearers.delete(hints);
    if (watched.hearers.size > 0 || byId.get(watched.id) !== watched) return;
    byId.delete(watched.id);
    byName.delete(nameOf(watched.id));
    if (byId.size === 0) schedule();
  }

  return {
    async *hear(ref, after, signal, look) {
      const head = await look();
      if (signal.aborted || isClosed) return;
      const hints = createHints();
      const place = `${columnText(head.incarnation)} ${head.seq}`;
      const watched = join(ref.id, hints, place);
      signal.addEventListener("abort", hints.end);
      // Another one may have waited for it already, and have seen more or less of it.
      if (head.seq !== after.seq || head.hash !== after.hash || watched.place !== place) hints.give();
      lookSoon();
      try {
        yield* hints.taken();
      } finally {
        signal.removeEventListener("abort", hints.end);
        leave(watched, hints);
      }
    },
    tell(id) {
      const watched = byId.get(id);
      if (watched !== undefined) give(watched);
    },
    told(name) {
      if (name === undefined) {
        lookSoon();
        return;
      }
      const watched = byName.get(name);
      if (watched !== undefined) give(watched);
    },
    setTold(value) {
      isTold = value;
      // What happened before is not told.
      lookSoon();
    },
    close() {
      isClosed = true;
      schedule();
      for (const { hearers } of byId.values()) for (const hints of hearers) hints.end();
    },
  };
}
