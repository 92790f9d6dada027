import { setTimeout as delay } from "node:timers/promises";
import { type AgentEvent, isAixgoError, type Logger } from "@aixgo/core";
import pRetry from "p-retry";
import type { Answer } from "./answer.ts";
import { cancelled } from "./deadline.ts";
import { modelName } from "./model.ts";
import { retryAfterOf } from "./model-error.ts";
import { type ModelCall, streamAnswer } from "./model-stream.ts";

/** How a call of the model that failed for a passing reason is made again. */
export interface RetryOptions {
  /** Calls after the first one; 0 for none. @default 2 */
  readonly maxRetries?: number;
  /** Before the first retry, in milliseconds; doubled before each next one, and lengthened at random to at most twice that. @default 500 */
  readonly minDelayMs?: number;
  /** Longest delay in milliseconds. A provider that asks for a longer one (`Retry-After`) is not called again. @default 30000 */
  readonly maxDelayMs?: number;
}

export const RETRY_DEFAULTS: Required<RetryOptions> = Object.freeze({ maxRetries: 2, minDelayMs: 500, maxDelayMs: 30_000 });

/**
 * As `streamAnswer`, made again after a failure that may pass: too many requests, an overloaded or failing server, a lost
 * connection, an answer that broke off. Only as long as nothing was shown: what a reader has seen cannot be taken back. A
 * model that was silent for `modelIdleTimeoutMs` is not asked again. An abort ends the waiting at once.
 */
export async function* streamWithRetries(
  call: ModelCall,
  retry: Required<RetryOptions>,
  logger: Logger,
): AsyncGenerator<AgentEvent, Answer, void> {
  const begun = await begin(call, retry, logger);
  const { stream } = begun;
  let { step } = begun;
  try {
    while (step.done !== true) {
      yield step.value;
      step = await stream.next();
    }
    return step.value;
  } finally {
    // Left by the reader: the request is aborted. Ended: nothing happens.
    await stream.return(undefined as never);
  }
}

interface Begun {
  readonly stream: AsyncGenerator<AgentEvent, Answer, void>;
  readonly step: IteratorResult<AgentEvent, Answer>;
}

async function begin(call: ModelCall, retry: Required<RetryOptions>, logger: Logger): Promise<Begun> {
  const { agent, model, signal } = call;
  const attempt = async (): Promise<Begun> => {
    const stream = streamAnswer(call);
    return { stream, step: await stream.next() };
  };
  try {
    return await pRetry(attempt, {
      retries: retry.maxRetries,
      minTimeout: retry.minDelayMs,
      maxTimeout: retry.maxDelayMs,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => mayPass(error, retry),
      onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
        if (retriesLeft === 0 || signal.aborted || !mayPass(error, retry)) return;
        logger.warn({ agent, model: model.modelId, attempt: attemptNumber, retriesLeft }, "the model failed and is called again");
        // What the provider asked for comes before the delay of our own, whose chance keeps many callers from coming back at once.
        const after = retryAfterOf(error) ?? 0;
        if (after > 0) await delay(after, undefined, { signal });
      },
    });
  } catch (error) {
    throw signal.aborted ? cancelled(signal, `agent "${agent}": ${modelName(model)}`) : error;
  }
}

function mayPass(error: unknown, { maxDelayMs }: Required<RetryOptions>): boolean {
  return isAixgoError(error) && error.retryable && error.code !== "TIMEOUT" && (retryAfterOf(error) ?? 0) <= maxDelayMs;
}
