import { AixgoError, type AgentContext, type AgentEvent } from "@aixgo/core";
import { type Answer, createAnswerCollector } from "./answer.ts";
import { cancelled, type Deadline, throwIfAborted, within } from "./deadline.ts";
import { type LanguageModel, type ModelFunction, type ModelMessage, type ModelSettings, modelName } from "./model.ts";
import { modelError } from "./model-error.ts";
import { observeRequest } from "./observed.ts";

export interface ModelCall {
  /** The agent's name, for errors. */
  readonly agent: string;
  readonly model: LanguageModel;
  readonly settings: ModelSettings;
  readonly prompt: readonly ModelMessage[];
  readonly functions: readonly ModelFunction[];
  /** What the answer is to look like. @default text */
  readonly responseFormat?: { readonly [key: string]: unknown };
  /** Longest silence of the model; the time that the reader of the events takes does not count. */
  readonly idleTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly signal: AbortSignal;
  /** The agent's, for traces and metrics. */
  readonly observe: AgentContext["observe"];
}

/** How long, and for how many parts, the end of a stream is waited for after its last part. */
const CLOSE_MS = 500;
const MAX_LATE_PARTS = 16;

/**
 * One call of the model: yields its deltas, returns its answer. However it is left, the model's request is aborted and its
 * stream cancelled.
 */
export async function* streamAnswer(call: ModelCall): AsyncGenerator<AgentEvent, Answer, void> {
  const { agent, model, signal } = call;
  const what = `agent "${agent}": ${modelName(model)}`;
  throwIfAborted(signal, what);
  const observed = observeRequest(call);
  const request = new AbortController();
  const deadline = {
    signal,
    ms: call.idleTimeoutMs,
    what,
    late: () => new AixgoError("TIMEOUT", `${what} was silent for modelIdleTimeoutMs (${call.idleTimeoutMs})`),
  };
  let reader: ReadableStreamDefaultReader<unknown> | undefined;
  try {
    const answer = createAnswerCollector(call.maxResponseBytes);
    const opening = observed === undefined ? open(call, request.signal) : observed.run(() => open(call, request.signal));
    try {
      reader = await within(opening, deadline);
    } catch (error) {
      // A stream that comes after all is not wanted any more.
      opening.then(
        (late) => discard(late),
        () => {},
      );
      throw error;
    }
    while (!answer.finished) {
      const { done, value } = await within(reader.read(), deadline);
      if (done) break;
      const event = answer.take(value);
      if (event !== undefined) yield event;
    }
    if (answer.finished) await readToEnd(reader, { ...deadline, ms: CLOSE_MS });
    const whole = answer.end();
    observed?.answered(whole);
    return whole;
  } catch (error) {
    const failure = signal.aborted ? cancelled(signal, what) : modelError(agent, model, error);
    observed?.failed(failure);
    throw failure;
  } finally {
    observed?.left();
    request.abort(signal.aborted ? signal.reason : new AixgoError("CANCELLED", `${what} is not listened to any more`));
    if (reader !== undefined) discard(reader);
  }
}

async function open(call: ModelCall, abortSignal: AbortSignal): Promise<ReadableStreamDefaultReader<unknown>> {
  const { model, settings, prompt, functions, responseFormat } = call;
  const { stream } = await model.doStream({
    ...settings,
    prompt,
    ...(functions.length === 0 ? undefined : { tools: functions, toolChoice: { type: "auto" } }),
    ...(responseFormat === undefined ? undefined : { responseFormat }),
    includeRawChunks: false,
    abortSignal,
  });
  if (typeof stream?.getReader !== "function") throw new TypeError("doStream gave no stream");
  return stream.getReader();
}

/** A connection whose answer was read to the end serves the next call too; one that is cut off does not. */
async function readToEnd(reader: ReadableStreamDefaultReader<unknown>, deadline: Deadline): Promise<void> {
  try {
    for (let parts = 0; parts < MAX_LATE_PARTS; parts += 1) if ((await within(reader.read(), deadline)).done) return;
  } catch {
    // The answer is whole: what comes after it cannot spoil it.
  }
}

/** A stream that failed rejects to be cancelled, and a bad one may never answer: neither is news. */
function discard(reader: ReadableStreamDefaultReader<unknown>): void {
  reader.cancel().catch(() => {});
}
