import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import { createMemoryBackend, createSessionManager, type Session } from "../src/index.ts";
import { placeLine } from "../src/line.ts";
import { createMemoryStore } from "../src/memory-backend.ts";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

/** A store whose log was changed behind our back: `change` sees all lines of the log. */
function tampered(backend: SessionBackend, change: (lines: Buffer[]) => Buffer[]): SessionBackend {
  return new Proxy(backend, {
    get: (target, name, receiver) => {
      const member = Reflect.get(target, name, receiver) as unknown;
      if (name === "read") {
        return async function* (...[ref, range = {}]: Parameters<SessionBackend["read"]>) {
          const pages: Uint8Array[] = [];
          for await (const page of target.read(ref)) pages.push(page);
          const lines = Buffer.concat(pages)
            .toString("latin1")
            .split("\n")
            .slice(0, -1)
            .map((line) => Buffer.from(line, "latin1"));
          const chosen = change(lines).slice(range.from ?? 0, (range.to ?? Number.POSITIVE_INFINITY) + 1);
          if (chosen.length > 0) yield Buffer.concat(chosen.flatMap((line) => [line, Buffer.from("\n")]));
        };
      }
      return typeof member === "function" ? (member as (...parameters: unknown[]) => unknown).bind(target) : member;
    },
  });
}

async function store(change: (lines: Buffer[]) => Buffer[]): Promise<Session> {
  const shared = createMemoryStore();
  const s = await createSessionManager({ backend: createMemoryBackend({ store: shared }) }).create("x");
  await s.append(["one", "two"]);
  await s.checkpoint();
  await s.turn("three", async () => "four");
  const reader = createSessionManager({ backend: tampered(createMemoryBackend({ store: shared }), change) });
  return reader.get(s.id);
}

describe("a log that was changed", () => {
  it.each<[string, (lines: Buffer[]) => Buffer[]]>([
    ["a missing line", (lines) => lines.toSpliced(2, 1)],
    ["a doubled line", (lines) => lines.toSpliced(2, 0, lines[2] as Buffer)],
    ["two lines that changed places", (lines) => lines.with(1, lines[2] as Buffer).with(2, lines[1] as Buffer)],
    [
      "a line of another session",
      (lines) =>
        lines.with(
          2,
          placeLine(
            { seq: 1, hash: "x".repeat(43), headSeq: 1, headId: "y", headHash: "z", n: 1 },
            { id: "q", type: "message", data: "{}" },
            0,
            1,
            "2026-01-01T00:00:00.000Z",
          ).line,
        ),
    ],
    ["a lost tail", (lines) => lines.slice(0, -1)],
    ["a word that was exchanged", (lines) => lines.map((line) => Buffer.from(line.toString().replace("two", "2wo")))],
  ])("%s is reported with its place, and is never returned as history", async (_, change) => {
    const s = await store(change);
    await expect(s.messages()).rejects.toThrow(withCode("ENTRY_CORRUPT"));
    const { problems } = await s.verify();
    expect(problems.map(({ code }) => code)).toContain("ENTRY_CORRUPT");
  });

  it("any flipped bit in any line is found", async () => {
    let flip = { line: 0, bit: 0 };
    const s = await store((lines) =>
      lines.map((line, index) => {
        if (index !== flip.line % lines.length) return line;
        const copy = Buffer.from(line);
        const at = flip.bit % (copy.length * 8);
        copy.writeUInt8((copy[at >> 3] as number) ^ (1 << (at & 7)), at >> 3);
        return copy;
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (line, bit) => {
        flip = { line, bit };
        expect((await s.verify()).problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  it("an intact one has no problems", async () => {
    const s = await store((lines) => lines);
    expect(await s.verify()).toEqual({ entries: 8, problems: [] });
  });
});
