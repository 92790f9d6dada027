import { isAixgoError } from "@aixgo/core";
import { expect, it } from "vitest";
import { assertSessionId, isSessionId, newEntryId, newSessionId, newToken } from "../src/index.ts";

const MANY = 100_000;

it.each([
  ["session id", newSessionId, /^[0-9a-f]{32}$/],
  ["entry id", newEntryId, /^[A-Za-z0-9_][A-Za-z0-9_-]{15}$/],
  ["token", newToken, /^[A-Za-z0-9_-]{22}$/],
] as const)("a new %s has its form and is never given twice", (_, make, form) => {
  const seen = new Set<string>();
  for (let i = 0; i < MANY; i++) {
    const id = make();
    if (!form.test(id)) expect(id).toMatch(form);
    seen.add(id);
  }
  expect(seen.size).toBe(MANY);
});

it("every position of an id varies over all its digits", () => {
  const seen = Array.from({ length: 32 }, () => new Set<string>());
  for (let i = 0; i < 2000; i++)
    newSessionId()
      .split("")
      .forEach((digit, at) => seen[at]?.add(digit));
  expect(seen.map((digits) => digits.size)).toEqual(Array.from({ length: 32 }, () => 16));
});

it("ids drawn in turns from one pool share no bytes", () => {
  const pieces = new Set<string>();
  let count = 0;
  for (let i = 0; i < 3000; i++) {
    for (const bytes of [
      Buffer.from(newSessionId(), "hex"),
      Buffer.from(newEntryId(), "base64url"),
      Buffer.from(newToken(), "base64url"),
    ]) {
      pieces.add(bytes.subarray(0, 8).toString("hex")).add(bytes.subarray(-8).toString("hex"));
      // The two ends of an entry's 12 bytes overlap but are not equal.
      count += 2;
    }
  }
  expect(pieces.size).toBe(count);
});

it("an id does not begin with the byte that the one before it ended with", () => {
  const tokens = Array.from({ length: 5000 }, () => Buffer.from(newToken(), "base64url"));
  const sessions = Array.from({ length: 5000 }, () => Buffer.from(newSessionId(), "hex"));
  for (const ids of [tokens, sessions]) {
    const same = ids.filter((id, i) => i > 0 && id[0] === ids[i - 1]?.at(-1)).length;
    // One in 256 by chance: about 20.
    expect(same).toBeLessThan(200);
  }
});

it("accepts the session ids that it makes and no others", () => {
  const id = newSessionId();
  assertSessionId(id);
  for (const other of [
    id.toUpperCase().replace(/^./, "A"),
    id.slice(1),
    `${id}0`,
    `${id}\n`,
    ` ${id}`,
    `../${id}`,
    "",
    ".",
    "0".repeat(31) + "g",
    undefined,
    null,
    7,
    [id],
  ]) {
    expect(isSessionId(other)).toBe(false);
    let error: unknown;
    try {
      assertSessionId(other);
    } catch (e) {
      error = e;
    }
    expect(isAixgoError(error, "INVALID_INPUT")).toBe(true);
  }
});
