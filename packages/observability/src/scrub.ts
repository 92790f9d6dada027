import { types } from "node:util";
import { isSecretName, redact } from "@aixgo/security";

/** What stands in the place of a secret, as in `redact`. */
const MASK = "[redacted]";
const UNREADABLE = "[unreadable]";
const MAX_DEPTH = 12;
const MAX_VALUES = 2_000;
/** Members by which a pair says what its `value` is. */
const NAMES_OF_PAIRS = ["name", "key", "header"];
/** A text that can be a name at all, `--password` of a command included. */
const NAME = /^[\w.-]{1,64}$/;

/** Of a text that may name what follows it, or may be anything. */
function isSecret(text: string): boolean {
  return NAME.test(text) && isSecretName(text);
}

/**
 * A copy of any value as plain data without secrets: every text goes through `redact`, names of members included, and what lies under
 * the name of a secret is masked whole. Bounded in depth and number of values; never throws, whatever getters and proxies do, and
 * calls nothing of the value but getters and `toJSON`.
 */
export function scrub(value: unknown, clean: (text: string) => string = redact): unknown {
  let values = 0;
  const within = new Set<object>();

  const copy = (current: unknown, depth: number): unknown => {
    values += 1;
    if (values > MAX_VALUES) return "[cut]";
    switch (typeof current) {
      case "string":
        return clean(current);
      case "bigint":
        return String(current);
      case "function":
      case "symbol":
        return `[${typeof current}]`;
      case "object":
        return current === null ? null : copyObject(current, depth);
      default:
        return current;
    }
  };

  const copyObject = (object: object, depth: number): unknown => {
    if (within.has(object)) return "[circular]";
    if (depth >= MAX_DEPTH) return "[too deep]";
    within.add(object);
    try {
      return members(object, depth + 1);
    } catch {
      return UNREADABLE;
    } finally {
      within.delete(object);
    }
  };

  const members = (object: object, depth: number): unknown => {
    if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer) return `[${object.byteLength} bytes]`;
    if (object instanceof Error) return copyError(object, depth);
    if (object instanceof URL || object instanceof URLSearchParams) return clean(object.toString());
    if (types.isStringObject(object)) return clean(String.prototype.toString.call(object));
    if (Array.isArray(object)) return copyList(object, depth);
    if (object instanceof Set) return copyList([...(object as ReadonlySet<unknown>)], depth);
    if (object instanceof Map)
      return entries(
        [...(object as ReadonlyMap<unknown, unknown>)].map(([key, value]) => [
          typeof key === "string" ? key : typeof key === "number" ? String(key) : `[${typeof key}]`,
          () => value,
        ]),
        depth,
      );
    const { toJSON } = object as { readonly toJSON?: unknown };
    if (typeof toJSON === "function") return copy((toJSON as () => unknown).call(object), depth);
    return entries(
      Object.keys(object).map((key) => [key, () => (object as Readonly<Record<string, unknown>>)[key]]),
      depth,
    );
  };

  const entries = (given: readonly (readonly [string, () => unknown])[], depth: number): object => {
    const pair = given.some(([key, read]) => NAMES_OF_PAIRS.includes(key) && isSecretText(read));
    const copied: [string, unknown][] = [];
    for (const [key, read] of given) {
      if (values > MAX_VALUES) {
        copied.push(["[cut]", true]);
        break;
      }
      copied.push([clean(key), copyMember(isSecretName(key) || (pair && key === "value"), read, depth)]);
    }
    return Object.fromEntries(copied);
  };

  const copyMember = (secret: boolean, read: () => unknown, depth: number): unknown => {
    try {
      const value = read();
      return secret && !tellsNothing(value) ? MASK : copy(value, depth);
    } catch {
      return UNREADABLE;
    }
  };

  /** Also `rawHeaders` and arguments of commands, where a name and its value follow each other. */
  const copyList = (list: readonly unknown[], depth: number): unknown[] => {
    const copied: unknown[] = [];
    for (let index = 0; index < list.length; index += 1) {
      if (values > MAX_VALUES) {
        copied.push("[cut]");
        break;
      }
      const before = list[index - 1];
      copied.push(copyMember(typeof before === "string" && isSecret(before), () => list[index], depth));
    }
    return copied;
  };

  const copyError = (error: Error, depth: number): unknown => {
    const own = Object.keys(error).filter((key) => !["name", "message", "stack", "cause", "errors"].includes(key));
    const copied = entries(
      [
        ["type", () => error.name],
        ["message", () => error.message],
        ...own.map((key) => [key, () => (error as unknown as Readonly<Record<string, unknown>>)[key]] as const),
        ["stack", () => error.stack],
        ...["cause", "errors"]
          .filter((key) => key in error)
          .map((key) => [key, () => (error as unknown as Readonly<Record<string, unknown>>)[key]] as const),
      ],
      depth,
    ) as { readonly type?: unknown };
    // Serializers of errors, pino's of `err` for one, take the type from the constructor, else from the name: unseen by all others.
    return Object.defineProperties(copied, { constructor: { value: undefined }, name: { value: copied.type } });
  };

  return copy(value, 0);
}

function isSecretText(read: () => unknown): boolean {
  try {
    const text = read();
    return typeof text === "string" && isSecret(text);
  } catch {
    return false;
  }
}

function tellsNothing(value: unknown): boolean {
  return value === undefined || value === null || value === "" || typeof value === "boolean";
}
