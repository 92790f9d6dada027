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
  span<T>(name: string, attributes: Record<string, Json>, body: () => Promise<T>): Promise<T>;
}

/** The default logger: says nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
