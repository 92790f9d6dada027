import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BadLine, readLines } from "../src/line-reader.ts";

async function linesOf(chunks: readonly Buffer[]): Promise<(string | BadLine)[]> {
  const input = (async function* () {
    yield* chunks;
  })();
  const all: (string | BadLine)[] = [];
  for await (const line of readLines(input)) all.push(line);
  return all;
}

describe("readLines", () => {
  it("splits at line feeds only, whatever the chunks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom("a", "é", "🙂", "\u2028", "\v", "\r", "\n", " ") })),
        fc.nat(7),
        async (texts, size) => {
          const bytes = Buffer.from(texts.join("\n"));
          const chunks: Buffer[] = [];
          for (let at = 0; at < bytes.length; at += size + 1) chunks.push(bytes.subarray(at, at + size + 1));
          const expected = bytes.toString().split("\n");
          if (expected.at(-1) === "") expected.pop();
          expect(await linesOf(chunks)).toEqual(expected.map((line) => line.replace(/\r$/, "")));
        },
      ),
    );
  });

  it("reports a line that is too long or not UTF-8, and goes on", async () => {
    const lines = await linesOf([
      Buffer.alloc(800_000, 0x61),
      Buffer.alloc(800_000, 0x61),
      Buffer.from("\nok\n"),
      Buffer.from([0xff, 0x0a]),
      Buffer.from("end"),
    ]);
    expect(lines).toEqual([{ problem: expect.stringContaining("more than") }, "ok", { problem: expect.stringContaining("UTF-8") }, "end"]);
  });
});
