import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { asBuffer, claimedHash, endsWithHash, expectedHash, expectedHashIn, hashBehind, sealLine, TRAILER_BYTES } from "../src/chain.ts";

const corrupt = expect.objectContaining({ code: "ENTRY_CORRUPT", message: expect.stringMatching(/does not end with its hash/) }) as Error;
/** As the format says, with nothing of ours: SHA-256(previous hash ‖ "}⏎ ‖ the line before ,"hash":). */
const independent = (previous: string, body: string): string => createHash("sha256").update(`${previous}"}\n${body}`).digest("base64url");

const BODY = '{"v":1,"data":"ü"';
const first = sealLine("life", BODY);
const second = sealLine(first.hash, BODY);

describe("a sealed line", () => {
  it("is its body, then the hash of what lies before it in the file", () => {
    expect(first.line.toString()).toBe(`${BODY},"hash":"${independent("life", BODY)}"}`);
    expect(second.hash).toBe(independent(first.hash, BODY));
    expect(TRAILER_BYTES).toBe(',"hash":""}'.length + 43);
  });

  it("says its hash, and what it should be", () => {
    expect(claimedHash(second.line)).toBe(second.hash);
    expect(claimedHash(Uint8Array.from(second.line))).toBe(second.hash);
    expect(expectedHash(first.hash, second.line)).toBe(second.hash);
    expect(expectedHash("another", second.line)).toBe(independent("another", BODY));
  });

  it.each([
    ["nothing", ""],
    ["nothing but a trailer", `,"hash":"${"x".repeat(43)}"}`],
    ["another member", `{"a":1,"hush":"${"x".repeat(43)}"}`],
    ["a hash that is too short", `{"a":1,"hash":"${"x".repeat(42)}"}`],
    ["another end", `{"a":1,"hash":"${"x".repeat(43)}"]`],
    ["a line end", `${second.line.toString()}\n`],
  ])("does not end with its hash if that is %s", (_, text) => {
    expect(() => claimedHash(Buffer.from(text))).toThrow(corrupt);
  });

  it("of one byte and a trailer has a hash", () => {
    expect(claimedHash(Buffer.from(`x,"hash":"${"x".repeat(43)}"}`))).toBe("x".repeat(43));
  });

  it("that is shorter than a trailer is hashed as a line without a body", () => {
    expect(expectedHash("life", Buffer.from("short"))).toBe(independent("life", ""));
  });
});

describe("a line in a page", () => {
  const page = Buffer.concat([first.line, Buffer.from("\n"), second.line, Buffer.from("\n")]);
  const start = first.line.length + 1;
  const end = page.length - 1;

  it("has the same hash seen in the page as by itself", () => {
    expect(expectedHashIn(page, start, end, first.hash)).toBe(second.hash);
    expect(hashBehind(page, start, end)).toBe(second.hash);
  });

  it("is hashed without a copy where the line before it lies there", () => {
    const exact = Buffer.concat([Buffer.from(`${first.hash}"}\n`), second.line]);
    const copies = vi.spyOn(Buffer, "concat");
    try {
      expect(expectedHashIn(page, start, end, first.hash)).toBe(second.hash);
      expect(expectedHashIn(exact, 46, exact.length, first.hash)).toBe(second.hash);
      expect(copies).not.toHaveBeenCalled();
    } finally {
      copies.mockRestore();
    }
  });

  it("is hashed behind the hash that is told, whatever lies before it in the page", () => {
    expect(expectedHashIn(page, start, end, "y".repeat(43))).toBe(independent("y".repeat(43), BODY));
    expect(expectedHashIn(page, start, end, "life")).toBe(independent("life", BODY));
  });

  it("is hashed where nothing, or too little, lies before it", () => {
    const { length } = second.line;
    expect(expectedHashIn(second.line, 0, length, first.hash)).toBe(second.hash);
    expect(expectedHashIn(Buffer.concat([Buffer.from('"}\n'), second.line]), 3, length + 3, first.hash)).toBe(second.hash);
    const exact = Buffer.concat([Buffer.from(`${first.hash}"}\n`), second.line]);
    expect(expectedHashIn(exact, 46, exact.length, first.hash)).toBe(second.hash);
    const incarnation = Buffer.concat([Buffer.from('life"}\n'), first.line]);
    expect(expectedHashIn(incarnation, 7, incarnation.length, "life")).toBe(first.hash);
  });

  it("is not taken to lie behind a hash that is quoted elsewhere, in it or before it", () => {
    const start = 150;
    const hash = Buffer.from(first.hash);
    for (let at = 0; at < 250; at += 1) {
      if (at + 43 + 3 === start) continue;
      const bytes = Buffer.alloc(300, ".");
      bytes.set(hash, at);
      const trailer = Buffer.from(`,"hash":"${"-".repeat(43)}"}`);
      const quoting = Buffer.concat([bytes, trailer]);
      const expected = independent(first.hash, bytes.toString("latin1", start));
      expect([at, expectedHashIn(quoting, start, quoting.length, first.hash)]).toEqual([at, expected]);
    }
    const quoted = sealLine(first.hash, `${" ".repeat(40)}${first.hash}.`);
    expect(expectedHashIn(quoted.line, 0, quoted.line.length, first.hash)).toBe(quoted.hash);
  });

  it("that is shorter than a trailer borrows nothing from the line before", () => {
    const short = Buffer.concat([first.line, Buffer.from("\nshort")]);
    expect(expectedHashIn(short, start, short.length, first.hash)).toBe(independent(first.hash, ""));
  });

  it("ends with a hash only if that stands there whole, behind a body", () => {
    expect(endsWithHash(page, start, end, second.hash)).toBe(true);
    expect(endsWithHash(page, start, end, first.hash)).toBe(false);
    expect(endsWithHash(page, start, end - 1, second.hash)).toBe(false);
    const trailer = end - TRAILER_BYTES;
    expect(endsWithHash(page, trailer - 1, end, second.hash)).toBe(true);
    expect(endsWithHash(page, trailer, end, second.hash)).toBe(false);
    expect(endsWithHash(page, trailer + 1, end, second.hash)).toBe(false);
  });

  it("is seen through a Buffer over the same memory", () => {
    const bytes = new Uint8Array(page.buffer, page.byteOffset + 2, 5);
    expect(asBuffer(bytes)).toEqual(page.subarray(2, 7));
    expect(asBuffer(bytes).buffer).toBe(bytes.buffer);
    expect(asBuffer(page)).toBe(page);
  });
});
