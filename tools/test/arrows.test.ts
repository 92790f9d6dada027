import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { arrowProblems } from "../check-arrows.mjs";
import { findCycle } from "../cycles.mjs";
import { importsOf } from "../source-imports.mjs";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "aixgo-arrows-"));
  for (const [name, dependencies] of [
    ["core", []],
    ["security", ["core"]],
    ["session", ["core", "security"]],
    ["session-file", ["core", "security", "session"]],
    ["agents", ["core"]],
  ] as const) {
    write(`packages/${name}/package.json`, {
      name: `@aixgo/${name}`,
      exports: { ".": "./src/index.ts", ...(name === "session" ? { "./backend": "./src/backend.ts" } : {}) },
      dependencies: Object.fromEntries(dependencies.map((each) => [`@aixgo/${each}`, "workspace:^"])),
    });
    write(`packages/${name}/src/index.ts`, "export {};\n");
  }
  write("packages/session/src/backend.ts", "export {};\n");
  write("apps/chat/package.json", {
    name: "@aixgo-apps/chat",
    exports: { ".": "./src/main.ts" },
    dependencies: { "@aixgo/session": "workspace:^" },
  });
  write("apps/chat/src/main.ts", 'import "@aixgo/session";\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, content: string | object): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
}

describe("import arrows", () => {
  it("says nothing of a tree that keeps them", () => {
    write(
      "packages/session-file/src/index.ts",
      'import type { A } from "@aixgo/session/backend";\nimport { b } from "@aixgo/core";\nimport { c } from "./c.ts";\nexport type { A };\nexport { b, c };\n',
    );
    write("packages/session-file/src/c.ts", "// import x from '@aixgo/agents'\nexport const c = 'import \"@aixgo/agents\"';\n");
    write("packages/session-file/test/a.test.ts", 'import "@aixgo/session";\nimport "../src/index.ts";\n');
    expect(arrowProblems(root)).toEqual([]);
  });

  it.each<[string, string, string, string]>([
    ["an arrow that points up", "packages/core/src/index.ts", 'import "@aixgo/session";', "packages/core may not import @aixgo/session"],
    [
      "a type that points up",
      "packages/core/src/index.ts",
      'import type { A } from "@aixgo/session"; export type B = A;',
      "packages/core may not import @aixgo/session",
    ],
    [
      "a type within a type",
      "packages/core/src/index.ts",
      'export type B = import("@aixgo/session").A;',
      "packages/core may not import @aixgo/session",
    ],
    [
      "a re-export",
      "packages/agents/src/index.ts",
      'export { a } from "@aixgo/security";',
      "packages/agents may not import @aixgo/security",
    ],
    [
      "a late import",
      "packages/agents/src/index.ts",
      'export const a = () => import("@aixgo/session");',
      "packages/agents may not import @aixgo/session",
    ],
    [
      "the main face where only the backend's is open",
      "packages/session-file/src/index.ts",
      'import "@aixgo/session";',
      "packages/session-file may not import @aixgo/session",
    ],
    [
      "what is no face",
      "packages/agents/src/index.ts",
      'import "@aixgo/core/src/errors.ts";',
      "@aixgo/core/src/errors.ts is not a face of @aixgo/core",
    ],
    ["an app", "packages/agents/src/index.ts", 'import "@aixgo-apps/chat";', "nothing imports apps"],
    ["an app from an app", "apps/chat/src/main.ts", 'import "@aixgo-apps/other";', "nothing imports apps"],
    ["an app from a test", "packages/agents/test/a.test.ts", 'import "@aixgo-apps/chat";', "nothing imports apps"],
    [
      "a file of another package",
      "packages/agents/src/index.ts",
      'import "../../core/src/index.ts";',
      "../../core/src/index.ts leaves the package",
    ],
    [
      "a file of another package from a test",
      "packages/agents/test/a.test.ts",
      'import "../../core/src/index.ts";',
      "../../core/src/index.ts leaves the package",
    ],
    ["a file that is not shipped", "packages/agents/src/index.ts", 'import "../test/a.ts";', "../test/a.ts"],
    ["a file that is not there", "packages/agents/src/index.ts", 'import "./gone.ts";', "there is no ./gone.ts"],
    ["an absolute path", "packages/agents/src/index.ts", 'import "/etc/a.js";', "/etc/a.js is an absolute path"],
    ["its own name", "packages/agents/src/index.ts", 'import "@aixgo/agents";', "a package imports its own files by their path"],
    ["a package that nobody made", "packages/session/src/index.ts", 'import "@aixgo/other";', "there is no package @aixgo/other"],
    [
      "a computed name",
      "packages/agents/src/index.ts",
      "export const load = (name: string) => import(name);",
      "an import must name its module",
    ],
    [
      "a folder that the table does not know",
      "packages/extra/src/index.ts",
      "export {};",
      "the table of arrows does not know this package",
    ],
  ])("finds %s", (_, file, source, problem) => {
    if (file.includes("extra")) write("packages/extra/package.json", { name: "@aixgo/extra" });
    write(file, source);
    const problems = arrowProblems(root);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).toContain(file.includes("extra") ? "packages/extra" : file);
  });

  it("finds dependencies that the table does not allow, that are not the workspace's, or that are missing", () => {
    write("packages/core/package.json", {
      name: "@aixgo/core",
      exports: { ".": "." },
      peerDependencies: { "@aixgo/session": "workspace:^" },
    });
    write("packages/security/package.json", { name: "@aixgo/security", exports: { ".": "." }, dependencies: { "@aixgo/core": "^1.0.0" } });
    write("packages/agents/package.json", { name: "@aixgo/agents", exports: { ".": "." } });
    write("packages/agents/src/index.ts", 'import "@aixgo/core";');
    expect(arrowProblems(root)).toEqual([
      "packages/agents/src/index.ts:1: @aixgo/core is not among the dependencies of packages/agents/package.json",
      "packages/core/package.json: peerDependencies may not hold @aixgo/session",
      "packages/security/package.json: @aixgo/core must be taken from the workspace",
    ]);
  });

  it("finds files that import each other in a circle", () => {
    write("packages/core/src/a.ts", 'import { b } from "./b.ts";\nexport const a = b;');
    write("packages/core/src/b.ts", 'import type { C } from "./c.ts";\nexport const b: C = 1;');
    write("packages/core/src/c.ts", 'export { a } from "./a.ts";\nexport type C = number;');
    expect(arrowProblems(root)).toEqual([
      "packages/core/src/a.ts → packages/core/src/b.ts → packages/core/src/c.ts → packages/core/src/a.ts: files import each other in a circle",
    ]);
  });

  it("finds a package that the root project does not build", () => {
    write("tsconfig.json", { references: [{ path: "packages/core" }] });
    write("packages/core/tsconfig.json", {});
    write("packages/agents/tsconfig.json", {});
    expect(arrowProblems(root)).toEqual(["tsconfig.json: packages/agents is not among the references"]);
  });
});

it("reads imports, not comments or strings", () => {
  const source =
    '/* import "no" */ import a, { type B } from "one"; // import "no"\nimport type { C } from "two";\nconst s = `import "no"`; const r = /["\'`]import "no"/;\nexport * from "three"; await import(`four`);\nexport type { B, C }; export { a, s, r };';
  expect(importsOf("x.ts", source)).toEqual([
    { specifier: "one", line: 1, onlyTypes: false },
    { specifier: "two", line: 2, onlyTypes: true },
    { specifier: "three", line: 4, onlyTypes: false },
    { specifier: "four", line: 4, onlyTypes: false },
  ]);
  expect(() => importsOf("x.ts", "import {")).toThrow("x.ts");
});

it("finds a circle in a long chain, and none in a tree", () => {
  const chain = Array.from({ length: 50_000 }, (_, i) => [String(i), [String(i + 1)]] as [string, string[]]);
  expect(findCycle(new Map(chain))).toBeUndefined();
  expect(findCycle(new Map([...chain, ["50000", ["49999"]]]))).toEqual(["49999", "50000", "49999"]);
  expect(findCycle(new Map([["a", ["a"]]]))).toEqual(["a", "a"]);
  expect(
    findCycle(
      new Map([
        ["a", ["b", "c"]],
        ["b", ["d"]],
        ["c", ["d"]],
        ["d", []],
      ]),
    ),
  ).toBeUndefined();
});
