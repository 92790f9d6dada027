import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createMemoryBackend, createSessionManager } from "@aixgo/session";
import { afterEach, describe, expect, it } from "vitest";
import { type Check, checkRound } from "../src/checks.ts";
import { createRandom, drawPlan } from "../src/kill-plan.ts";
import { INPUT } from "../src/model.ts";
import type { Outbox } from "../src/outbox.ts";
import type { Report } from "../src/report.ts";
import type { WorkerRun } from "../src/worker-process.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const MAX_RUN_MS = 110_000;

async function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const bound = setTimeout(() => child.kill(), MAX_RUN_MS);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  clearTimeout(bound);
  return { code, stdout, stderr };
}

describe("the demo", () => {
  const kept: string[] = [];
  afterEach(async () => {
    for (const dir of kept.splice(0)) await rm(dir, { recursive: true, force: true });
  });

  it("kills a process in the middle of a tool, goes on in another, and finds nothing lost", { timeout: 120_000 }, async () => {
    const { code, stdout, stderr } = await run("--keep");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /✗ kill -9 in the middle of the tool[^]*attempt 2\n +↳ send_mail: outcome unknown; it is not run a second time\n[^]*\(from the log\)/,
    );
    expect(stdout.match(/✓/g)).toHaveLength(8);
    expect(stdout).not.toMatch(/not so/);
    expect(stdout.trimEnd().split("\n").at(-2)).toBe("nothing was lost");

    // What it says is so: looked up without its own code.
    const dir = /kept: (.+)\n/.exec(stdout)?.[1] ?? "";
    kept.push(dir);
    const folder = join(dir, "sessions", "buyer");
    const log = readFileSync(join(folder, readdirSync(folder).find((name) => name.endsWith(".jsonl")) ?? ""), "utf8");
    const entries = log
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; data: { phase?: string; attempt?: number; status?: string; role?: string } });
    expect(entries.filter(({ type }) => type === "turn").map(({ data }) => [data.phase, data.attempt, data.status])).toEqual([
      ["start", 1, undefined],
      ["end", 1, "interrupted"],
      ["start", 2, undefined],
      ["end", 2, "completed"],
    ]);
    expect(entries.filter(({ data }) => data.role === "user")).toHaveLength(1);
    expect(
      readFileSync(join(dir, "coffee", "outbox.jsonl"), "utf8")
        .trimEnd()
        .split("\n"),
    ).toHaveLength(1);
  });

  it("holds wherever the process is killed, and leaves nothing behind", { timeout: 120_000 }, async () => {
    const { code, stdout, stderr } = await run("--rounds", "6", "--seed", "11");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^seed 11\n✓ undisturbed\n(✓ round \d: .+\n){6}\d of 6 turns were killed, each was finished by another process\nnothing was lost\n$/,
    );
  });

  it.each<[string[], RegExp]>([
    [["--rounds", "0"], /--rounds must be a whole number/],
    [["--seed", "1"], /--seed needs --rounds/],
    [["--bogus"], /'--bogus'/],
    [["stray"], /stray/],
  ])("%j exits with 2 and one line", async (args, problem) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(problem);
    expect(stderr.trimEnd()).not.toMatch(/\n/);
  });
});

describe("its plans", () => {
  it("are the same for the same seed, hit both by place and by time, and every kind of place", () => {
    const course = { points: ["a", "b", "b", "b", "c"], durationMs: 100 };
    const draw = (seed: number): unknown[] => {
      const random = createRandom(seed);
      return Array.from({ length: 200 }, () => drawPlan(course, random));
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const plans = draw(3) as { at: string; name?: string; nth?: number; afterMs?: number }[];
    expect(new Set(plans.map(({ at, name, nth }) => `${at} ${name} ${nth}`))).toEqual(
      new Set(["time undefined undefined", "point a 1", "point b 1", "point b 2", "point b 3", "point c 1"]),
    );
    expect(plans.every(({ afterMs }) => afterMs === undefined || (afterMs >= 0 && afterMs <= 100))).toBe(true);
  });
});

describe("its checks", () => {
  const answer = "Done.";
  const acknowledged = (...ids: string[]): Report[] => ids.map((id) => ({ type: "stored", id, role: "assistant", lines: [] }));
  const ran = (reports: Report[], rest: Partial<WorkerRun> = {}): WorkerRun => ({
    pid: 1,
    reports,
    killed: false,
    exitCode: 0,
    stderr: "",
    durationMs: 1,
    ...rest,
  });
  const outbox = (mails: number, calls: string[] = ["send_mail-1"]): Outbox => ({
    began: () => undefined,
    send: () => undefined,
    mails: () => Array.from({ length: mails }, () => ({ to: "", text: "" })),
    calls: () => calls,
  });

  /** The checks on a session with one completed turn, after something was done to it or to the evidence. */
  async function checksAfter(
    change: {
      extraInput?: boolean;
      ids?: string[];
      mails?: number;
      calls?: string[];
      again?: Report[];
      grown?: boolean;
      second?: Report[];
    } = {},
  ): Promise<readonly boolean[]> {
    await using sessions = createSessionManager({ backend: createMemoryBackend() });
    const session = await sessions.create("buyer");
    if (change.extraInput === true) await session.append(INPUT);
    const { message } = await session.turn(INPUT, async () => answer, { turnKey: "k" });
    const { version } = await session.info();
    if (change.grown === true) await session.checkpoint();
    const evidence = {
      session,
      outbox: outbox(change.mails ?? 1, change.calls),
      runs: [
        ran(acknowledged(...(change.ids ?? []))),
        ran(change.second ?? [...acknowledged(message.id), { type: "answered", text: answer, replayed: false }]),
        ran(change.again ?? [{ type: "answered", text: answer, replayed: true }]),
      ] as const,
      versionBefore: version,
    };
    return (await checkRound(evidence)).map(({ holds }: Check) => holds);
  }

  it("hold for a turn that went as it should", async () => {
    expect(await checksAfter()).toEqual([true, true, true, true, true, true, true]);
  });

  it.each<[string, Parameters<typeof checksAfter>[0], number]>([
    ["the question is stored twice", { extraInput: true }, 1],
    ["an acknowledged message is missing", { ids: ["gone"] }, 2],
    ["a call of send_mail ran twice", { calls: ["send_mail-1", "send_mail-1"] }, 4],
    ["two mails were sent", { mails: 2 }, 4],
    ["no mail was sent", { mails: 0 }, 4],
    [
      "the second process answered something else",
      { second: [{ type: "answered", text: "Other.", replayed: false }], again: [{ type: "answered", text: "Other.", replayed: true }] },
      5,
    ],
    [
      "the agent ran again",
      {
        again: [
          { type: "attempt", attempt: 2 },
          { type: "answered", text: answer, replayed: true },
        ],
      },
      6,
    ],
    ["the log grew when it was asked again", { grown: true }, 6],
  ])("fail if %s", async (_, change, index) => {
    const held = await checksAfter(change);
    expect(held[index]).toBe(false);
    expect(held.filter((each) => !each)).toHaveLength(1);
  });
});
