import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "../workspace.mjs";

const page = readFileSync(join(ROOT, "docs", "lessons.md"), "utf8");

interface Row {
  readonly lesson: string;
  readonly tests: readonly { readonly path: string; readonly names: readonly string[] }[];
}

/** `path` "name", "name"; `path` "name" */
function rowsOf(text: string): Row[] {
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| what goes wrong "));
  return rows.map((line) => {
    const [, lesson = "", cell = ""] = /^\| (.+?) \| (.+) \|$/.exec(line) ?? [];
    const tests = [...cell.matchAll(/`([^`]+)`((?:,? "[^"]+")+)/g)].map(([, path = "", names = ""]) => ({
      path,
      names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name),
    }));
    return { lesson, tests };
  });
}

/** Whether a source names a test, or a case, so: in quotes, from the beginning, and to the end unless the page says "…". */
function isNamedIn(source: string, name: string): boolean {
  const isBeginning = name.endsWith("…");
  const text = isBeginning ? name.slice(0, -1).trimEnd() : name;
  return ['"', "`", "'"].some((quote) => source.includes(quote + text + (isBeginning ? "" : quote)));
}

describe("docs/lessons.md", () => {
  const rows = rowsOf(page);

  it("names tests for each lesson", () => {
    expect(rows.length).toBeGreaterThan(45);
    expect(rows.filter(({ lesson, tests }) => lesson === "" || tests.length === 0)).toEqual([]);
  });

  it("names only tests that there are", () => {
    const missing = rows.flatMap(({ tests }) =>
      tests.flatMap(({ path, names }) => {
        if (!existsSync(join(ROOT, path))) return [`there is no ${path}`];
        const source = readFileSync(join(ROOT, path), "utf8");
        return names.filter((name) => !isNamedIn(source, name)).map((name) => `${path} has no test "${name}"`);
      }),
    );
    expect(missing).toEqual([]);
  });

  it("is read as it is meant: a name that is not there, or only as a part of another, is noticed", () => {
    const source = 'it("keeps what it had", async () => {';
    expect(isNamedIn(source, "keeps what it had")).toBe(true);
    expect(isNamedIn(source, "keeps what…")).toBe(true);
    expect(isNamedIn(source, "keeps what")).toBe(false);
    expect(isNamedIn(source, "what it had")).toBe(false);
    expect(rowsOf('| a | `x.ts` "one", "two"; `y.ts` "three" |')).toEqual([
      {
        lesson: "a",
        tests: [
          { path: "x.ts", names: ["one", "two"] },
          { path: "y.ts", names: ["three"] },
        ],
      },
    ]);
  });
});
