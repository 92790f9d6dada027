import { AixgoError } from "./errors.ts";
import type { Json } from "./message.ts";

/** Deeper than any honest message, far below the depth at which `JSON.stringify` overflows the stack. */
const MAX_DEPTH = 200;
/** Values in one message. Ends the copying of an object graph that is small in memory and endless as a tree. */
const MAX_VALUES = 2_000_000;

/** `lib` es2023 does not know the method; Node 20 has it. */
type WellFormed = { isWellFormed(): boolean };

/** Values copied so far, shared by the parts of one message. */
export interface Budget {
  values: number;
}

/** An `INVALID_INPUT` that names the place: `message.parts[2].text is not a string`. */
export function invalid(path: string, problem: string): AixgoError {
  // Keys of the caller are part of the path: kept short and on one line.
  const place = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path).slice(1, -1);
  return new AixgoError("INVALID_INPUT", `${place} ${problem}`);
}

/** The string itself. Refused: anything else, and lone surrogates, which UTF-8 cannot carry. */
export function checkedString(value: unknown, path: string): string {
  if (typeof value !== "string") throw invalid(path, `is not a string but ${kindOf(value)}`);
  if (!(value as unknown as WellFormed).isWellFormed()) throw invalid(path, "is not well-formed Unicode (lone surrogate)");
  return value;
}

/** Whether a value is an object literal, of any realm; not an array, not an instance of a class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || (!Array.isArray(value) && Object.getPrototypeOf(prototype) === null);
}

/**
 * A deep copy that holds nothing but JSON, so that what is shown now is what is read back later.
 *
 * Members whose value is `undefined` are left out, as `JSON.stringify` does. Everything else that JSON would alter silently
 * (NaN, bigint, Date, Map, holes in arrays, symbol keys, lone surrogates) is refused. A member called `__proto__` stays a plain member.
 */
export function copyJson(value: unknown, path: string, budget: Budget, depth = 0): Json {
  if (typeof value === "string") return checkedString(value, path);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw invalid(path, `is ${value}, which JSON cannot carry`);
    return value === 0 ? 0 : value;
  }
  if (typeof value !== "object") throw invalid(path, `is ${kindOf(value)}, not JSON`);
  if (depth >= MAX_DEPTH) throw invalid(path, `lies deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    spend(budget, value.length, path);
    const copy: Json[] = [];
    for (let index = 0; index < value.length; index += 1) copy.push(copyJson(value[index], `${path}[${index}]`, budget, depth + 1));
    return copy;
  }
  if (!isPlainObject(value)) throw invalid(path, `is ${kindOf(value)}, not a plain object`);
  return copyMembers(value, path, budget, depth);
}

/** As `copyJson`, of what is known to be a plain object. */
export function copyMembers(value: Record<string, unknown>, path: string, budget: Budget, depth: number): { [key: string]: Json } {
  const keys = Object.keys(value);
  spend(budget, keys.length, path);
  if (Object.getOwnPropertySymbols(value).length > 0) throw invalid(path, "has a symbol as key");
  const copy: { [key: string]: Json } = {};
  for (const key of keys) {
    const member = value[key];
    if (member === undefined) continue;
    if (!(key as unknown as WellFormed).isWellFormed()) throw invalid(path, "has a key that is not well-formed Unicode (lone surrogate)");
    setMember(copy, key, copyJson(member, `${path}.${key}`, budget, depth + 1));
  }
  return copy;
}

function setMember(target: { [key: string]: Json }, key: string, value: Json): void {
  // Assignment to `__proto__` would set the prototype instead.
  if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

function spend(budget: Budget, count: number, path: string): void {
  budget.values += count;
  if (budget.values > MAX_VALUES) throw invalid(path, `makes the message larger than ${MAX_VALUES} values`);
}

/** For messages: what a value is, never what it holds. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return value === undefined ? "undefined" : `a ${typeof value}`;
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null;
  const name = prototype?.constructor?.name;
  return typeof name === "string" && name !== "" && name !== "Object" ? `an instance of ${name}` : "an object";
}
