import { AixgoError } from "@aixgo/core";
import { isWellFormed, quoted } from "./text.ts";

export interface JsonLimits {
  /** Longest JSON text, in bytes of UTF-8. @default 16 MiB */
  readonly maxBytes?: number;
  /** Deepest nesting of arrays and objects; a value without any is 0 deep. @default 128 */
  readonly maxDepth?: number;
  /** Most values, each array, object and member counted. @default 1000000 */
  readonly maxNodes?: number;
}

export const DEFAULT_JSON_LIMITS: Required<JsonLimits> = Object.freeze({ maxBytes: 16 * 1024 * 1024, maxDepth: 128, maxNodes: 1_000_000 });

/** Deeper than this, `JSON.stringify` and `JSON.parse` may overflow the stack. */
const DEEPEST = 1024;
/** The longest JSON text of one UTF-16 unit is `\u0000`. */
const LONGEST_UNIT = 6;
/** The longest JSON text of a number, as `-0.0000010000407893095372`. */
const LONGEST_NUMBER = 25;

type Container = readonly unknown[] | { readonly [key: string]: unknown };
/** Where the walk stands in one array or object. `keys` is undefined for arrays. */
interface Frame {
  readonly value: Container;
  readonly keys: readonly string[] | undefined;
  readonly size: number;
  next: number;
}

/**
 * Checks that a value is what JSON gives back unchanged, within limits, so that it is stored whole or refused.
 *
 * Accepted: null, booleans, finite numbers, well-formed strings, arrays without holes, plain objects of those. Refused: `undefined`
 * (also as a member), NaN, Infinity, BigInt, functions, symbols, class instances (Date, Map, Buffer …), `toJSON`, hidden or symbol
 * members, further members of arrays, cycles, lone surrogates in strings and keys. `-0` is stored as `0`. A member named `__proto__` is
 * data like any other: `JSON.parse` makes it an own member, and `cloneJson` does too.
 *
 * Walks without recursion, so that no depth overflows the stack. `what` begins the message, which names the place (`parts[0].data`), never the value.
 *
 * @throws AixgoError `INVALID_INPUT` for what is no JSON, `LIMIT_EXCEEDED` for what is too large, `INVALID_OPTION` for a limit that is none
 */
export function assertJson(value: unknown, limits: JsonLimits = DEFAULT_JSON_LIMITS, what = "value"): void {
  const { maxBytes, maxDepth, maxNodes } = limits === DEFAULT_JSON_LIMITS ? DEFAULT_JSON_LIMITS : resolve(limits);
  const frames: Frame[] = [];
  // Bounds of the length of the JSON text: the least it can be, and the most. Only between them is it measured.
  let least = 0;
  let most = 0;
  let nodes = 1;
  let current = value;
  for (;;) {
    let container: Container | undefined;
    switch (typeof current) {
      case "string":
        if (!isWellFormed(current)) throw invalid(what, frames, "holds a lone surrogate, which UTF-8 cannot carry");
        least += current.length + 2;
        most += current.length * LONGEST_UNIT + 2;
        break;
      case "number":
        if (!Number.isFinite(current)) throw invalid(what, frames, `is ${String(current)}, which JSON cannot hold`);
        least += 1;
        most += LONGEST_NUMBER;
        break;
      case "boolean":
        least += 4;
        most += 5;
        break;
      case "object":
        if (current === null) {
          least += 4;
          most += 4;
        } else container = current as Container;
        break;
      default:
        throw invalid(what, frames, `is ${typeof current === "undefined" ? "undefined" : `a ${typeof current}`}, which JSON cannot hold`);
    }
    if (container !== undefined) {
      if (frames.length >= maxDepth) throw tooLarge(what, frames, container, `is nested deeper than ${maxDepth} levels`);
      if (Array.isArray(container) && container.length > maxNodes)
        throw tooLarge(what, frames, container, `holds more than ${maxNodes} values`);
      const frame = enter(container, what, frames);
      nodes += frame.size;
      // Brackets and commas; a key's colon and quotes are counted with the key.
      least += 1 + Math.max(1, frame.size);
      most += 1 + Math.max(1, frame.size);
      if (nodes > maxNodes) throw tooLarge(what, frames, container, `holds more than ${maxNodes} values`);
      frames.push(frame);
    }
    if (least > maxBytes) throw tooLarge(what, frames, undefined, `is longer than ${maxBytes} bytes`);
    // On to the next value: the next member of the innermost container that has one.
    let frame = frames.at(-1);
    while (frame !== undefined && frame.next === frame.size) {
      frames.pop();
      frame = frames.at(-1);
    }
    if (frame === undefined) break;
    if (frame.keys === undefined) current = (frame.value as readonly unknown[])[frame.next++];
    else {
      const key = frame.keys[frame.next++] as string;
      if (!isWellFormed(key)) throw invalid(what, frames, "has a lone surrogate in its key, which UTF-8 cannot carry");
      least += key.length + 3;
      most += key.length * LONGEST_UNIT + 3;
      current = (frame.value as { readonly [key: string]: unknown })[key];
    }
  }
  if (most > maxBytes && Buffer.byteLength(JSON.stringify(value)) > maxBytes)
    throw new AixgoError("LIMIT_EXCEEDED", `${what} is longer than ${maxBytes} bytes`);
}

function resolve(limits: JsonLimits): Required<JsonLimits> {
  const known = { ...DEFAULT_JSON_LIMITS };
  for (const [name, limit] of Object.entries(limits) as [keyof JsonLimits, unknown][]) {
    if (!Object.hasOwn(known, name))
      throw new AixgoError("INVALID_OPTION", `unknown limit ${quoted(name)}; known are ${Object.keys(known).join(", ")}`);
    if (limit === undefined) continue;
    const top = name === "maxDepth" ? DEEPEST : Number.MAX_SAFE_INTEGER;
    if (!Number.isSafeInteger(limit) || (limit as number) < 0 || (limit as number) > top) {
      throw new AixgoError("INVALID_OPTION", `${name} must be a whole number from 0 to ${top}`);
    }
    known[name] = limit as number;
  }
  return known;
}

/** Checks what an array or object is beside its members. */
function enter(container: Container, what: string, frames: readonly Frame[]): Frame {
  if (Array.isArray(container)) {
    if (!isPlainArray(container)) throw invalid(what, frames, "is an instance of a class, which JSON cannot hold");
    if (typeof (container as { toJSON?: unknown }).toJSON === "function")
      throw invalid(what, frames, "has a toJSON method, which would change what is stored");
    const size = container.length;
    const own = Object.getOwnPropertyNames(container).length - 1 + Object.getOwnPropertySymbols(container).length;
    if (own < size) throw invalid(what, frames, "is an array with holes, which JSON cannot hold");
    if (own > size) throw invalid(what, frames, "is an array with further members, which JSON cannot hold");
    return { value: container, keys: undefined, size, next: 0 };
  }
  if (!isPlainObject(container)) throw invalid(what, frames, "is an instance of a class, which JSON cannot hold");
  if (typeof (container as { toJSON?: unknown }).toJSON === "function")
    throw invalid(what, frames, "has a toJSON method, which would change what is stored");
  // `Reflect.ownKeys` would be one call, but costs twice as much as these three.
  const keys = Object.keys(container);
  if (Object.getOwnPropertyNames(container).length !== keys.length || Object.getOwnPropertySymbols(container).length > 0)
    throw invalid(what, frames, "has a symbol or a hidden member, which JSON cannot hold");
  return { value: container, keys, size: keys.length, next: 0 };
}

/** An object literal, or one without a prototype; also of another realm, whose `Object.prototype` is another. */
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === Object.prototype ||
    prototype === null ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, "hasOwnProperty"))
  );
}

function isPlainArray(value: readonly unknown[]): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Array.prototype || (Array.isArray(prototype) && isPlainObject(prototype));
}

/** A cycle runs into the limit of depth or number; it is named for what it is. */
function tooLarge(what: string, frames: readonly Frame[], container: Container | undefined, problem: string): AixgoError {
  const seen = new Set<unknown>(container === undefined ? [] : [container]);
  for (const { value } of frames) {
    if (seen.has(value)) return invalid(what, frames, "holds itself, which JSON cannot hold");
    seen.add(value);
  }
  return new AixgoError("LIMIT_EXCEEDED", `${what} ${problem}`);
}

function invalid(what: string, frames: readonly Frame[], problem: string): AixgoError {
  const place = placeOf(frames);
  return new AixgoError("INVALID_INPUT", place === "" ? `${what} ${problem}` : `${what}: ${place} ${problem}`);
}

/** Where the walk stands, as `parts[0].data`; the middle of a long way is left out. */
function placeOf(frames: readonly Frame[]): string {
  const steps = frames.map(({ keys, next }) => {
    if (keys === undefined) return `[${next - 1}]`;
    const key = keys[next - 1] as string;
    return /^[A-Za-z_$][\w$]{0,63}$/.test(key) ? `.${key}` : `[${quoted(key)}]`;
  });
  const shown = steps.length <= 12 ? steps : [...steps.slice(0, 6), "…", ...steps.slice(-5)];
  return shown.join("").replace(/^\./, "");
}
