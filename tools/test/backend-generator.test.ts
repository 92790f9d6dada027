import { execFile } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import backend from "../generators/backend/generator.mjs";
import { namesOf } from "../generators/backend/names.mjs";
import { withArrow, withReference } from "../generators/backend/registration.mjs";
import { importsOf } from "../source-imports.mjs";
import { filesBelow, ROOT, taskEnvironment, toolScript } from "../workspace.mjs";

const run = promisify(execFile);

/** What nx gives to a generator, on a folder. */
function treeOf(root: string): Parameters<typeof backend>[0] {
  return {
    exists: (path) => existsSync(join(root, path)),
    read: (path) => readFileSync(join(root, path), "utf8"),
    write(path, content) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    },
  };
}

describe("names", () => {
  it.each(["", "My-Store", "my_store", "-x", "x-", "a--b", "../x", "1st", "x".repeat(41), "é", undefined, true])(
    "%j is refused",
    (name) => {
      expect(() => namesOf({ name })).toThrow("no name of a store");
    },
  );

  it("a name that repeats the prefix is refused with the one that is meant", () => {
    expect(() => namesOf({ name: "session-disk" })).toThrow("the package is named session-disk by itself");
  });

  it.each(["..", "packages", "packages/a/b", "/tmp/x", "packages/../x", "lib/x", 'packages/x"', ""])(
    "directory %j is refused",
    (directory) => {
      expect(() => namesOf({ name: "x", directory })).toThrow("packages/<name> or apps/<name>");
    },
  );

  it("follow from each other", () => {
    expect(namesOf({ name: "my-store" })).toMatchObject({
      Name: "MyStore",
      directory: "packages/session-my-store",
      package: "@aixgo/session-my-store",
    });
    expect(namesOf({ name: "s3", directory: "./apps/s3-sessions/" })).toMatchObject({
      directory: "apps/s3-sessions",
      package: "@aixgo-apps/s3-sessions",
    });
  });
});

describe("registration", () => {
  const config = readFileSync(join(ROOT, "tsconfig.json"), "utf8");

  it.each(["packages/session-zebra", "apps/zebra"])("a reference to %s is added once, behind those of its kind", (directory) => {
    const next = withReference(config, directory) ?? "";
    const paths = (JSON.parse(next) as { references: { path: string }[] }).references.map(({ path }) => path);
    expect(paths.filter((path) => path === directory)).toHaveLength(1);
    expect(paths[paths.indexOf(directory) - 1]?.split("/")[0]).toBe(directory.split("/")[0]);
    expect(withReference(next, directory)).toBe(next);
  });

  it("a reference behind the last line of the list is valid JSON too", () => {
    const next = withReference('{\n  "references": [\n    { "path": "packages/core" }\n  ]\n}\n', "packages/x") ?? "";
    expect((JSON.parse(next) as { references: unknown[] }).references).toHaveLength(2);
  });

  it("what cannot be found is not guessed", () => {
    expect(withReference("{}", "packages/x")).toBeUndefined();
    expect(withArrow("const ARROWS = {};", "packages/x")).toBeUndefined();
    expect(withArrow("const ARROWS = {};", "apps/x")).toBe("const ARROWS = {};");
  });
});

describe("a scaffolded backend", () => {
  let root: string;
  beforeEach(() => {
    const artifacts = join(ROOT, ".artifacts");
    mkdirSync(artifacts, { recursive: true });
    root = mkdtempSync(join(artifacts, "generator-"));
    const own = ["core", "security", "session", "session-testkit"];
    const references = own.map((name) => `    { "path": "packages/${name}" }`).join(",\n");
    writeFileSync(join(root, "tsconfig.json"), `{\n  "files": [],\n  "references": [\n${references}\n  ]\n}\n`);
    for (const file of ["tsconfig.base.json", "vitest.base.ts", "vitest.setup.ts"]) copyFileSync(join(ROOT, file), join(root, file));
    mkdirSync(join(root, "tools"));
    cpSync(join(ROOT, "tools", "arrow-table.mjs"), join(root, "tools", "arrow-table.mjs"));
    mkdirSync(join(root, "node_modules", "@aixgo"), { recursive: true });
    mkdirSync(join(root, "packages"));
    for (const name of own) {
      symlinkSync(join(ROOT, "packages", name), join(root, "packages", name), "junction");
      symlinkSync(join(ROOT, "packages", name), join(root, "node_modules", "@aixgo", name), "junction");
    }
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("leaves an existing folder alone", () => {
    const tree = treeOf(root);
    expect(() => backend(tree, { name: "kit", directory: "packages/session" })).toThrow("packages/session exists already");
  });

  it("says what is to be added by hand where it finds no place", () => {
    writeFileSync(join(root, "tsconfig.json"), "{}");
    rmSync(join(root, "tools", "arrow-table.mjs"));
    backend(treeOf(root), { name: "my-store" });
    expect(readFileSync(join(root, "tsconfig.json"), "utf8")).toBe("{}");
  });

  it("compiles, imports what a store may, and fails the kit exactly where it is not written", { timeout: 120_000 }, async () => {
    backend(treeOf(root), { name: "my-store" });
    const folder = join(root, "packages", "session-my-store");
    const text = readFileSync(join(folder, "src", "my-store-backend.ts"), "utf8");
    expect(text).toContain("export function createMyStoreBackend(");
    expect(text).not.toMatch(/__\w+__/);
    expect(readFileSync(join(root, "tools", "arrow-table.mjs"), "utf8")).toContain('"packages/session-my-store": STORE,');
    for (const file of filesBelow("packages/session-my-store/src", [".ts"], root)) {
      for (const { specifier } of importsOf(file, readFileSync(join(root, file), "utf8")))
        expect(specifier, file).toMatch(/^(?:\.\/.*|@aixgo\/core|@aixgo\/session\/backend)$/);
    }

    await run(process.execPath, [toolScript("typescript", "tsc"), "-b", folder]);
    expect(existsSync(join(folder, "dist", "index.js"))).toBe(true);

    const report = join(root, "report.json");
    await run(process.execPath, [toolScript("vitest"), "run", "--root", folder, "--reporter=json", `--outputFile=${report}`], {
      env: taskEnvironment(),
    }).then(
      () => expect.unreachable("the kit passed a backend that is not written"),
      () => undefined,
    );
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
      testResults: { message: string; assertionResults: { title: string; status: string; failureMessages: string[] }[] }[];
    };
    expect(testResults.flatMap(({ message }) => (message === "" ? [] : [message]))).toEqual([]);
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const idOf = (title: string): string => title.split(": ")[0] ?? title;
    expect(
      results
        .filter(({ status }) => status === "passed")
        .map(({ title }) => idOf(title))
        .toSorted(),
    ).toEqual([
      "an unknown option is refused by name",
      "backend/capabilities",
      "backend/idle",
      "backend/offers",
      "no case of the kit is left out for want of a module",
      "processes/declared",
      "ttl/declared",
    ]);
    const failed = results.filter(({ status }) => status === "failed");
    expect(failed.length).toBeGreaterThan(100);
    // Each says which method is due, and what the contract wants of it; but for races, which count who won.
    const silent = failed.filter(({ failureMessages }) => !/\w+ is not written yet\. The contract: /.test(failureMessages.join("\n")));
    expect(silent.map(({ title }) => idOf(title)).filter((id) => !id.includes("race"))).toEqual([]);
    const due = new Set(failed.flatMap(({ failureMessages }) => /(\w+) is not written yet/.exec(failureMessages.join("\n"))?.[1] ?? []));
    expect(due).toContain("create");
    expect(due).toContain("list");
  });

  it("is reached through nx", { timeout: 120_000 }, async () => {
    const env = { ...taskEnvironment(), FORCE_COLOR: "0" };
    const nx = (...args: string[]): ReturnType<typeof run> =>
      run(process.execPath, [toolScript("nx"), "g", "./tools/generators:backend", ...args, "--dry-run"], {
        cwd: ROOT,
        env,
      });
    const { stdout } = await nx("dry-run-only");
    for (const path of ["package.json", "src/dry-run-only-backend.ts", "test/conformance.test.ts"])
      expect(stdout).toContain(`CREATE packages/session-dry-run-only/${path}`);
    expect(existsSync(join(ROOT, "packages", "session-dry-run-only"))).toBe(false);
    const error = await nx("Bad_Name").then(
      () => undefined,
      (thrown: { stdout: string; stderr: string }) => thrown,
    );
    expect(`${error?.stdout ?? ""}${error?.stderr ?? ""}`).toContain('"Bad_Name" is no name of a store');
    expect(`${error?.stdout ?? ""}${error?.stderr ?? ""}`).not.toContain("    at ");
  });
});
