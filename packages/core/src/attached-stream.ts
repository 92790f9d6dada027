import type { AgentEvent, Reply } from "./agent.ts";
import { quiet } from "./failure.ts";
import type { LiveEvent, LiveTurn } from "./live-turn.ts";
import type { ToolCallPart } from "./message.ts";
import { openCalls } from "./open-calls.ts";
import { MAX_KEPT_BYTES, MAX_KEPT_EVENTS, type ReplyStream } from "./reply-stream.ts";
import type { AttachedTurn } from "./session-host.ts";
import { streamResponse } from "./stream-response.ts";
import { formatTurnCursor } from "./turn-cursor.ts";

type StreamEvent = AgentEvent & { readonly cursor: string };

/**
 * The events of a turn that runs already: its messages from the log, and where it runs in this process what it shows in between.
 * Nothing is read before it is asked for; for a reader that lags only events that are not stored are kept, within bounds.
 */
export function createAttachedStream(options: {
  readonly attached: AttachedTurn;
  /** Present where the attempt runs in this process. */
  readonly live: LiveTurn | undefined;
  readonly signal: AbortSignal | undefined;
  readonly cancel: (reason: string | undefined) => Promise<unknown>;
}): ReplyStream {
  const { attached, live, signal, cancel } = options;
  let reply: Promise<Reply> | undefined;
  const ended = (): Promise<Reply> => (reply ??= quiet(replyOf(attached, live, signal)));
  const iterate = (begin?: () => Promise<void>): AsyncIterator<StreamEvent> =>
    leavable((left) => events(attached, live, signal === undefined ? left : AbortSignal.any([signal, left]), begin));
  return {
    get reply() {
      return ended();
    },
    [Symbol.asyncIterator]: () => iterate(),
    toResponse(response) {
      let known: readonly ToolCallPart[] = [];
      const source = {
        get reply() {
          return ended();
        },
        openCalls: () => known,
        [Symbol.asyncIterator]: () =>
          iterate(async () => {
            known = openCalls(await attached.stepBefore());
          }),
      };
      return streamResponse(source, response);
    },
    async cancel(reason) {
      await cancel(reason);
      await ended().catch(() => {});
    },
  };
}

/** An iterator that is left at once, also while it waits for its next event: a generator would hold on until that comes. */
function leavable(begin: (left: AbortSignal) => AsyncGenerator<StreamEvent, void, undefined>): AsyncIterator<StreamEvent> {
  const left = new AbortController();
  const generator = begin(left.signal);
  const done = { done: true, value: undefined } as const;
  return {
    async next() {
      try {
        return await generator.next();
      } catch (error) {
        if (left.signal.aborted) return done;
        throw error;
      }
    },
    async return() {
      left.abort();
      await generator.return();
      return done;
    },
  };
}

async function replyOf(attached: AttachedTurn, live: LiveTurn | undefined, signal: AbortSignal | undefined): Promise<Reply> {
  const leave = live?.follow({ event: () => {}, stored: () => attached.wake() });
  try {
    return await attached.reply(signal);
  } finally {
    leave?.();
  }
}

/** `begin` is waited for before the first event; what is shown meanwhile is kept. */
async function* events(
  attached: AttachedTurn,
  live: LiveTurn | undefined,
  signal: AbortSignal | undefined,
  begin?: () => Promise<void>,
): AsyncGenerator<StreamEvent, void, undefined> {
  const { life } = attached.place;
  const shown = createLiveQueue(attached.place);
  let signalled = (): void => {};
  const leave = live?.follow({
    event(event) {
      shown.push(event);
      signalled();
    },
    stored: () => attached.wake(),
  });
  const messages = attached.messages(signal)[Symbol.asyncIterator]();
  type Item = Awaited<ReturnType<typeof messages.next>> | { readonly error: unknown };
  let isAsked = false;
  let item: Item | undefined;
  /** Everything stored up to here was yielded. */
  let upTo = attached.place.version;
  try {
    await begin?.();
    for (;;) {
      if (!isAsked) {
        isAsked = true;
        messages.next().then(
          (next) => {
            item = next;
            signalled();
          },
          (error: unknown) => {
            item = { error };
            signalled();
          },
        );
      }
      // An event has its place behind the message at its version, and before the next one.
      const before = item === undefined ? upTo + 1 : "error" in item || item.done === true ? Infinity : item.value.version;
      const event = shown.before(before);
      if (event !== undefined) {
        yield { ...event.event, cursor: formatTurnCursor({ life, version: Math.max(event.version, upTo), shown: event.shown }) };
        continue;
      }
      if (item === undefined) {
        await new Promise<void>((resolve) => (signalled = resolve));
        continue;
      }
      if ("error" in item) throw item.error;
      if (item.done === true) return;
      const { version, message } = item.value;
      item = undefined;
      isAsked = false;
      upTo = version;
      if (message !== undefined) yield { type: "message", message, cursor: formatTurnCursor({ life, version, shown: 0 }) };
    }
  } finally {
    leave?.();
    void quiet(Promise.resolve(messages.return?.()));
  }
}

interface LiveQueue {
  push(event: LiveEvent): void;
  /** The oldest event whose place is before the message at this version. */
  before(version: number): LiveEvent | undefined;
}

/** First in, first out, with room for so much only. Events up to a place are passed over. */
function createLiveQueue(after: { readonly version: number; readonly shown: number }): LiveQueue {
  let events: LiveEvent[] = [];
  let next = 0;
  let bytes = 0;
  return {
    push(event) {
      if (event.version < after.version || (event.version === after.version && event.shown <= after.shown)) return;
      if (events.length - next >= MAX_KEPT_EVENTS || bytes + event.bytes > MAX_KEPT_BYTES) return;
      events.push(event);
      bytes += event.bytes;
    },
    before(version) {
      const event = events[next];
      if (event === undefined || event.version >= version) return undefined;
      next += 1;
      bytes -= event.bytes;
      if (next * 2 > events.length) {
        events = events.slice(next);
        next = 0;
      }
      return event;
    },
  };
}
