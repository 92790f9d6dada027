import type { AgentEvent, Reply } from "./agent.ts";
import { quiet } from "./failure.ts";
import type { ShownEvent } from "./invocation.ts";
import type { ToolCallPart } from "./message.ts";
import { type ResponseOptions, streamResponse } from "./stream-response.ts";

/**
 * The events of one call, as they happen, each with a cursor. Iterating is optional; each iterator sees every event that is kept.
 * The cursors of a session turn are places in the session: `runtime.attach` goes on from them, on any node.
 *
 * Leaving the loop never stops a session turn; it stops a stateless call, when no other loop reads it. `cancel` stops both.
 * A loop ends by throwing the error that `reply` rejects with. For a reader that lags, and before anyone reads, at most
 * 4096 events and 1 MiB of deltas and data are kept; then these are dropped, which shows as a gap between cursors. Messages never are.
 */
export interface ReplyStream extends AsyncIterable<AgentEvent & { readonly cursor: string }> {
  /** Never raises an unhandled rejection. */
  readonly reply: Promise<Reply>;
  /** Resolves when the call has ended. Afterwards it does nothing. */
  cancel(reason?: string): Promise<void>;
  /**
   * The events as a web `Response`: server-sent events, in the protocol of the AI SDK's UI message stream or as they are. It is one more
   * reader, which takes an event when its client has room: a client that disconnects has left the loop. A failed call is the last event
   * of the stream, told by its code, without what the agent threw. Cursors are the events' ids.
   * @throws AixgoError `INVALID_OPTION`
   */
  toResponse(options?: ResponseOptions): Response;
}

type StreamEvent = AgentEvent & { readonly cursor: string };
type Ended = { readonly error?: unknown };

/** What is kept for one reader beside its messages. */
export const MAX_KEPT_EVENTS = 4_096;
export const MAX_KEPT_BYTES = 1_048_576;

interface Reader {
  push(event: StreamEvent, bytes: number): void;
  end(): void;
}

/**
 * Runs `body` at once and shows its events. `cancel` is called by `stream.cancel`, and by the last reader that leaves where
 * `leavingCancels` is set.
 */
export function createReplyStream(options: {
  readonly body: (show: (event: ShownEvent, cursor?: string) => void, left: (calls: readonly ToolCallPart[]) => void) => Promise<Reply>;
  readonly cancel: (reason: string) => void;
  readonly leavingCancels: boolean;
}): ReplyStream {
  const readers = new Set<Reader>();
  const kept = createBuffer();
  let openCalls: readonly ToolCallPart[] = [];
  let count = 0;
  let lastMessageId: string | undefined;
  let ended: Ended | undefined;

  const show = (event: ShownEvent, cursor?: string): void => {
    if (ended !== undefined) return;
    count += 1;
    if (event.type === "message") lastMessageId = event.message.id;
    const shown: StreamEvent = { ...event, cursor: cursor ?? String(count) };
    const bytes = bytesOf(event);
    kept.push(shown, bytes);
    for (const reader of readers) reader.push(shown, bytes);
  };
  const end = (how: Ended): void => {
    ended = how;
    for (const reader of readers) reader.end();
    readers.clear();
  };

  const run = async (): Promise<Reply> => {
    try {
      const reply = await options.body(show, (calls) => void (openCalls = calls));
      // The answer is the last message shown, once. A call with a session has shown it, with its place.
      if (reply.turn === undefined && reply.message.id !== lastMessageId) show({ type: "message", message: reply.message });
      end({});
      return reply;
    } catch (error) {
      end({ error });
      throw error;
    }
  };
  const reply = quiet(run());

  const iterate = (): AsyncIterator<StreamEvent> => {
    const buffer = kept.copy();
    let waiting: ((result: IteratorResult<StreamEvent>) => void)[] = [];
    let failed: ((error: unknown) => void)[] = [];
    let left = false;
    let thrown = false;
    const reader: Reader = {
      push(event, bytes) {
        const next = waiting.shift();
        if (next === undefined) return buffer.push(event, bytes);
        failed.shift();
        next({ done: false, value: event });
      },
      end() {
        const [first, ...others] = waiting;
        const reject = failed[0];
        waiting = [];
        failed = [];
        if (first === undefined || reject === undefined) return;
        if (ended !== undefined && "error" in ended) {
          thrown = true;
          reject(ended.error);
        } else first({ done: true, value: undefined });
        for (const other of others) other({ done: true, value: undefined });
      },
    };
    if (ended === undefined) readers.add(reader);
    return {
      next() {
        const event = buffer.shift();
        if (event !== undefined) return Promise.resolve({ done: false, value: event });
        if (!left && ended === undefined) {
          return new Promise((resolve, reject) => {
            waiting.push(resolve);
            failed.push(reject);
          });
        }
        if (!left && !thrown && ended !== undefined && "error" in ended) {
          thrown = true;
          return Promise.reject(ended.error);
        }
        return Promise.resolve({ done: true, value: undefined });
      },
      return() {
        left = true;
        buffer.clear();
        for (const resolve of waiting) resolve({ done: true, value: undefined });
        waiting = [];
        failed = [];
        if (readers.delete(reader) && readers.size === 0 && options.leavingCancels) options.cancel("its reader left");
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  };

  const events = { reply, [Symbol.asyncIterator]: iterate };
  return {
    ...events,
    toResponse: (response) => streamResponse({ ...events, openCalls: () => openCalls }, response),
    async cancel(reason = "cancelled by its caller") {
      if (ended === undefined) options.cancel(reason);
      await reply.catch(() => {});
    },
  };
}

interface Buffer {
  push(event: StreamEvent, bytes: number): void;
  shift(): StreamEvent | undefined;
  copy(): Buffer;
  clear(): void;
}

/** First in, first out; what is no message has room for so much only. */
function createBuffer(from: readonly (readonly [StreamEvent, number])[] = []): Buffer {
  let items: (readonly [StreamEvent, number])[] = [];
  let next = 0;
  let events = 0;
  let held = 0;
  const buffer: Buffer = {
    push(event, bytes) {
      if (event.type !== "message") {
        if (events >= MAX_KEPT_EVENTS || held + bytes > MAX_KEPT_BYTES) return;
        events += 1;
        held += bytes;
      }
      items.push([event, bytes]);
    },
    shift() {
      const item = items[next];
      if (item === undefined) return undefined;
      next += 1;
      if (item[0].type !== "message") {
        events -= 1;
        held -= item[1];
      }
      // What was read is let go in halves: no cost in proportion to what waits.
      if (next * 2 > items.length) {
        items = items.slice(next);
        next = 0;
      }
      return item[0];
    },
    copy: () => createBuffer(items.slice(next)),
    clear() {
      items = [];
      next = events = held = 0;
    },
  };
  for (const [event, bytes] of from) buffer.push(event, bytes);
  return buffer;
}

/** About what an event holds; messages are not counted. */
export function bytesOf(event: ShownEvent): number {
  if (event.type === "message") return 0;
  return "text" in event ? event.text.length * 2 : JSON.stringify(event.data).length * 2;
}
