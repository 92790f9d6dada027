import { textOfError } from "./failure.ts";
import type { Json } from "./message.ts";
import type { Logger, Metrics, Tracing } from "./telemetry.ts";

/** Names of what the runtime measures. Labels of calls: `agent` (`(unknown)` if there is none of that name), `kind`, `outcome`; of mail: `agent`, `outcome`. */
export const METRIC: {
  readonly count: "aixgo.call.count";
  readonly durationMs: "aixgo.call.duration_ms";
  readonly active: "aixgo.call.active";
  readonly abandoned: "aixgo.call.abandoned";
  readonly mailSent: "aixgo.mail.sent";
  readonly mailReceived: "aixgo.mail.received";
  readonly mailDropped: "aixgo.mail.dropped";
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
};

export const CALL_SPAN = "aixgo.call";

export type CallKind = "call" | "stream" | "parallel" | "session" | "session-stream" | "resume" | "resume-stream" | "nested";

/** Telemetry that cannot break a call: what a logger, metrics or tracing library throws stays there. */
export interface Observer {
  readonly logger: Logger;
  readonly metrics: Metrics | undefined;
  /** Absent without tracing. */
  readonly span: (<T>(attributes: Record<string, Json>, body: () => Promise<T>) => Promise<T>) | undefined;
}

export function createObserver(logger: Logger, metrics: Metrics | undefined, tracing: Tracing | undefined): Observer {
  const safe = guardLogger(logger);
  return {
    logger: safe,
    metrics: metrics && guardMetrics(metrics, safe),
    span: tracing === undefined ? undefined : (attributes, body) => spanned(tracing, safe, attributes, body),
  };
}

/** The answer is the body's, whatever the tracer makes of it; the body runs once, also if the tracer fails before it called it. */
async function spanned<T>(tracing: Tracing, logger: Logger, attributes: Record<string, Json>, body: () => Promise<T>): Promise<T> {
  let running: Promise<T> | undefined;
  const once = (): Promise<T> => (running ??= body());
  let span: Promise<unknown> | undefined;
  const failed = (error: unknown): void => {
    if (running === undefined) logger.warn({ error: textOfError(error) }, "tracing failed");
  };
  try {
    span = Promise.resolve(tracing.span(CALL_SPAN, attributes, once)).catch(failed);
  } catch (error) {
    failed(error);
  }
  // A tracer that awaits something before it calls the body.
  if (running === undefined) await span;
  return once();
}

function guardMetrics(metrics: Metrics, logger: Logger): Metrics {
  const guarded = (record: () => void): void => {
    try {
      record();
    } catch (error) {
      logger.warn({ error: textOfError(error) }, "metrics failed");
    }
  };
  return {
    count: (name, by, labels) => guarded(() => metrics.count(name, by, labels)),
    observe: (name, value, labels) => guarded(() => metrics.observe(name, value, labels)),
  };
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
