import { type ActiveSpan, expectCount, expectMethods, type Json, type OptionRules, resolveOptions, type Tracing } from "@aixgo/core";
import { type Attributes, type Span, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import { writeMessages, writeValue } from "./content.ts";
import { ATTRIBUTE, isFailure, OWN, SCHEMA_URL } from "./conventions.ts";
import { failureOf } from "./failure.ts";
import { describeSpan, factsOf, type SpanSort } from "./span-description.ts";

export interface OpenTelemetryTracingOptions {
  /** @default the tracer `@aixgo/observability` of the provider that is registered when a span begins */
  readonly tracer?: Tracer;
  /**
   * Puts messages, instructions, and inputs and results of tools on the spans, without the secrets that are recognized; also the
   * messages of all errors. They hold what users wrote. @default false
   */
  readonly captureContent?: boolean;
  /** Longest attribute of content, in bytes; of messages the last ones that fit are kept. @default 32768 */
  readonly maxContentBytes?: number;
}

export const DEFAULT_MAX_CONTENT_BYTES: number = 32 * 1024;

export const TRACING_RULES: OptionRules<OpenTelemetryTracingOptions> = {
  tracer: expectMethods("startActiveSpan"),
  captureContent: (value) => (typeof value === "boolean" ? undefined : "true or false"),
  maxContentBytes: expectCount,
};

/**
 * Tracing for `withTracing`: a span for each call of an agent (`invoke_agent {name}`), request to a model (`chat {model}`), run of a
 * tool (`execute_tool {name}`) and step of a turn (`aixgo.turn {step}`), by the GenAI conventions of `GEN_AI_CONVENTIONS_VERSION`.
 *
 * Who is whose child is OpenTelemetry's own business: it needs a context manager, as every Node SDK of it registers one.
 *
 * @throws AixgoError `INVALID_OPTION` for an option that is unknown or does not fit, with its name
 */
export function createOpenTelemetryTracing(...given: readonly OpenTelemetryTracingOptions[]): Tracing {
  const options = resolveOptions("createOpenTelemetryTracing", given, TRACING_RULES);
  const { captureContent = false, maxContentBytes = DEFAULT_MAX_CONTENT_BYTES } = options;
  const tracerOf = (): Tracer =>
    options.tracer ?? trace.getTracerProvider().getTracer("@aixgo/observability", undefined, { schemaUrl: SCHEMA_URL });
  return {
    span(name, attributes, body) {
      const { title, kind, sort, facts } = describeSpan(name, attributes);
      return tracerOf().startActiveSpan(title, { kind, attributes: facts }, async (span) => {
        try {
          // A span that is not sampled is told nothing.
          return await (span.isRecording() ? body(activeSpan(span, sort, captureContent ? maxContentBytes : 0)) : body());
        } catch (error) {
          recordFailure(span, error, captureContent);
          throw error;
        } finally {
          span.end();
        }
      });
    },
  };
}

function activeSpan(span: Span, sort: SpanSort, maxBytes: number): ActiveSpan {
  return {
    set(attributes: Record<string, Json>) {
      const { outcome, ...rest } = attributes;
      span.setAttributes(factsOf(rest));
      if (typeof outcome !== "string") return;
      if (!isFailure(outcome)) {
        span.setAttribute(OWN.outcome, outcome);
        return;
      }
      span.setAttribute(ATTRIBUTE.errorType, outcome);
      span.setStatus({ code: SpanStatusCode.ERROR });
    },
    content(kind, read) {
      if (maxBytes === 0) return;
      span.setAttributes(contentOf(sort, kind, read(), maxBytes));
    },
  };
}

function contentOf(sort: SpanSort, kind: "input" | "output", content: unknown, maxBytes: number): Attributes {
  if (sort === "tool") {
    const written = writeValue(content, maxBytes);
    return kind === "input" ? { [ATTRIBUTE.toolCallArguments]: written } : { [ATTRIBUTE.toolCallResult]: written };
  }
  const { messages, instructions } = writeMessages(content, maxBytes);
  if (kind === "output") return { [ATTRIBUTE.outputMessages]: messages };
  return {
    [ATTRIBUTE.inputMessages]: messages,
    ...(instructions === undefined ? undefined : { [ATTRIBUTE.systemInstructions]: instructions }),
  };
}

function recordFailure(span: Span, error: unknown, withContent: boolean): void {
  const { type, message } = failureOf(error, withContent);
  span.setAttribute(ATTRIBUTE.errorType, type);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message === undefined ? undefined : { message }) });
  // Without its stack: that repeats the message, and names paths.
  span.recordException({ name: type, ...(message === undefined ? undefined : { message }) });
}
