import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { BREAKS } from "../src/breaks.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const SEEDS = process.env["AIXGO_LONG"] === "1" ? 100_000 : 2_000;
/** A simulation uses one core. */
const PROCESSES = Math.min(4, availableParallelism());

interface Run {
  readonly code: number | null;
  readonly output: string;
}

function simulator(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    // Most of what a run allocates is garbage at its next event.
    const child = spawn(process.execPath, ["--max-semi-space-size=64", MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
    child.stderr.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
    child.on("error", reject);
    child.on("exit", (code) => resolve({ code, output }));
  });
}

function digests({ output }: Run): readonly string[] {
  return output.split("\n").filter((line) => line.includes("digest"));
}

describe("the lease and turn protocol", () => {
  it(
    `keeps every invariant under ${SEEDS} seeds of crashes, pauses, cuts, losses, doubles and late messages`,
    async () => {
      const each = Math.ceil(SEEDS / PROCESSES);
      const runs = await Promise.all(
        Array.from({ length: PROCESSES }, (_, index) => simulator("--seeds", String(each), "--from", String(1 + index * each))),
      );
      for (const { code, output } of runs)
        expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining(", 0 with violations") as string });
      process.stdout.write(runs.map(({ output }) => output).join(""));
    },
    SEEDS * 600,
  );

  it("a seed replays exactly, whatever ran before it in the process", async () => {
    const many = digests(await simulator("--seeds", "6", "--from", "70", "--digests"));
    expect(new Set(many.map((line) => line.split("digest ")[1])).size).toBe(6);
    for (const index of [0, 3, 5]) expect(digests(await simulator("--seed", String(70 + index), "--digests"))).toEqual([many[index]]);
  }, 60_000);
});

describe("the simulator catches", () => {
  it.each(Object.entries(BREAKS))(
    "%s",
    async (name, { caughtBy }) => {
      const { code, output } = await simulator("--break", name, "--seeds", "400", "--until-violation");
      expect(output).toMatch(caughtBy);
      expect(code).toBe(1);
      const [said = "", seed, replay = ""] =
        /^seed (\d+): .*(?:\n  .*)*?\n  replay: node tools\/simulator\/dist\/main\.js (.*)$/m.exec(output) ?? [];
      const again = await simulator(...replay.split(" "));
      expect(replay).toContain(`--seed ${seed}`);
      expect(again.output).toContain(said);
      expect(again.code).toBe(1);
    },
    240_000,
  );

  it("a patch that fits no more is an error, not a pass", async () => {
    const { code, output } = await simulator("--break", "no-such-break");
    expect({ code, output }).toEqual({ code: 2, output: expect.stringContaining("takes one of landed-lines-forgotten") as string });
  });
});

describe("the command line", () => {
  it.each([
    ["--seeds", "none"],
    ["--seed", "1.5"],
    ["--seeds", "0"],
  ])("refuses %s %s", async (...args) => {
    const { code, output } = await simulator(...args);
    expect({ code, output }).toEqual({ code: 2, output: expect.stringContaining("whole numbers") as string });
  });

  it.each([["--help"], ["--break"], ["17"], ["--seeds=3", "--fast"]])("says what there is when it is given %s %s", async (...args) => {
    const { code, output } = await simulator(...args);
    expect(code).toBe(2);
    expect(output).toMatch(/^simulator: .*; there are --seeds <number>, .*--break <name>, --until-violation\n$/);
  });
});
