import { createHints, type Hints, type Position, type Ref } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";
import { createEar, type Ear } from "./ear.ts";
import type { Heads } from "./heads.ts";
import { positionLine } from "./packed-head.ts";
import { scripts } from "./scripts.ts";
import type { ServerCheck } from "./server-check.ts";
import { accept, STATUS, type Store } from "./store.ts";

/** Pauses between two looks at the sessions that are watched: growing while some cannot be heard, else in case something was missed. */
const LOOK_MS = { first: 25, most: 1_000, growth: 1.5, heard: 2_000 };
/** Sessions that one script looks at. */
const LOOKED_AT = 128;

/** Tells who waits for a session to change, whichever node changes it. */
export interface Watching {
  hear(operation: string, ref: Ref, after: Position, signal: AbortSignal): AsyncGenerator<void, void, undefined>;
  /** Ends all of it. */
  close(): void;
}

interface Watched {
  readonly id: string;
  readonly channel: string;
  readonly hearers: Set<Hints>;
  /** First line of the head, as of the last look. */
  seen: string;
  /** Since the last look. */
  isTold: boolean;
}

/**
 * Each write of a session is told in the channel that has the name of its head. Messages may be lost on their way, a
 * connection may break, a user may lack the right: so a look at the heads, one script for many sessions, stands behind them.
 */
export function createWatching(store: Store, connection: Connection, check: ServerCheck, heads: Heads): Watching {
  const watched = new Map<string, Watched>();
  let ear: Ear | undefined;
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = LOOK_MS.first;
  let isLooking = false;

  function tell(channel: string): void {
    const one = watched.get(channel);
    if (one === undefined) return;
    one.isTold = true;
    for (const hints of one.hearers) hints.give();
  }

  function listen(): Ear {
    ear ??= createEar({
      sharded: check.shards,
      open: (address) => connection.listen(address),
      release: (client) => connection.release(client),
      onTold: tell,
      onLost: lookSoon,
      onRefused: () => check.warn("SUBSCRIBE"),
    });
    return ear;
  }

  function lookSoon(): void {
    pauseMs = LOOK_MS.first;
    if (!isLooking) lookLater();
  }

  function lookLater(): void {
    clearTimeout(timer);
    timer = undefined;
    if (watched.size === 0) return;
    const allHeard = [...watched.keys()].every((channel) => ear?.hears(channel) === true);
    const nextMs = allHeard ? LOOK_MS.heard : pauseMs;
    pauseMs = Math.min(pauseMs * LOOK_MS.growth, LOOK_MS.most);
    // Many processes should not look all at once. Who waits decides whether the process lives on.
    timer = setTimeout(() => void look(), nextMs * (0.5 + Math.random() / 2)).unref();
  }

  async function look(): Promise<void> {
    isLooking = true;
    const all = [...watched.values()];
    for (let at = 0; at < all.length; at += LOOKED_AT) {
      const some = all.slice(at, at + LOOKED_AT);
      // A server that does not answer is asked again.
      const lines = await positions(some).catch(() => undefined);
      if (lines === undefined) break;
      for (const [i, one] of some.entries()) compare(one, lines[i] ?? "");
    }
    ear?.retry();
    isLooking = false;
    lookLater();
  }

  function compare(one: Watched, line: string): void {
    const { channel, isTold, seen } = one;
    one.isTold = false;
    if (line === seen || watched.get(channel) !== one) return;
    one.seen = line;
    pauseMs = LOOK_MS.first;
    for (const hints of one.hearers) hints.give();
    if (!isTold && ear?.hears(channel) === true) ear.doubt(channel);
  }

  async function positions(some: readonly Watched[]): Promise<readonly string[]> {
    const keys = some.map(({ id }) => store.keys.session(id).head);
    const ask = async (these: readonly string[]): Promise<readonly string[]> =>
      ((await store.read({ operation: "watch sessions", script: scripts.positions, keys: these })) as readonly Buffer[]).map(String);
    return store.isCluster ? (await Promise.all(keys.map((key) => ask([key])))).flat() : ask(keys);
  }

  return {
    async *hear(operation, ref, after, signal) {
      if (signal.aborted) return;
      const { fold } = (await heads.load(operation, ref.id)).stored;
      if (fold.incarnation !== ref.incarnation) accept(operation, ref, [STATUS.otherLife]);
      store.open(operation);
      if (signal.aborted) return;
      const hints = createHints();
      const channel = connection.named(store.keys.session(ref.id).head);
      const seen = positionLine(fold).trimEnd();
      const one = watched.get(channel) ?? { id: ref.id, channel, hearers: new Set(), seen, isTold: false };
      watched.set(channel, one);
      one.hearers.add(hints);
      signal.addEventListener("abort", hints.end);
      if (fold.seq !== after.seq || fold.hash !== after.hash) hints.give();
      // What is written before the channel is heard is hinted when it is.
      const listening = listen();
      if (listening.hears(channel)) hints.give();
      else listening.join(channel);
      if (timer === undefined || pauseMs > LOOK_MS.first) lookSoon();
      try {
        yield* hints.taken();
      } finally {
        signal.removeEventListener("abort", hints.end);
        one.hearers.delete(hints);
        if (one.hearers.size === 0 && watched.get(channel) === one) {
          watched.delete(channel);
          ear?.leave(channel);
          if (watched.size === 0) lookLater();
        }
      }
    },

    close() {
      for (const { hearers } of watched.values()) for (const hints of hearers) hints.end();
      watched.clear();
      clearTimeout(timer);
      ear?.close();
    },
  };
}
