import assert from "node:assert/strict";
import { homedir } from "node:os";
import { join, resolve, sep } from "node:path";
import { isAixgoError } from "@aixgo/core";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { encodeSegment, expandHome, isSafeName, MAX_SEGMENT_BYTES, safeJoin } from "../src/index.ts";
import { HOSTILE_NAMES } from "./hostile-names.ts";

const FILE_NAME = /^(?:%|(?:[a-z0-9_]|%[0-9a-f]{2})(?:[a-z0-9_.-]|%[0-9a-f]{2})*(?:~[0-9a-f]{64})?|[a-z0-9_%.-]+~[0-9a-f]{64})$/;
const wellFormed = fc.string({ unit: "binary", maxLength: 60 }).filter((text) => !/\p{Surrogate}/u.test(text));

/** The text that a file name stands for, read by another way than it was written. */
function decode(name: string): string {
  if (name === "%") return "";
  return Buffer.concat(
    name.split(/(%[0-9a-f]{2})/).map((part) => (part.startsWith("%") ? Buffer.from(part.slice(1), "hex") : Buffer.from(part))),
  ).toString("utf8");
}

describe("encodeSegment", () => {
  it.each([
    ["assistant", "assistant"],
    ["Assistant", "%41ssistant"],
    ["a..b", "a..b"],
    ["a b", "a%20b"],
    ["", "%"],
    [".", "%2e"],
    ["..", "%2e%2e"],
    [".hidden", "%2ehidden"],
    ["trail.", "trail%2e"],
    ["-rf", "%2drf"],
    ["con", "%63on"],
    ["nul.txt", "%6eul.txt"],
    ["CON", "%43%4f%4e"],
    ["100%", "100%25"],
    ["~", "%7e"],
    ["é", "%c3%a9"],
  ])("%j becomes %j", (text, name) => {
    expect(encodeSegment(text)).toBe(name);
  });

  it("no two texts share a name, also where case is ignored, and every name is one plain file name", () => {
    fc.assert(
      fc.property(wellFormed, wellFormed, (a, b) => {
        const [x, y] = [encodeSegment(a), encodeSegment(b)];
        assert.match(x, FILE_NAME);
        assert.ok(Buffer.byteLength(x) <= MAX_SEGMENT_BYTES);
        assert.equal(x.toLowerCase(), x);
        assert.doesNotMatch(x, /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|[. ]$/);
        if (!x.includes("~")) assert.equal(decode(x), a);
        assert.equal(x === y, a === b);
      }),
      { numRuns: 100_000 },
    );
  });

  it("texts that differ only in case, form or their far end stay apart", () => {
    const long = "Ä".repeat(500);
    const texts = [
      "ada",
      "Ada",
      "ADA",
      "é",
      "e\u0301",
      "k",
      "\u212a",
      "ß",
      "ss",
      "SS",
      long,
      `${long}x`,
      `${long}y`,
      `x${long}`,
      "%61",
      "a",
      "%",
      "",
      encodeSegment(long),
      ...HOSTILE_NAMES.map(([name]) => name).filter((name) => !/\p{Surrogate}/u.test(name)),
    ];
    const different = new Set(texts);
    expect(new Set([...different].map((text) => encodeSegment(text).normalize("NFKC").toUpperCase())).size).toBe(different.size);
  });

  it("a text of lone surrogates, which UTF-8 would make one, is refused", () => {
    for (const text of ["\ud800", "a\udfff"]) expect(() => encodeSegment(text)).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  });
});

describe("safeJoin", () => {
  const root = resolve("/srv/store");

  it("joins plain segments and names made by encodeSegment", () => {
    expect(safeJoin(root)).toBe(root);
    expect(safeJoin(root, "sessions", ".lock", encodeSegment(".."))).toBe(join(root, "sessions", ".lock", "%2e%2e"));
  });

  it.each([
    "",
    ".",
    "..",
    "...",
    "../x",
    "a/b",
    "a\\b",
    "/etc",
    "C:",
    "C:\\x",
    "a\0b",
    "a\nb",
    ".. ",
    "..\u0000",
    "x.",
    "a\u202eb",
    "\ud800",
    "\\\\server",
  ])("refuses the segment %j", (segment) => {
    let error: unknown;
    try {
      safeJoin(root, "a", segment);
    } catch (e) {
      error = e;
    }
    expect(isAixgoError(error, "INVALID_INPUT")).toBe(true);
    expect((error as Error).message).not.toContain(root);
  });

  it("never leaves its root, whatever the segments are", () => {
    const piece = fc.oneof(
      fc.constantFrom("..", ".", "/", "\\", "a", "..\\", "../", "%2e%2e", "C:", "~", ""),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    const segment = fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join(""));
    let joined = 0;
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 4 }), (segments) => {
        let path: string;
        try {
          path = safeJoin(root, ...segments);
        } catch (error) {
          if (!isAixgoError(error, "INVALID_INPUT")) throw error;
          return;
        }
        joined++;
        assert.ok(path === root || path.startsWith(root + sep));
        assert.equal(resolve(path), path);
        assert.deepEqual(path.slice(root.length).split(sep).filter(Boolean), segments);
      }),
      { numRuns: 100_000 },
    );
    expect(joined).toBeGreaterThan(1000);
  });

  it("every name that is safe makes a path of one segment", () => {
    for (const [name] of HOSTILE_NAMES) {
      if (isSafeName(name)) expect(safeJoin(root, encodeSegment(name)).slice(root.length + 1)).toBe(encodeSegment(name));
    }
  });
});

describe("expandHome", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("expands ~ and ~/… and leaves all else", () => {
    expect(expandHome("~")).toBe(join(homedir(), "."));
    expect(expandHome("~/.aixgo/sessions")).toBe(join(homedir(), ".aixgo", "sessions"));
    for (const path of ["/srv/~x", "a/~/b", "./~", "relative", ""]) expect(expandHome(path)).toBe(path);
  });

  it("says what to do without a home folder", () => {
    vi.stubEnv("HOME", "");
    vi.stubEnv("USERPROFILE", "");
    expect(() => expandHome("~/x")).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining("Set HOME") }),
    );
    expect(expandHome("/x")).toBe("/x");
  });

  it.each(["~ada", "~ada/x", "~\0", "a\0b"])("refuses %j", (path) => {
    expect(() => expandHome(path)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});
