import type { Json } from "@aixgo/core";

type Container = unknown[] | { [key: string]: unknown };

/**
 * A deep copy of a JSON value: nothing is shared with the original, and nothing is frozen. No recursion, and a member named `__proto__` stays data.
 * The value must be one that `assertJson` accepts, or that `JSON.parse` made: cycles are not looked for.
 */
export function cloneJson<T extends Json>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  const copy = shell(value as unknown as Container);
  const from: Container[] = [value as unknown as Container];
  const to: Container[] = [copy];
  for (let source = from.pop(); source !== undefined; source = from.pop()) {
    const target = to.pop() as Container;
    if (Array.isArray(source)) {
      for (let i = 0; i < source.length; i++) (target as unknown[]).push(copyOf(source[i]));
    } else {
      for (const key of Object.keys(source)) {
        const member = copyOf(source[key]);
        if (key === "__proto__")
          Object.defineProperty(target, key, { value: member, writable: true, enumerable: true, configurable: true });
        else (target as { [key: string]: unknown })[key] = member;
      }
    }
  }
  return copy as unknown as T;

  function copyOf(member: unknown): unknown {
    if (typeof member !== "object" || member === null) return member;
    const empty = shell(member as Container);
    from.push(member as Container);
    to.push(empty);
    return empty;
  }
}

/**
 * Freezes a JSON value and all within it, in place, without recursion, and returns it.
 * The value must be one that `assertJson` accepts, or that `JSON.parse` made: cycles are not looked for.
 */
export function freezeJson<T extends Json>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  const open: Container[] = [value as unknown as Container];
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    Object.freeze(container);
    if (Array.isArray(container)) {
      for (let i = 0; i < container.length; i++) {
        const member = container[i];
        if (typeof member === "object" && member !== null) open.push(member as Container);
      }
    } else {
      for (const key in container) {
        const member = container[key];
        if (typeof member === "object" && member !== null) open.push(member as Container);
      }
    }
  }
  return value;
}

function shell(container: Container): Container {
  return Array.isArray(container) ? [] : {};
}
