import type { Json } from "./message.ts";

/** Pino-compatible: the object first, then the text. Content of messages is never logged. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The seam a metrics library is plugged into. Labels have few distinct values: never ids. */
export interface Metrics {
  count(name: string, by: number, labels: Record<string, string>): void;
  observe(name: string, value: number, labels: Record<string, string>): void;
}

/** The seam a tracing library is plugged into. */
export interface Tracing {
  /**
   * Runs `body` once within a span of this name, and settles as it does. A tracer that hands `body` a span is told what becomes known
   * on the way. Spans that begin within `body` are its children.
   */
  span<T>(name: string, attributes: Record<string, Json>, body: (span?: ActiveSpan) => Promise<T>): Promise<T>;
}

/** A span that runs. */
export interface ActiveSpan {
  /** What is known only now; later values of the same name win. */
  set(attributes: Record<string, Json>): void;
  /** Offers content of messages. `read` is for tracers that were told to capture content; it may throw. */
  content(kind: "input" | "output", read: () => unknown): void;
}

/** The default logger: says nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** For tracers that hand over no span. */
export const noSpan: ActiveSpan = { set() {}, content() {} };
