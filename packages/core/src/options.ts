import type { SessionHost } from "./session-host.ts";
import type { Logger, Metrics, Tracing } from "./telemetry.ts";

export interface RuntimeOptions {
  /** Without it every call is stateless. */
  readonly sessions?: SessionHost;
  readonly metrics?: Metrics;
  readonly tracing?: Tracing;
  /** @default silent */
  readonly logger?: Logger;
  /** Longest time of one call, in milliseconds. @default none */
  readonly timeoutMs?: number;
  /** Calls that run at once; nested calls share their caller's slot. Others wait. @default unlimited */
  readonly maxConcurrentCalls?: number;
  /** Longest time of one agent's `start`, in milliseconds. @default 30000 */
  readonly agentStartTimeoutMs?: number;
}

/** Plain objects and `with…` functions mix and apply left to right. */
export type Option<O> = O | ((options: O) => O);
/** Also fits the options of any runtime that extends these. */
export type RuntimeOption = <O extends RuntimeOptions>(options: O) => O;
