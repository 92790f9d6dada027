import { AixgoError } from "./errors.ts";
import type { SessionHost } from "./session-host.ts";
import type { Logger, Metrics, Tracing } from "./telemetry.ts";

export interface RuntimeOptions {
  /** Without it every call is stateless. */
  readonly sessions?: SessionHost;
  readonly metrics?: Metrics;
  readonly tracing?: Tracing;
  /** @default silent */
  readonly logger?: Logger;
  /** Longest time of one call, in milliseconds; a call's own `timeoutMs` can only shorten it. @default none */
  readonly timeoutMs?: number;
  /** Calls that run at once; nested calls share their caller's slot. Others wait. @default unlimited */
  readonly maxConcurrentCalls?: number;
  /** Messages that the mailbox of one agent holds. @default 100 */
  readonly mailboxCapacity?: number;
  /**
   * What the messages in one mailbox hold at most: their text in bytes of UTF-8, and 16 for each of their values. One that is larger is
   * refused. @default 64 MiB
   */
  readonly mailboxMaxBytes?: number;
  /** Longest time that `send` and `broadcast` wait for room in a mailbox, in milliseconds; 0: not at all. @default 5000 */
  readonly sendTimeoutMs?: number;
  /** Longest time of one agent's `start`, in milliseconds; with `startPhased` until it is ready. @default 30000 */
  readonly agentStartTimeoutMs?: number;
}

/** Plain objects and `with…` functions mix and apply left to right. */
export type Option<O> = O | ((options: O) => O);
/** Also fits the options of any runtime that extends these. */
export type RuntimeOption = <O extends RuntimeOptions>(options: O) => O;

/** What each key must be: `undefined` if the value is fine, else what it should have been. */
export type OptionRules<O> = { readonly [K in keyof Required<O>]: (value: unknown) => string | undefined };

/** Longest delay that a timer of Node can have; a longer one would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

export const DEFAULT_AGENT_START_TIMEOUT_MS = 30_000;
export const DEFAULT_MAILBOX_CAPACITY = 100;
export const DEFAULT_MAILBOX_MAX_BYTES: number = 64 * 1024 * 1024;
export const DEFAULT_SEND_TIMEOUT_MS = 5_000;

/** For an option that is a time: more than 0 and at most 2147483647 milliseconds. */
export function expectMs(value: unknown): string | undefined {
  return typeof value === "number" && value > 0 && value <= MAX_TIMER_MS
    ? undefined
    : `a number of milliseconds, more than 0 and at most ${MAX_TIMER_MS}`;
}

/** The same, or 0 for no time at all. */
export function expectMsOrZero(value: unknown): string | undefined {
  return value === 0 || expectMs(value) === undefined ? undefined : `a number of milliseconds from 0 to ${MAX_TIMER_MS}`;
}

/** For an option that is a count: a whole number of at least 1. */
export function expectCount(value: unknown): string | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1 ? undefined : "a whole number of at least 1";
}

/** For an option that is an object with these methods. */
export function expectMethods(...names: readonly string[]): (value: unknown) => string | undefined {
  return (value) => {
    const object = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
    return names.every((name) => typeof object[name] === "function") ? undefined : `an object with ${names.join(", ")}`;
  };
}

/** The rules of `RuntimeOptions`, for runtimes that extend them. */
export const RUNTIME_OPTION_RULES: OptionRules<RuntimeOptions> = {
  sessions: expectMethods("openTurn", "cancelTurn", "agentOf", "attach", "follow"),
  metrics: expectMethods("count", "observe"),
  tracing: expectMethods("span"),
  logger: expectMethods("debug", "info", "warn", "error"),
  timeoutMs: expectMs,
  maxConcurrentCalls: expectCount,
  mailboxCapacity: expectCount,
  mailboxMaxBytes: expectCount,
  sendTimeoutMs: expectMsOrZero,
  agentStartTimeoutMs: expectMs,
};

/**
 * Mixes plain objects and `with…` functions, left to right, into one object that holds only what was set. A member that is
 * `undefined` counts as not given and leaves what an earlier option said.
 *
 * `of` begins the error messages: the name of the factory.
 * @throws AixgoError `INVALID_OPTION` for an unknown key or a value that its rule refuses, with the option's name
 */
export function resolveOptions<O extends object>(of: string, options: readonly Option<O>[], rules: OptionRules<O>): O {
  let merged: object = {};
  options.forEach((option, index) => {
    const given: unknown = typeof option === "function" ? option(merged as O) : option;
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw new AixgoError("INVALID_OPTION", `${of}: option ${index + 1} is neither an object nor a function that returns one`);
    }
    const next: Record<string, unknown> = typeof option === "function" ? {} : { ...merged };
    for (const [key, value] of Object.entries(given)) {
      if (!Object.hasOwn(rules, key))
        throw new AixgoError(
          "INVALID_OPTION",
          `${of}: there is no option ${JSON.stringify(key)}; known are ${Object.keys(rules).join(", ")}`,
        );
      if (value === undefined) continue;
      const expected = rules[key as keyof O](value);
      if (expected !== undefined) throw new AixgoError("INVALID_OPTION", `${of}: the option "${key}" must be ${expected}`);
      next[key] = value;
    }
    merged = next;
  });
  return Object.freeze(merged) as O;
}

/** Gives the runtime sessions: `callWithSession` and `streamWithSession` need it. The runtime never closes the manager. */
export function withSessionManager(sessions: SessionHost): RuntimeOption {
  return (options) => ({ ...options, sessions });
}

export function withMetrics(metrics: Metrics): RuntimeOption {
  return (options) => ({ ...options, metrics });
}

export function withTracing(tracing: Tracing): RuntimeOption {
  return (options) => ({ ...options, tracing });
}

export function withLogger(logger: Logger): RuntimeOption {
  return (options) => ({ ...options, logger });
}

export function withTimeout(timeoutMs: number): RuntimeOption {
  return (options) => ({ ...options, timeoutMs });
}

export function withMaxConcurrentCalls(maxConcurrentCalls: number): RuntimeOption {
  return (options) => ({ ...options, maxConcurrentCalls });
}

export function withAgentStartTimeout(agentStartTimeoutMs: number): RuntimeOption {
  return (options) => ({ ...options, agentStartTimeoutMs });
}

export function withMailboxCapacity(mailboxCapacity: number): RuntimeOption {
  return (options) => ({ ...options, mailboxCapacity });
}

export function withMailboxMaxBytes(mailboxMaxBytes: number): RuntimeOption {
  return (options) => ({ ...options, mailboxMaxBytes });
}

export function withSendTimeout(sendTimeoutMs: number): RuntimeOption {
  return (options) => ({ ...options, sendTimeoutMs });
}
