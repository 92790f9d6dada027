import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertSafeName, assertUserText, isSafeName, isUserText, MAX_NAME_BYTES, MAX_USER_TEXT_BYTES } from "../src/index.ts";
import { HOSTILE_NAMES } from "./hostile-names.ts";

function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    expect(isAixgoError(error, "INVALID_INPUT")).toBe(true);
    return (error as Error).message;
  }
  return "accepted";
}

// lessons.md: "Path checks accept `.`, `CON`, `C:`, newline, bidi controls, `-rf`, and refuse `a..b`; NUL and long names leak absolute paths"
describe("one rule for names", () => {
  it.each(HOSTILE_NAMES.map(([name, problem]) => [JSON.stringify(name.slice(0, 30)), name, problem] as const))("%s", (_, name, problem) => {
    const message = messageOf(() => assertSafeName("agent name", name));
    expect(isSafeName(name)).toBe(problem === undefined);
    if (problem === undefined) expect(message).toBe("accepted");
    else {
      expect(message.startsWith("agent name ")).toBe(true);
      expect(message).toContain(problem);
    }
  });

  it("refuses every control, bidi and line-breaking character, and shows it escaped", () => {
    const ranges = [
      [0, 0x1f],
      [0x7f, 0x9f],
      [0x61c, 0x61c],
      [0x200e, 0x200f],
      [0x2028, 0x2029],
      [0x202a, 0x202e],
      [0x2066, 0x2069],
      [0xfffe, 0xffff],
      [0x10fffe, 0x10ffff],
    ] as const;
    for (const [first, last] of ranges) {
      for (let code = first; code <= last; code++) {
        const character = String.fromCodePoint(code);
        for (const check of [assertSafeName, assertUserText]) {
          const message = messageOf(() => check("name", `a${character}b`));
          expect(message).toContain(`contains the control character U+${code.toString(16).toUpperCase().padStart(4, "0")}`);
          expect(message).not.toContain(character);
        }
      }
    }
  });

  it("refuses what is no string", () => {
    for (const value of [undefined, null, 7, {}, ["a"], Symbol("a"), () => "a", new String("a")]) {
      expect(messageOf(() => assertSafeName("agent name", value))).toContain("is not a string");
      expect(messageOf(() => assertUserText("user id", value))).toContain("is not a string");
    }
  });

  it("its messages are short, printable and whole, whatever was given", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (name) => {
        for (const check of [assertSafeName, assertUserText]) {
          const message = messageOf(() => check("name", name));
          assert.ok(message.length < 600);
          assert.doesNotMatch(message, /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
        }
      }),
      { numRuns: 20_000 },
    );
  });

  it("what it accepts is bounded, normalized and without separators", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (name) => {
        if (!isSafeName(name)) return;
        assert.ok(Buffer.byteLength(name) <= MAX_NAME_BYTES);
        assert.equal(Buffer.from(name, "utf8").toString("utf8"), name);
        assert.equal(name.normalize("NFC"), name);
        assert.doesNotMatch(name, /[/\\\0\n:]|^[-.]|[. ]$/);
      }),
      { numRuns: 100_000 },
    );
  });
});

describe("user text", () => {
  it.each([
    "ada@example.com",
    "user-123",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "urn:example:user:ada",
    "DOMAIN\\ada",
    "https://id.example/ada?x=1",
    ".",
    "..",
    "-1",
    "می‌خواهم",
    "👩‍💻",
    "e\u0301",
    "x".repeat(MAX_USER_TEXT_BYTES),
  ])("accepts %j", (text) => {
    assertUserText("user id", text);
    expect(isUserText(text)).toBe(true);
  });

  it.each([
    ["", "is empty"],
    ["x".repeat(MAX_USER_TEXT_BYTES + 1), "is longer than 256 bytes"],
    ["é".repeat(129), "is longer than 256 bytes"],
    ["a\nb", "control character U+000A"],
    ["a\0b", "control character U+0000"],
    ["ada\u202e", "control character U+202E"],
    ["ada\u200b", "invisible character U+200B"],
    ["\ud800", "well-formed"],
    [" ada", "begins or ends with a space"],
    ["ada ", "begins or ends with a space"],
    ["ada\u00a0", "begins or ends with a space"],
  ])("refuses %j", (text, problem) => {
    expect(messageOf(() => assertUserText("user id", text))).toContain(problem);
  });
});
