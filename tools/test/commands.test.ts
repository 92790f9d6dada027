import { spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { run } from "../child.mjs";
import { pathsOf, PLAN } from "../mutation/plan.mjs";
import { readResults, withResults } from "../mutation/results.mjs";
import { compare, readReasons, survivorsOf } from "../mutation/survivors.mjs";
import { onePerKeystroke } from "../signals.mjs";
import { swallowedFlags } from "../swallowed-flags.mjs";
import { ROOT } from "../workspace.mjs";

const TOOLS = fileURLToPath(new URL("..", import.meta.url));

describe("options that npm took for its own", () => {
  const npm = { npm_lifecycle_event: "start" };
  it.each<[string, string[], NodeJS.ProcessEnv, string | undefined]>([
    ["npm start -- --user ada", ["--user", "ada"], npm, undefined],
    ["npm start", [], npm, undefined],
    ["npm start --user ada", ["ada"], { ...npm, npm_config_user: "true" }, "--user ada"],
    ["npm start --user=ada", [], { ...npm, npm_config_user: "ada" }, "--user ada"],
    ["npm start --user", [], { ...npm, npm_config_user: "true" }, "--user …"],
    ["npm start --user 'Ada L'", ["Ada L"], { ...npm, npm_config_user: "true" }, '--user "Ada L"'],
    [
      "npm start --session-dir /x --user ada",
      ["ada"],
      { ...npm, npm_config_session_dir: "/x", npm_config_user: "true" },
      "--user ada --session-dir /x",
    ],
    ["npm start --user ada -- --model m", ["ada", "--model", "m"], { ...npm, npm_config_user: "true" }, "--user ada --model m"],
    ["node tools/start.mjs --user ada", ["--user", "ada"], { npm_config_user: "x" }, undefined],
  ])("%s", (_, args, env, meant) => {
    expect(swallowedFlags(["user", "session-dir", "model"], args, env)).toBe(meant);
  });

  it("npm start says so in one line and runs nothing", () => {
    const env = { ...process.env, npm_lifecycle_event: "start", npm_config_user: "true" };
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${TOOLS}start.mjs`, "ada"], { env, encoding: "utf8" });
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: "",
      stderr: "npm kept your options for itself; use: npm start -- --user ada\n",
    });
  });
});

describe("one Ctrl-C", () => {
  it("arrives once, though npm passes it on too; the next one arrives again", () => {
    let now = 0;
    const emitter = new EventEmitter();
    const seen: unknown[] = [];
    onePerKeystroke(emitter, () => now);
    emitter.on("SIGINT", (signal) => seen.push(signal));
    emitter.on("SIGTERM", (signal) => seen.push(signal));
    for (const at of [0, 3, 500, 501, 502, 1000]) {
      now = at;
      emitter.emit("SIGINT", at);
    }
    emitter.emit("SIGTERM", "term");
    emitter.emit("SIGTERM", "term");
    expect(seen).toEqual([0, 500, 1000, "term", "term"]);
  });
});

describe("an older Node", () => {
  it("is told in one line what is missing", () => {
    const script = `Object.defineProperty(process.versions, "node", { value: VERSION }); await import(${JSON.stringify(`${TOOLS}node-version.mjs`)});`;
    const on = (version: string) =>
      spawnSync(process.execPath, ["--input-type=module", "-e", script.replace("VERSION", JSON.stringify(version))], { encoding: "utf8" });
    for (const version of ["12.22.0", "18.20.4", "20.18.3"]) {
      const { status, stderr } = on(version);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^aixgo needs Node\.js 20\.19 or newer; .*\n$/);
    }
    for (const version of ["20.19.0", "22.0.0", "24.1.0", "100.0.0"]) expect(on(version)).toMatchObject({ status: 0, stderr: "" });
  });

  it("parses the commands and what they import before the check", () => {
    for (const file of ["start.mjs", "verify.mjs", "run.mjs", "node-version.mjs"]) {
      const code = readFileSync(`${TOOLS}${file}`, "utf8").replace(/\/\/.*$/gm, "");
      expect(code, file).not.toMatch(/\?\.|\?\?|=>|`|\bawait\b|\bconst\b|\blet\b|from "(?!\.)/);
      // The only static import is the check itself; all else is loaded after it.
      expect([...code.matchAll(/^import\b.*$/gm)].map(([line]) => line)).toEqual(
        file === "node-version.mjs" ? [] : ['import "./node-version.mjs";'],
      );
    }
  });
});

describe("the mutation plan", () => {
  it("names modules and tests that there are", () => {
    for (const module of Object.keys(PLAN)) {
      const { source, tests } = pathsOf(module);
      expect(existsSync(`${ROOT}/${source}`), module).toBe(true);
      expect(tests.length).toBeGreaterThan(0);
      for (const test of tests) expect(existsSync(`${ROOT}/${test}`), test).toBe(true);
    }
  });

  it("has its results and reasons on the page, as the last runs left them", () => {
    const page = readFileSync(`${ROOT}/docs/mutation.md`, "utf8");
    const results = readResults();
    expect(Object.keys(results).sort()).toEqual(Object.keys(PLAN).sort());
    expect(withResults(page, results), "npm run test:mutation -- --page writes it").toBe(page);
  });

  it.each(Object.keys(PLAN))("has a reason for each that nobody noticed in %s, and its place is there", (module) => {
    const { mutants, noticed } = readResults()[module] ?? { mutants: 0, noticed: 0 };
    const reasons = readReasons(module);
    const source = readFileSync(`${ROOT}/${pathsOf(module).source}`, "utf8").split("\n");
    const lines = new Set(source.map((line) => line.trim()));
    expect(reasons.filter(({ line }) => !lines.has(line)).map(({ line }) => line)).toEqual([]);
    expect(reasons.filter(({ why }) => why.length < 20).map(({ line }) => line)).toEqual([]);
    expect(reasons.flatMap(({ mutants: told }) => told)).toHaveLength(mutants - noticed);
  });

  it("tells survivors without a reason, and reasons without a survivor", () => {
    const source = "const a = 1;\nif (a > 0 && b) {\n  go();\n}\n";
    const at = (line: number, column: number, endLine: number, endColumn: number) => ({
      start: { line, column },
      end: { line: endLine, column: endColumn },
    });
    const mutant = (status: string, replacement: string, location: ReturnType<typeof at>) => ({
      status,
      replacement,
      location,
      mutatorName: "M",
    });
    const found = survivorsOf({
      files: {
        "x.ts": {
          source,
          mutants: [
            mutant("Survived", "a >= 0", at(2, 5, 2, 10)),
            mutant("NoCoverage", "{}", at(2, 17, 4, 2)),
            mutant("Killed", "true", at(2, 5, 2, 15)),
          ],
        },
      },
    });
    expect(found).toEqual([
      { place: "x.ts:2:5 M", line: "if (a > 0 && b) {", mutant: "a > 0 → a >= 0" },
      { place: "x.ts:2:17 M, not reached", line: "if (a > 0 && b) {", mutant: "{ go(); } → {}" },
    ]);
    const why = "the edge is the same on both sides";
    const reasons = [{ line: "if (a > 0 && b) {", mutants: ["a > 0 → a >= 0", "a > 0 → a < 0"], why }];
    expect(compare(found, reasons)).toEqual({ unexplained: [found[1]], stale: ["if (a > 0 && b) {: a > 0 → a < 0"] });
    expect(compare(found, [{ ...reasons[0], line: "", mutants: [], why: "" }]).unexplained).toEqual(found);
  });
});

describe("children", () => {
  it("answer with code and output, and never reject", async () => {
    expect(await run(process.execPath, ["-e", "console.log(1); console.error(2); process.exit(3)"])).toMatchObject({
      code: 3,
      stdout: "1\n",
    });
    expect((await run("no-such-program-anywhere", [])).code).not.toBe(0);
    const late = await run(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { timeoutMs: 200 });
    expect(late.code).not.toBe(0);
    expect(late.output).toContain("SIGKILL");
  });

  it("an unknown task or argument is told with what is known", () => {
    const task = spawnSync(process.execPath, [`${TOOLS}run.mjs`, "toString"], { encoding: "utf8" });
    expect(task.status).toBe(2);
    expect(task.stderr).toContain("build | bench | bench:peers | bench:docs | demo:crash");
    const module = spawnSync(process.execPath, [`${TOOLS}mutation/main.mjs`, "toString"], { encoding: "utf8" });
    expect(module.status).toBe(2);
    expect(module.stderr).toContain("there is no module toString to break; there are session/line, session/chain,");
    const argument = spawnSync(process.execPath, [`${TOOLS}verify.mjs`, "--quick"], { encoding: "utf8" });
    expect(argument.status).toBe(2);
    expect(argument.stderr).toContain("--fast and --long");
  });
});
