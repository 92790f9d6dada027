import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { filesBelow, ROOT } from "../workspace.mjs";

const page = readFileSync(join(ROOT, "docs", "backends.md"), "utf8");
const source = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const areas = new Set<string>();
const cases = new Set<string>();
for (const file of filesBelow("packages/session-testkit/src/cases", [".ts"])) {
  for (const [, id = "", area = ""] of source(file).matchAll(/^ {4}id: "(([a-z]+)\/[a-z-]+)",$/gm)) {
    cases.add(id);
    areas.add(area);
  }
}
const named = [...page.matchAll(/`([a-z]+)\/([a-z-]+)`/g)].flatMap(([, area = "", rest = ""]) =>
  areas.has(area) ? [`${area}/${rest}`] : [],
);

describe("docs/backends.md", () => {
  it("names every case of the conformance kit, beside what it tests", () => {
    expect(cases.size).toBeGreaterThan(100);
    expect([...cases].filter((id) => !named.includes(id))).toEqual([]);
  });

  it("names no case that there is not", () => {
    expect(named.filter((id) => !cases.has(id))).toEqual([]);
  });

  it("explains every capability and every method of the contract", () => {
    const contract = source("packages/session/src/contract.ts");
    const members = (name: string): string[] =>
      [
        ...(new RegExp(`export interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(contract)?.[1] ?? "").matchAll(
          /^ {2}(?:readonly )?(\w+)\??[:(]/gm,
        ),
      ].map(([, member]) => member ?? "");
    expect(members("Capabilities")).toContain("durability");
    for (const capability of members("Capabilities")) expect(page).toContain(`| \`${capability}\` |`);
    for (const method of members("SessionBackend").filter((each) => !["name", "capabilities"].includes(each)))
      expect(page).toContain(`\`${method}\``);
  });

  it("explains every code that the contract may throw", () => {
    const codes = new Set(
      [...source("packages/session/src/contract.ts").matchAll(/`([A-Z]+(?:_[A-Z]+)+|CANCELLED|FENCED)`/g)].map(([, code = ""]) => code),
    );
    expect(codes).toContain("FENCED");
    const table = page.slice(page.indexOf("\n## Errors"), page.indexOf("\n## The stores"));
    expect([...codes].filter((code) => !table.includes(`\`${code}\``))).toEqual([]);
  });

  it("leads to what is there", () => {
    const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^a-z0-9 -]/g, "")
        .replaceAll(" ", "-"),
    );
    for (const [, anchor = ""] of page.matchAll(/\]\(#([^)]+)\)/g)) expect(headings).toContain(anchor);
    for (const [, path = ""] of page.matchAll(/\]\(\.\.\/([^)#]+)\)/g)) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });
});
