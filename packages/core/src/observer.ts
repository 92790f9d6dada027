import { textOfError } from "./failure.ts";
import type { Json } from "./message.ts";
import { type ActiveSpan, type Logger, type Metrics, noSpan, type Tracing } from "./telemetry.ts";

/** Names of what the runtime measures. Labels of calls: `agent` (`(unknown)` if there is none of that name), `kind`, `outcome`; of mail: `agent`, `outcome`. */
export const METRIC: {
  readonly count: "aixgo.call.count";
  readonly durationMs: "aixgo.call.duration_ms";
  readonly active: "aixgo.call.active";
  readonly abandoned: "aixgo.call.abandoned";
  readonly mailSent: "aixgo.mail.sent";
  readonly mailReceived: "aixgo.mail.received";
  readonly mailDropped: "aixgo.mail.dropped";
  readonly modelCount: "aixgo.model.count";
  readonly modelDurationMs: "aixgo.model.duration_ms";
  readonly modelTokens: "aixgo.model.tokens";
  readonly toolCount: "aixgo.tool.count";
  readonly toolDurationMs: "aixgo.tool.duration_ms";
  readonly turnDurationMs: "aixgo.turn.duration_ms";
} = {
  /** Calls that were answered, refused ones included; `outcome` is `ok`, `suspended` or the error's code. */
  count: "aixgo.call.count",
  /** From the call to its answer, in milliseconds. */
  durationMs: "aixgo.call.duration_ms",
  /** +1 when an agent begins, -1 when it has really ended. */
  active: "aixgo.call.active",
  /** Agents that went on working after their caller was answered. */
  abandoned: "aixgo.call.abandoned",
  /** Messages to mailboxes, refused ones included; `outcome` is `ok` or the error's code. */
  mailSent: "aixgo.mail.sent",
  /** Messages that a receiver was given. */
  mailReceived: "aixgo.mail.received",
  /** Messages that were taken in, and that nobody had received when the agent was unregistered or the runtime stopped. */
  mailDropped: "aixgo.mail.dropped",
  /** Requests to models, each attempt of its own. Labels of models: `agent`, `provider`, `model`, `outcome`. */
  modelCount: "aixgo.model.count",
  /** From the request to the end of its answer, in milliseconds; the time that a reader of the answer takes is in it. */
  modelDurationMs: "aixgo.model.duration_ms",
  /** Tokens of one request, where the provider tells them; label `type` is `input` or `output`, and there is no `outcome`. */
  modelTokens: "aixgo.model.tokens",
  /** Runs of tools. Labels: `agent`, `tool`, `outcome`. */
  toolCount: "aixgo.tool.count",
  /** In milliseconds. */
  toolDurationMs: "aixgo.tool.duration_ms",
  /** What a turn asked of the session's store, in milliseconds; labels `agent`, `step` (`open` with the waiting for other turns, `history`, `append`, `state`, `complete`, `suspend`, `fail`), `outcome`. */
  turnDurationMs: "aixgo.turn.duration_ms",
};

export const CALL_SPAN = "aixgo.call";

/** Names of the spans: a call of an agent; a request to a model; a run of a tool; what a turn asks of the session's store. */
export const SPAN: {
  readonly call: "aixgo.call";
  readonly model: "aixgo.model";
  readonly tool: "aixgo.tool";
  readonly turn: "aixgo.turn";
} = {
  call: CALL_SPAN,
  model: "aixgo.model",
  tool: "aixgo.tool",
  turn: "aixgo.turn",
};

export type CallKind = "call" | "stream" | "parallel" | "session" | "session-stream" | "resume" | "resume-stream" | "nested";

/** Telemetry that cannot break a call: what a logger, metrics or tracing library throws stays there. */
export interface Observer {
  readonly logger: Logger;
  readonly metrics: Metrics | undefined;
  /** Absent without tracing. */
  readonly span: (<T>(name: string, attributes: Record<string, Json>, body: (span: ActiveSpan) => Promise<T>) => Promise<T>) | undefined;
}

export function createObserver(logger: Logger, metrics: Metrics | undefined, tracing: Tracing | undefined): Observer {
  const safe = guardLogger(logger);
  return {
    logger: safe,
    metrics: metrics && guardMetrics(metrics, safe),
    span: tracing === undefined ? undefined : (name, attributes, body) => spanned(tracing, safe, name, attributes, body),
  };
}

/** The answer is the body's, whatever the tracer makes of it; the body runs once, also if the tracer fails before it called it. */
async function spanned<T>(
  tracing: Tracing,
  logger: Logger,
  name: string,
  attributes: Record<string, Json>,
  body: (span: ActiveSpan) => Promise<T>,
): Promise<T> {
  let running: Promise<T> | undefined;
  const once = (active?: ActiveSpan): Promise<T> => (running ??= body(active === undefined ? noSpan : guardSpan(active, logger)));
  let span: Promise<unknown> | undefined;
  const failed = (error: unknown): void => {
    if (running === undefined) logger.warn({ error: textOfError(error) }, "tracing failed");
  };
  try {
    span = Promise.resolve(tracing.span(name, attributes, once)).catch(failed);
  } catch (error) {
    failed(error);
  }
  // A tracer that awaits something before it calls the body.
  if (running === undefined) await span;
  return once();
}

function guardSpan(span: ActiveSpan, logger: Logger): ActiveSpan {
  return {
    set: (attributes) => guarded(logger, "tracing failed", () => span.set(attributes)),
    content: (kind, read) => guarded(logger, "tracing failed", () => span.content(kind, read)),
  };
}

function guardMetrics(metrics: Metrics, logger: Logger): Metrics {
  return {
    count: (name, by, labels) => guarded(logger, "metrics failed", () => metrics.count(name, by, labels)),
    observe: (name, value, labels) => guarded(logger, "metrics failed", () => metrics.observe(name, value, labels)),
  };
}

function guarded(logger: Logger, failed: string, record: () => void): void {
  try {
    record();
  } catch (error) {
    logger.warn({ error: textOfError(error) }, failed);
  }
}

function guardLogger(logger: Logger): Logger {
  const guarded =
    (level: keyof Logger) =>
    (fields: object, message: string): void => {
      try {
        logger[level](fields, message);
      } catch {
        // There is nowhere left to say it.
      }
    };
  return { debug: guarded("debug"), info: guarded("info"), warn: guarded("warn"), error: guarded("error") };
}
