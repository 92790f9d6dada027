import type { CallOptions, Principal, ResumeOptions, TurnOptions } from "./agent.ts";
import { AixgoError } from "./errors.ts";
import { expectMs, expectMsOrZero } from "./options.ts";

/** Options of a sub-call. */
export type NestedOptions = CallOptions & { readonly history?: boolean; readonly show?: boolean };

type Rule = (value: unknown) => string | undefined;
type WellFormed = { isWellFormed(): boolean };

const MAX_KEY_LENGTH = 512;

const SIGNAL: Rule = (value) => (isSignal(value) ? undefined : "an AbortSignal");
const CALL: { readonly [key: string]: Rule } = {
  signal: SIGNAL,
  timeoutMs: expectMs,
  principal: (value) =>
    isPrincipal(value) ? undefined : "an object with a string id, and optionally a string tenantId and an array of string roles",
};
const RESUME: { readonly [key: string]: Rule } = {
  ...CALL,
  ifBusy: (value) => (value === "queue" || value === "reject" || value === "interrupt" ? undefined : "queue, reject or interrupt"),
  queueTimeoutMs: expectMsOrZero,
};
const TURN: { readonly [key: string]: Rule } = {
  ...RESUME,
  turnKey: (value) => (isText(value) && value.length <= MAX_KEY_LENGTH ? undefined : `a string of 1 to ${MAX_KEY_LENGTH} characters`),
  ifSuspended: (value) => (value === "reject" || value === "decline" ? undefined : "reject or decline"),
};
const ATTACH: { readonly [key: string]: Rule } = {
  signal: CALL["signal"] as Rule,
  principal: CALL["principal"] as Rule,
  after: (value) => (isText(value) ? undefined : "a cursor"),
};
const NESTED: { readonly [key: string]: Rule } = {
  ...CALL,
  history: (value) => (typeof value === "boolean" ? undefined : "true or false"),
  show: (value) => (typeof value === "boolean" ? undefined : "true or false"),
};

/** Mail has no principal: what a receiver must know of its sender belongs into the message. */
export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Longest wait for room, in milliseconds; can only shorten the runtime's `sendTimeoutMs`. 0: none. */
  readonly timeoutMs?: number;
}
export interface ReceiveOptions {
  /** Ends the loop, as a stop of the runtime does: without an error. */
  readonly signal?: AbortSignal;
}

const SEND: { readonly [key: string]: Rule } = { signal: SIGNAL, timeoutMs: expectMsOrZero };
const HEALTH: { readonly [key: string]: Rule } = { timeoutMs: expectMs };
const STOP: { readonly [key: string]: Rule } = { graceMs: expectMsOrZero };
const SIGNAL_ONLY: { readonly [key: string]: Rule } = { signal: SIGNAL };

/** The options themselves, or none. Throws `INVALID_OPTION` with the name of what is unknown or does not fit. */
export function checkCallOptions(options: CallOptions | undefined, of: string = "call"): CallOptions {
  return check(of, options, CALL);
}

export function checkSendOptions(of: string, options: SendOptions | undefined): SendOptions {
  return check(of, options, SEND);
}

/** Options of `stop`. */
export function checkGrace(options: { readonly graceMs?: number } | undefined): number | undefined {
  return check("stop", options, STOP).graceMs;
}

/** Options of `health`. */
export function checkHealthTimeout(options: { readonly timeoutMs?: number } | undefined): number | undefined {
  return check("health", options, HEALTH).timeoutMs;
}

/** Options of `receive`, `start` and `startPhased`. */
export function checkSignalOption(of: string, options: ReceiveOptions | undefined): AbortSignal | undefined {
  return check(of, options, SIGNAL_ONLY).signal;
}

export function checkTurnOptions(options: TurnOptions | undefined, of: string = "callWithSession"): TurnOptions {
  return check(of, options, TURN);
}

export function checkResumeOptions(options: ResumeOptions | undefined, of: string = "resume"): ResumeOptions {
  return check(of, options, RESUME);
}

/** Of following a turn that runs. */
export interface TurnAttachOptions {
  /** The cursor of the last event that was seen, on whatever node. @default the beginning of the running turn, behind its input */
  readonly after?: string;
  /** Ends the following with `CANCELLED`; the turn goes on. */
  readonly signal?: AbortSignal;
  readonly principal?: Principal;
}

export function checkAttachOptions(options: TurnAttachOptions | undefined): TurnAttachOptions {
  return check("attach", options, ATTACH);
}

/** A sub-call acts for whom its caller acts: another principal is refused rather than ignored. */
export function checkNestedOptions(options: NestedOptions | undefined, principal: Principal | undefined): NestedOptions {
  const checked: NestedOptions = check("context.call", options, NESTED);
  const given = checked.principal;
  if (given !== undefined && (given.id !== principal?.id || given.tenantId !== principal.tenantId)) {
    throw new AixgoError(
      "INVALID_OPTION",
      'context.call: the option "principal" must be left out: a sub-call acts for the principal of its call',
    );
  }
  return checked;
}

const NONE: object = Object.freeze({});

function check<O extends object>(of: string, options: O | undefined, rules: { readonly [key: string]: Rule }): O {
  if (options === undefined) return NONE as O;
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new AixgoError("INVALID_OPTION", `${of}: the options must be an object`);
  for (const key of Object.keys(options)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined)
      throw new AixgoError(
        "INVALID_OPTION",
        `${of}: there is no option ${JSON.stringify(key)}; known are ${Object.keys(rules).join(", ")}`,
      );
    const value = (options as Record<string, unknown>)[key];
    const expected = value === undefined ? undefined : rule(value);
    if (expected !== undefined) throw new AixgoError("INVALID_OPTION", `${of}: the option "${key}" must be ${expected}`);
  }
  return options;
}

function isSignal(value: unknown): boolean {
  return typeof value === "object" && value !== null && "aborted" in value && "addEventListener" in value;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && (value as unknown as WellFormed).isWellFormed();
}

function isPrincipal(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { id, tenantId, roles } = value as Record<string, unknown>;
  return (
    isText(id) &&
    (tenantId === undefined || isText(tenantId)) &&
    (roles === undefined || (Array.isArray(roles) && roles.every((role) => typeof role === "string")))
  );
}
