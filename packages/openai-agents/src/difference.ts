import type { Json } from "@aixgo/core";

/**
 * What has to be done to one JSON value to make it another: `v` replaces it; `s` goes into members (of a list: by index), `d` drops
 * some. Absent: nothing, they are equal.
 */
export type Difference = { readonly v: Json } | { readonly s?: { readonly [key: string]: Difference }; readonly d?: readonly string[] };

type JsonObject = { readonly [key: string]: Json };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function difference(from: Json | undefined, to: Json): Difference | undefined {
  if (from === undefined || typeof from !== "object" || typeof to !== "object" || from === null || to === null)
    return from === to ? undefined : { v: to };
  if (Array.isArray(from) !== Array.isArray(to)) return { v: to };
  // A list that has grown or shrunk is given whole.
  if (Array.isArray(from) && from.length !== (to as readonly Json[]).length) return { v: to };
  const before = from as JsonObject;
  const members = Object.entries(to as JsonObject).flatMap(([key, value]) => {
    const change = difference(Object.hasOwn(before, key) ? before[key] : undefined, value);
    return change === undefined ? [] : [[key, change] as const];
  });
  const dropped = Object.keys(before).filter((key) => !Object.hasOwn(to, key));
  if (members.length === 0 && dropped.length === 0) return undefined;
  return {
    ...(members.length === 0 ? undefined : { s: Object.fromEntries(members) }),
    ...(dropped.length === 0 ? undefined : { d: dropped }),
  };
}

/** The inverse: `apply(from, difference(from, to))` is `to`. */
export function apply(from: Json | undefined, change: Difference | undefined): Json {
  if (change === undefined) return from ?? null;
  if ("v" in change) return change.v;
  const { s = {}, d = [] } = change;
  if (Array.isArray(from)) return from.map((item: Json, index) => (Object.hasOwn(s, index) ? apply(item, s[index]) : item));
  const before: JsonObject = isObject(from) ? from : {};
  const kept = Object.entries(before).filter(([key]) => !d.includes(key) && !Object.hasOwn(s, key));
  const changed = Object.entries(s).map(([key, each]) => [key, apply(Object.hasOwn(before, key) ? before[key] : undefined, each)] as const);
  return Object.fromEntries([...kept, ...changed]);
}

/** Equal as JSON, the order of members ignored. */
export function isSame(a: Json, b: Json): boolean {
  return difference(a, b) === undefined;
}
