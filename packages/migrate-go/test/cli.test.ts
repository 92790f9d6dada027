import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { describe, expect, it, onTestFinished } from "vitest";
import { run as program } from "../src/program.ts";
import { contentsOf, fixtureCopy, goId, goLine, goTime, ourId, readAsGo, tempFolder, uuid } from "./support/go-store.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const text = { out: "", err: "" };
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => (text.out += piece));
  child.stderr?.setEncoding("utf8").on("data", (piece: string) => (text.err += piece));
  return { child, ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, ...text }))) };
}

/** As a process of its own. */
const spawned = async (...args: string[]): Promise<Ended> => start(args).ended;

/** The same program in this process. */
async function run(...args: string[]): Promise<Ended> {
  const text = { out: "", err: "" };
  const screen = { out: (piece: string) => (text.out += piece), err: (piece: string) => (text.err += piece), isWatched: false };
  return { code: await program(args, screen, new AbortController().signal), ...text };
}

describe("aixgo-migrate-go", () => {
  it("import: reports each session, and again only what is new", async () => {
    const [from, to] = [fixtureCopy(), join(tempFolder(), "new")];
    const first = await spawned("import", "--from", from, "--to", to);
    expect(first).toMatchObject({ code: 0, err: "" });
    expect(first.out).toContain(
      `imported assistant/${goId("restored")} as ${ourId("restored")}: 4 messages, 1 other branch, user "bob" (the one that getOrCreate finds)`,
    );
    expect(first.out).toContain("         note: line 4 holds no message (a nil message was appended): left out\n");
    expect(first.out).toContain("Imported 11, updated 0, already there 0, skipped 0; with notes 2.\n");
    const second = await run("import", "--from", from, "--to", to);
    expect(second.out).not.toContain(goId("restored"));
    expect(second.out).toContain("Imported 0, updated 0, already there 11, skipped 0; with notes 2.\n");
  });

  it("import --dry-run makes nothing, not even the folder; --json is the whole report", async () => {
    const [from, to] = [fixtureCopy(), join(tempFolder(), "new")];
    const { code, out } = await run("import", "--from", from, "--to", to, "--dry-run", "--json", "--agent", "assistant");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ imported: 9, skipped: 0, isSourceInUse: false, notes: [] });
    expect(existsSync(to)).toBe(false);
    expect((await run("import", "--from", from, "--to", to, "--dry-run")).out).toContain("Would import 11,");
  });

  it("export writes what the Go release reads, and refuses a folder that is not empty", async () => {
    const [from, to] = [fixtureCopy(), join(tempFolder(), "out")];
    await run("import", "--from", from, "--to", from);
    const { code, out } = await run("export", "--from", from, "--to", to);
    expect(code).toBe(3);
    expect(out).toMatch(/skipped .*too-long|skipped {2}Writer No 2/);
    expect(out).toContain("Exported 10, skipped 1.\n");
    expect(readAsGo(to)[goId("newer")]?.messages).toHaveLength(1);
    expect(await spawned("export", "--from", from, "--to", to)).toMatchObject({ code: 2, err: expect.stringContaining("is not empty") });
    expect(await run("export", "--from", from, "--to", join(to, "..", "all"), "--on-too-long", "shorten")).toMatchObject({ code: 0 });
  });

  it("skipped sessions are exit code 3, with a way out that works", async () => {
    const [from, to] = [tempFolder(), join(tempFolder(), "new")];
    mkdirSync(join(from, "-rf"));
    writeFileSync(join(from, "-rf", `${uuid()}.jsonl`), `${goLine({ text: "one" })}\n`);
    const refused = await run("import", "--from", from, "--to", to);
    expect(refused).toMatchObject({
      code: 3,
      out: expect.stringMatching(/why: agent name "-rf" begins with a dash; .*rename.*\(INVALID_INPUT\)/),
    });
    expect(await run("import", "--from", from, "--to", to, "--rename=-rf=clean")).toMatchObject({
      code: 0,
      out: expect.stringContaining("imported clean/"),
    });
  });

  it.each([
    [[], 2, "Usage:"],
    [["import"], 2, "--from <folder>"],
    [["import", "--from", "x"], 2, "--to <folder>"],
    [["import", "--from", "x", "--to", "y", "--agnet", "z"], 2, "unknown option '--agnet'"],
    [["import", "--from", "x", "--to", "y", "--rename", "a"], 2, "OLD=NEW"],
    [["migrate"], 2, "unknown command"],
    [["export", "--from", "x", "--to", "y", "--on-too-long", "cut"], 2, "skip, shorten"],
    [["import", "--from", "/nowhere/at/all", "--to", "/tmp/aixgo-never-made"], 1, 'there is no folder "/nowhere/at/all"'],
    [["export", "--from", "/nowhere/at/all", "--to", "/tmp/aixgo-never-made"], 1, 'there is no session store in "/nowhere/at/all"'],
    [["export", "--from", tmpdir(), "--to", "/tmp/aixgo-never-made"], 1, "there is no session store in"],
    [["export", "--from", MAIN, "--to", "/tmp/aixgo-never-made"], 1, "there is no session store in"],
  ])("%j ends with %i and says why", async (args, code, said) => {
    const ended = await run(...args);
    expect({ code: ended.code, said: ended.err.includes(said) || ended.err }).toEqual({ code, said: true });
    expect(ended.out).toBe("");
    expect(existsSync("/tmp/aixgo-never-made")).toBe(false);
  });

  it.each(["", "sub"])("a target that is a file, or lies in one, is told without a trace of ours: /%s", async (sub) => {
    const [from, file] = [fixtureCopy(), join(tempFolder(), "file")];
    writeFileSync(file, "x");
    for (const flags of [[], ["--dry-run"]]) {
      const { code, err } = await run("import", "--from", from, "--to", join(file, sub), ...flags);
      if (flags.length === 0) expect([code, err]).toEqual([1, expect.stringMatching(/^aixgo-migrate-go: .*folder.*\([A-Z_]+\)\n$/)]);
      expect(err).not.toContain("lstat");
    }
  });

  it("an export of an agent or a tenant without sessions is refused, and writes nothing", async () => {
    const [store, to] = [join(tempFolder(), "store"), join(tempFolder(), "go")];
    await run("import", "--from", fixtureCopy(), "--to", store);
    for (const flags of [
      ["--agent", "asistant"],
      ["--tenant", "acme"],
      ["--agent", "assistant", "--tenant", "acme"],
    ]) {
      const { code, err } = await run("export", "--from", store, "--to", to, ...flags);
      expect([code, err]).toEqual([1, expect.stringContaining("the store has no sessions of")]);
    }
    expect(existsSync(to)).toBe(false);
  });

  it("a reader that has seen enough (head) is no failure", async () => {
    const { child, ended } = start(["import", "--from", fixtureCopy(), "--to", join(tempFolder(), "new")]);
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ code: 0, err: "" });
  });

  it("a person sees how far it is; a pipe does not", async () => {
    const [from, to] = [fixtureCopy(), join(tempFolder(), "new")];
    let err = "";
    const screen = { out: () => undefined, err: (piece: string) => (err += piece), isWatched: true };
    await program(["import", "--from", from, "--to", to], screen, new AbortController().signal);
    expect(err).toMatch(/^\r\u001b\[K1 sessions, agent Writer No 2/);
    expect(err.endsWith("\r\u001b[K")).toBe(true);
  });

  it("a signal stops it, with the code that shells know", async () => {
    const from = fixtureCopy();
    const err: string[] = [];
    const screen = { out: () => undefined, err: (piece: string) => err.push(piece), isWatched: false };
    const code = await program(["import", "--from", from, "--to", join(tempFolder(), "new")], screen, AbortSignal.abort());
    expect(code).toBe(130);
    expect(err.join("")).toContain("cancelled");
  });

  it("--help is no error", async () => {
    expect(await spawned("--help")).toMatchObject({ code: 0, out: expect.stringContaining("Exit codes:") });
    expect(await run("import", "--help")).toMatchObject({ code: 0, out: expect.stringContaining("--dry-run") });
  });

  it("killed in the middle, any number of times, it loses nothing and doubles nothing", async () => {
    const [from, to] = [tempFolder(), join(tempFolder(), "new")];
    const count = 300;
    const folder = join(from, "assistant");
    mkdirSync(folder);
    const index: Record<string, unknown> = {};
    for (let i = 0; i < count; i += 1) {
      const id = uuid();
      index[id] = { id, agentName: "assistant", userId: `user-${i}`, createdAt: goTime(0), updatedAt: goTime(i), messageCount: 2 };
      const first = uuid();
      writeFileSync(
        join(folder, `${id}.jsonl`),
        `${goLine({ id: first, text: `one ${i}` })}\n${goLine({ parentId: first, text: `two ${i}` })}\n`,
      );
    }
    writeFileSync(join(folder, "sessions.json"), JSON.stringify(index, undefined, 2));
    const before = contentsOf(from);
    let kills = 0;
    const sizes: number[] = [];
    for (let wanted = 20; wanted < count; wanted += 70) {
      const { child, ended } = start(["import", "--from", from, "--to", to]);
      const alive = { is: true };
      void ended.then(() => (alive.is = false));
      while (alive.is && logsIn(to) < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
      if (child.kill("SIGKILL")) kills += 1;
      await ended;
      sizes.push(logsIn(to));
    }
    expect(kills).toBeGreaterThan(1);
    const last = await spawned("import", "--from", from, "--to", to, "--json");
    const report = JSON.parse(last.out) as { imported: number; present: number; skipped: number };
    expect(report.imported + report.present).toBe(count);
    expect(report.present).toBeGreaterThanOrEqual(Math.max(...sizes) - 1);
    await using sessions = createSessionManager({ backend: createFileBackend({ baseDir: to }) });
    let seen = 0;
    for await (const info of sessions.listAll()) {
      seen += 1;
      const session = await sessions.getOrCreate("assistant", info.userId as string);
      expect(session.id).toBe(info.id);
      expect(await session.messages()).toHaveLength(2);
    }
    expect(seen).toBe(count);
    expect(contentsOf(from)).toEqual(before);
  }, 120_000);
});

/** Logs of the new store. */
function logsIn(to: string): number {
  const folder = join(to, "assistant");
  return existsSync(folder) ? readdirSync(folder).length : 0;
}
