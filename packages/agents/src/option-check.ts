import { AixgoError } from "@aixgo/core";
import { MAX_TIMER_MS } from "./deadline.ts";
import { isRecord, toJson } from "./json.ts";

/** What a check says is wrong, or nothing. */
export type Check = (value: unknown) => string | undefined;
export type Checks<O> = { readonly [K in keyof Required<O>]: Check };

export const text: Check = (value) => (typeof value === "string" ? undefined : "must be a text");
export const words: Check = (value) => (typeof value === "string" && value !== "" ? undefined : "must be a text that is not empty");
export const record: Check = (value) => (isRecord(value) ? undefined : "must be an object");
export const finite: Check = (value) => (Number.isFinite(value) ? undefined : "must be a number");
export const fraction: Check = (value) =>
  typeof value === "number" && value >= 0 && value <= 1 ? undefined : "must be a number from 0 to 1";
export const flag: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false");
export const names: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((each) => words(each) === undefined)
    ? undefined
    : "must be a list of agents' names that is not empty";
export const oneOf =
  (...known: readonly string[]): Check =>
  (value) =>
    known.includes(value as string) ? undefined : `must be one of ${known.join(", ")}`;
export const methods =
  (...named: readonly string[]): Check =>
  (value) =>
    isRecord(value) && named.every((each) => typeof value[each] === "function") ? undefined : `must be an object with ${named.join(", ")}`;
export const callable: Check = (value) => (typeof value === "function" ? undefined : "must be a function");
export const whole =
  (least: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least ? undefined : `must be a whole number from ${least}`;
export const duration: Check = (value) =>
  value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_TIMER_MS)
    ? undefined
    : `must be whole milliseconds from 1 to ${MAX_TIMER_MS}, or Infinity`;
export const json: Check = (value) => {
  try {
    toJson(value);
    return record(value);
  } catch (error) {
    return `must be JSON: it ${(error as Error).message}`;
  }
};
export const texts: Check = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === "string") ? undefined : "must be a list of texts";

export const schema: Check = (value) => {
  const standard = (value as { readonly "~standard"?: { readonly version?: unknown; readonly validate?: unknown } } | null | undefined)?.[
    "~standard"
  ];
  return standard?.version === 1 && typeof standard.validate === "function"
    ? undefined
    : "must be a Standard Schema, as of zod, valibot or arktype";
};

/** Owners that are functions of ours, not agents. */
const FACTORY = /^(?:(?:create|merge)[A-Z]\w*|sequential|parallel|router|reflection)$/;

/**
 * Checks what an owner was given: unknown members, members that do not fit, members that are missing.
 *
 * `owner` is a factory's name (`createXxx`) until the agent's is known. `prefix` is the path of the members: `settings.`.
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function check(
  owner: string,
  prefix: string,
  checks: Readonly<Record<string, Check>>,
  given: unknown,
  required: readonly string[],
): void {
  const place = prefix === "" ? "options" : prefix.slice(0, -1);
  if (!isRecord(given)) throw invalid(owner, `${place} must be an object`);
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(checks, key)) throw invalid(owner, `unknown option ${prefix}${key}; known are ${Object.keys(checks).join(", ")}`);
    const problem = value === undefined ? undefined : checks[key]?.(value);
    if (problem !== undefined) throw invalid(owner, `${prefix}${key} ${problem}`);
  }
  for (const key of required) if (given[key] === undefined) throw invalid(owner, `${prefix}${key} is missing`);
}

export function invalid(owner: string, problem: string): AixgoError {
  return new AixgoError("INVALID_OPTION", FACTORY.test(owner) ? `${owner}: ${problem}` : `agent "${owner}": ${problem}`);
}
