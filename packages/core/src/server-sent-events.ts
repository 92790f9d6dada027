import type { Reply } from "./agent.ts";
import type { StreamEncoder } from "./stream-encoder.ts";

/** What a frame's `event` and `id` lines can carry: a line break in them would begin a line of the sender's choice. */
const FIELD = /^[\x20-\x7e]{1,256}$/;
/** What a client waits before it connects again. */
const RETRY_MS = 3_000;

/** One frame of the event stream format of the HTML standard. JSON has no line breaks, so `data` is one line. */
export function frame(data: string, fields: { readonly id?: string; readonly event?: string } = {}): string {
  const id = fields.id !== undefined && FIELD.test(fields.id) ? `id: ${fields.id}\n` : "";
  const event = fields.event !== undefined && FIELD.test(fields.event) ? `event: ${fields.event}\n` : "";
  return `${id}${event}data: ${data}\n\n`;
}

/** A line that readers skip: it keeps proxies from closing a connection on which nothing happens. */
export const HEARTBEAT = ": heartbeat\n\n";

/**
 * The events as they are, one frame each, with the cursor as `id`. The last frame is `done` (usage and turn; the message was the last
 * `message` event) or `error` (code, text, retryable); neither has an id, so that a reconnect goes on after the last event.
 */
export function eventEncoder(): StreamEncoder {
  return {
    begin: () => `retry: ${RETRY_MS}\n\n`,
    event({ cursor, ...event }) {
      return frame(JSON.stringify(event), { id: cursor, event: event.type });
    },
    done: (reply) => frame(JSON.stringify(factsOf(reply)), { event: "done" }),
    failed: (error) => frame(JSON.stringify(error), { event: "error" }),
  };
}

/** What a client may want to know beside the message: which it was, what it cost, and where it lies. */
export function factsOf(reply: Reply): object {
  return {
    messageId: reply.message.id,
    ...(reply.usage === undefined ? undefined : { usage: reply.usage }),
    ...(reply.turn === undefined ? undefined : { turn: reply.turn }),
  };
}
