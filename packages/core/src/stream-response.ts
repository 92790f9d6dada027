import type { Reply } from "./agent.ts";
import { AixgoError } from "./errors.ts";
import type { ToolCallPart } from "./message.ts";
import { expectMs } from "./options.ts";
import { publicError } from "./public-error.ts";
import { eventEncoder, HEARTBEAT } from "./server-sent-events.ts";
import type { StreamEncoder, StreamEvent } from "./stream-encoder.ts";
import { uiMessageEncoder, type UiMessageOptions } from "./ui-message-chunks.ts";

export interface ResponseOptions {
  /**
   * `ui-message-stream`: what `useChat` and the other readers of the AI SDK 5 and 6 understand. `sse`: the events themselves, for an
   * `EventSource`.
   * @default "ui-message-stream"
   */
  readonly format?: "ui-message-stream" | "sse";
  /** Added to the response's own, which they replace where the names are the same. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * The id of the UI message that the stream builds. A client that resumes a stream puts it in the place of the message with this id:
   * give the one under which the history shows the turn's steps. Only in `ui-message-stream`. @default one that the client makes
   */
  readonly messageId?: string;
  /**
   * The reader knows approvals, as those of the AI SDK 6 do: an open request that asks for a call is sent as `tool-approval-request`,
   * a call that was denied as `tool-output-denied`. Readers of the AI SDK 5 fail at both. Without it a request is a part
   * `data-request` (`{ requestId, reason, data? }`, under the request's id), as requests of every other kind are anyway, and a denied
   * call has failed. Only in `ui-message-stream`. @default false
   */
  readonly approvals?: boolean;
  /** Time without an event after which a comment is sent, so that proxies keep the connection. @default 15000 */
  readonly heartbeatMs?: number;
}

export const DEFAULT_HEARTBEAT_MS = 15_000;

const FORMATS: {
  readonly [format: string]: {
    readonly encoder: (options: UiMessageOptions) => StreamEncoder;
    readonly headers: Readonly<Record<string, string>>;
  };
} = {
  "ui-message-stream": { encoder: uiMessageEncoder, headers: { "x-vercel-ai-ui-message-stream": "v1" } },
  sse: { encoder: () => eventEncoder(), headers: {} },
};
const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** What a response is made of: a `ReplyStream`, or the events of a turn followed from elsewhere. */
export interface EventSource extends AsyncIterable<StreamEvent> {
  readonly reply: Promise<Reply>;
  /** Calls of before these events that had no result then: readers may not have been shown them. Asked when it is needed. */
  readonly openCalls?: () => readonly ToolCallPart[];
}

/**
 * The stream as the body of a web `Response`. It is one more reader: it takes an event when the client has room for it, and a client
 * that goes away has left the loop. Each event's frame carries its cursor as `id`.
 *
 * @throws AixgoError `INVALID_OPTION`
 */
export function streamResponse(source: EventSource, given?: ResponseOptions): Response {
  const { encoderOf, headers, heartbeatMs } = checked(given);
  const encoder = encoderOf(() => source.openCalls?.() ?? []);
  const events = source[Symbol.asyncIterator]();
  const utf8 = new TextEncoder();
  let left = false;
  let begun = false;
  let pending: Promise<string | undefined> | undefined;

  /** The frames of the next event; `undefined` after the last. A failed call is a last frame, not an error of the body. */
  const next = async (): Promise<string | undefined> => {
    try {
      const event = await events.next();
      if (event.done !== true) return encoder.event(event.value);
      return ended(encoder.done(await source.reply));
    } catch (error) {
      return ended(encoder.failed(publicError(error)));
    }
  };
  let last: string | undefined;
  const ended = (text: string): undefined => void (last = text);

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!begun) {
          begun = true;
          controller.enqueue(utf8.encode(encoder.begin()));
          return;
        }
        for (;;) {
          pending ??= next();
          const text = await orAfter(heartbeatMs, pending);
          if (left) return;
          if (text === BEAT) return controller.enqueue(utf8.encode(HEARTBEAT));
          pending = undefined;
          if (text === undefined) {
            if (last !== undefined && last !== "") controller.enqueue(utf8.encode(last));
            return controller.close();
          }
          if (text !== "") return controller.enqueue(utf8.encode(text));
        }
      },
      async cancel() {
        left = true;
        await events.return?.();
      },
    },
    // Nothing is taken from the stream before the client asks for it: what waits is bounded there.
    { highWaterMark: 0 },
  );
  return new Response(body, { status: 200, headers });
}

const BEAT = Symbol("heartbeat");

/** What `promise` brings, or `BEAT` after `ms`; `promise` never rejects. */
function orAfter<T>(ms: number, promise: Promise<T>): Promise<T | typeof BEAT> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(BEAT), ms);
    void promise.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

const KNOWN: ReadonlySet<string> = new Set(["approvals", "format", "headers", "heartbeatMs", "messageId"]);

function checked(given: ResponseOptions | undefined): {
  readonly encoderOf: (openCalls: () => readonly ToolCallPart[]) => StreamEncoder;
  readonly headers: Headers;
  readonly heartbeatMs: number;
} {
  if (given !== undefined && (typeof given !== "object" || given === null)) throw refused("the options must be an object");
  const unknown = Object.keys(given ?? {}).find((key) => !KNOWN.has(key));
  if (unknown !== undefined) throw refused(`there is no option ${JSON.stringify(unknown)}; known are ${[...KNOWN].join(", ")}`);
  const { format = "ui-message-stream", headers = {}, heartbeatMs = DEFAULT_HEARTBEAT_MS, messageId, approvals } = given ?? {};
  const chosen = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (chosen === undefined) throw refused(`the option "format" must be ${Object.keys(FORMATS).join(" or ")}`);
  if (messageId !== undefined && (typeof messageId !== "string" || messageId === ""))
    throw refused('the option "messageId" must be a text that is not empty');
  if (messageId !== undefined && format !== "ui-message-stream")
    throw refused('the option "messageId" is for the format ui-message-stream');
  if (approvals !== undefined && typeof approvals !== "boolean") throw refused('the option "approvals" must be true or false');
  if (approvals !== undefined && format !== "ui-message-stream")
    throw refused('the option "approvals" is for the format ui-message-stream');
  const expected = expectMs(heartbeatMs);
  if (expected !== undefined) throw refused(`the option "heartbeatMs" must be ${expected}`);
  const merged = new Headers({ ...HEADERS, ...chosen.headers });
  try {
    for (const [name, value] of Object.entries(headers)) merged.set(name, value);
  } catch (error) {
    throw new AixgoError("INVALID_OPTION", 'toResponse: the option "headers" must be an object of header names and their values', {
      cause: error,
    });
  }
  const encoderOf = (openCalls: () => readonly ToolCallPart[]): StreamEncoder =>
    chosen.encoder({ messageId, approvals: approvals === true, openCalls });
  return { encoderOf, headers: merged, heartbeatMs };
}

function refused(problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", `toResponse: ${problem}`);
}
