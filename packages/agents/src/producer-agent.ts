import { setTimeout as delay } from "node:timers/promises";
import { type Agent, defineAgent, isAixgoError, type Logger, type MessageInput, silentLogger } from "@aixgo/core";
import { MAX_TIMER_MS, within } from "./deadline.ts";
import { callable, check, type Check, type Checks, duration, invalid, methods, text, whole, words } from "./option-check.ts";

export interface ProducerOptions {
  readonly name: string;
  readonly role?: string;
  /** Takes a message where it is to go: `(message) => runtime.call("consumer", message)`. The next one waits for it. */
  readonly send: (message: MessageInput, options: { readonly signal: AbortSignal }) => unknown;
  /** Where the messages come from, opened at each start. Its signal aborts when the agent stops. This or `everyMs` and `produce`. */
  readonly source?: (signal: AbortSignal) => AsyncIterable<MessageInput>;
  /** Milliseconds from the end of one message to the next; the first comes at once. */
  readonly everyMs?: number;
  /** The next message; `undefined` for none this time. `count` is the number of calls before. */
  readonly produce?: (count: number, signal: AbortSignal) => MessageInput | undefined | Promise<MessageInput | undefined>;
  /** After so many messages the agent is done. @default unlimited */
  readonly maxMessages?: number;
  /** After so many failures of `send` or `produce` in a row the agent gives up and is not ready any more. @default 5 */
  readonly maxFailures?: number;
  /** @default silent */
  readonly logger?: Logger;
}

const pace: Check = (value) =>
  value === Infinity || duration(value) !== undefined ? `must be whole milliseconds from 1 to ${MAX_TIMER_MS}` : undefined;
const CHECKS: Checks<ProducerOptions> = {
  name: words,
  role: text,
  send: callable,
  source: callable,
  everyMs: pace,
  produce: callable,
  maxMessages: whole(1),
  maxFailures: whole(1),
  logger: methods("debug", "info", "warn", "error"),
};

/** How long a runtime that is not started yet, or a consumer that is not ready, is waited for. */
const READY_MS = 60_000;
const READY_PAUSE_MS = 20;

/** What a producer answers when it is called, as JSON text. */
export interface ProducerStatus {
  readonly state: "idle" | "running" | "done" | "failed";
  readonly sent: number;
  readonly failed: number;
}

/**
 * An agent that sends messages on its own while the runtime runs: from `source`, or one every `everyMs`. `start` returns at once;
 * `stop` ends the sending, aborts the message that is under way, and closes the source. One message at a time: a slow `send` slows
 * the source. A `send` that is `NOT_STARTED` is made again for a minute; a message whose `send` fails otherwise is lost and counted. Called, it answers its `ProducerStatus`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createProducerAgent(options: ProducerOptions): Agent {
  check("createProducerAgent", "", CHECKS, options, ["name", "send"]);
  const { name, role, send, source, everyMs, produce, maxMessages = Infinity, maxFailures = 5, logger = silentLogger } = options;
  if ((source === undefined) === (everyMs === undefined)) throw invalid(name, "give either source or everyMs");
  if ((everyMs === undefined) !== (produce === undefined)) throw invalid(name, "everyMs and produce are given together");
  let status: { state: ProducerStatus["state"]; sent: number; failed: number } = { state: "idle", sent: 0, failed: 0 };
  let running: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  const failed = (error: unknown, inARow: number): boolean => {
    status.failed += 1;
    const code = isAixgoError(error) ? error.code : error instanceof Error ? error.name : typeof error;
    const over = inARow >= maxFailures;
    logger[over ? "error" : "warn"](
      { agent: name, error: code, failed: status.failed },
      over ? "a producer gives up" : "a producer lost a message",
    );
    return over;
  };

  /** While the runtime still starts its other agents, it takes no calls. */
  async function sendWhenReady(message: MessageInput, signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      try {
        await send(message, { signal });
        return;
      } catch (error) {
        if (!isAixgoError(error, "NOT_STARTED") || performance.now() > deadline) throw error;
        await delay(READY_PAUSE_MS, undefined, { signal });
      }
    }
  }

  async function work(signal: AbortSignal): Promise<void> {
    // Neither a source nor a `send` that ignores the signal can keep the agent from stopping.
    const unlessStopped = <T>(promise: Promise<T>): Promise<T> =>
      within(promise, { signal, ms: Infinity, what: `agent "${name}"`, late: () => new Error("late") });
    let inARow = 0;
    let messages: AsyncIterator<MessageInput | Failure> | undefined;
    try {
      messages = (source?.(signal) ?? paced(produce as NonNullable<typeof produce>, everyMs as number, signal))[Symbol.asyncIterator]();
      while (status.sent < maxMessages) {
        const { done, value } = await unlessStopped(messages.next());
        if (done === true) break;
        try {
          if (value instanceof Failure) throw value.error;
          await unlessStopped(sendWhenReady(value, signal));
          status.sent += 1;
          inARow = 0;
        } catch (error) {
          if (signal.aborted) return;
          inARow += 1;
          if (!failed(error, inARow)) continue;
          status.state = "failed";
          return;
        }
      }
      status.state = "done";
    } catch (error) {
      if (signal.aborted) return;
      failed(error, maxFailures);
      status.state = "failed";
    } finally {
      // A source that is in the middle of its next message hears of it then.
      messages?.return?.().catch(() => {});
    }
  }

  return defineAgent({
    name,
    ...(role === undefined ? undefined : { role }),
    async start() {
      if (running !== undefined) return;
      status = { state: "running", sent: 0, failed: 0 };
      const stop = new AbortController();
      running = { stop, ended: work(stop.signal) };
    },
    async stop() {
      const last = running;
      running = undefined;
      last?.stop.abort();
      await last?.ended;
      if (status.state === "running") status.state = "idle";
    },
    ready: () => status.state !== "failed",
    execute: () => JSON.stringify(status satisfies ProducerStatus),
  });
}

/** A message that could not be made. */
class Failure {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

async function* paced(
  produce: NonNullable<ProducerOptions["produce"]>,
  everyMs: number,
  signal: AbortSignal,
): AsyncGenerator<MessageInput | Failure, void, void> {
  for (let count = 0; !signal.aborted; count += 1) {
    let message: MessageInput | Failure | undefined;
    try {
      message = await produce(count, signal);
    } catch (error) {
      message = new Failure(error);
    }
    if (message !== undefined) yield message;
    try {
      await delay(everyMs, undefined, { signal });
    } catch {
      return;
    }
  }
}
