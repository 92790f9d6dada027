import type { ShownEvent } from "./invocation.ts";
import { bytesOf, MAX_KEPT_BYTES, MAX_KEPT_EVENTS } from "./reply-stream.ts";
import type { OpenTurn } from "./session-host.ts";
import { formatTurnCursor } from "./turn-cursor.ts";

/** An event that is shown and not stored, and its place: the n-th behind what was stored at a version. */
export interface LiveEvent {
  readonly event: Exclude<ShownEvent, { readonly type: "message" }>;
  readonly version: number;
  readonly shown: number;
  readonly bytes: number;
}

export interface LiveFollower {
  event(event: LiveEvent): void;
  /** A message was stored, or the attempt has ended: the log has more. */
  stored(): void;
}

/** What an attempt that runs in this process shows beside its messages, for those who attach to it. */
export interface LiveTurn {
  readonly turnId: string;
  /** Takes in an event, a message with the version it was stored at. Returns the event's cursor. */
  show(event: ShownEvent, version?: number): string;
  /** Calls back with what was shown since the last message, within bounds, and then with what is shown. Returns how to leave. */
  follow(follower: LiveFollower): () => void;
  end(): void;
}

export function createLiveTurn({ id, place }: Pick<OpenTurn, "id" | "place">): LiveTurn {
  const followers = new Set<LiveFollower>();
  const { life } = place;
  let { version } = place;
  let shown = 0;
  let kept: LiveEvent[] = [];
  let bytes = 0;

  return {
    turnId: id,
    show(event, storedAt) {
      if (event.type === "message") {
        // What was shown on the way to a message is of no use once the message is whole.
        version = Math.max(version, storedAt ?? version);
        shown = bytes = 0;
        if (kept.length > 0) kept = [];
        for (const follower of followers) follower.stored();
      } else {
        shown += 1;
        const live: LiveEvent = { event, version, shown, bytes: bytesOf(event) };
        if (kept.length < MAX_KEPT_EVENTS && bytes + live.bytes <= MAX_KEPT_BYTES) {
          kept.push(live);
          bytes += live.bytes;
        }
        for (const follower of followers) follower.event(live);
      }
      return formatTurnCursor({ life, version, shown });
    },
    follow(follower) {
      for (const live of kept) follower.event(live);
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    end() {
      for (const follower of followers) follower.stored();
      followers.clear();
    },
  };
}
