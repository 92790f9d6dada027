import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Check } from "./checks.ts";
import { readOptions, USAGE } from "./options.ts";
import { CLASSIC, createRandom, describePlan, drawPlan, type Course } from "./kill-plan.ts";
import { playRound } from "./round.ts";
import { checkLine, createPaint, createStory } from "./story.ts";

/** Milliseconds between two words: to read along, and to get on. */
const READING_PACE_MS = 60;
const ROUNDS_PACE_MS = 1;

const { stdout, env } = process;
const paint = createPaint(env["FORCE_COLOR"] === "1" || (stdout.isTTY === true && !env["NO_COLOR"]));
const write = (text: string): void => void stdout.write(text);

/** The crash that matters most, told as it happens. */
async function tell(dir: string): Promise<boolean> {
  write(`${paint("bold", "An agent is killed in the middle of its work")}\n`);
  const { checks, killed } = await playRound({
    dir,
    name: "coffee",
    plan: CLASSIC,
    paceMs: READING_PACE_MS,
    watcher: createStory(write, paint),
  });
  write(`\n${paint("bold", "What the log says")}\n`);
  const all = [{ holds: killed, claim: "the first process was killed by SIGKILL" }, ...checks];
  for (const check of all) write(`${checkLine(check, paint)}\n`);
  return all.every(({ holds }) => holds);
}

/** The same again and again, killed at another place each time. */
async function repeat(dir: string, rounds: number, seed: number): Promise<boolean> {
  const random = createRandom(seed);
  write(`seed ${seed}\n`);
  const undisturbed = await playRound({ dir, name: "undisturbed", plan: undefined, paceMs: ROUNDS_PACE_MS });
  const course: Course = undisturbed.course;
  let failures = report("undisturbed", undisturbed.checks);
  let kills = 0;
  for (let round = 1; round <= rounds; round++) {
    const plan = drawPlan(course, random);
    const { checks, killed } = await playRound({ dir, name: `round-${round}`, plan, paceMs: ROUNDS_PACE_MS });
    if (killed) kills += 1;
    failures += report(`round ${round}: ${killed ? "killed" : "had ended before"} ${describePlan(plan)}`, checks);
  }
  write(`${kills} of ${rounds} turns were killed, each was finished by another process\n`);
  return failures === 0;
}

function report(title: string, checks: readonly Check[]): number {
  const failed = checks.filter(({ holds }) => !holds);
  write(`${failed.length === 0 ? paint("green", "✓") : paint("red", "✗")} ${title}\n`);
  for (const check of failed) write(`${checkLine(check, paint)}\n`);
  return failed.length;
}

async function main(argv: readonly string[]): Promise<number> {
  const options = readOptions(argv);
  if (typeof options === "string") {
    if (options === "help") write(USAGE);
    else process.stderr.write(`crash-demo: ${options} See --help.\n`);
    return options === "help" ? 0 : 2;
  }
  const dir = await mkdtemp(join(tmpdir(), "aixgo-crash-"));
  const tidyUp = async (): Promise<void> => {
    if (options.keep) write(`${paint("dim", `kept: ${dir}`)}\n`);
    else await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  // The workers are killed when this process exits.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void tidyUp().finally(() => process.exit(signal === "SIGINT" ? 130 : 143)));
  try {
    const ok = options.rounds === undefined ? await tell(dir) : await repeat(dir, options.rounds, options.seed ?? randomInt(2 ** 32));
    write(ok ? `${paint(["bold", "green"], "nothing was lost")}\n` : `${paint(["bold", "red"], "something was lost or doubled")}\n`);
    return ok ? 0 : 1;
  } finally {
    await tidyUp();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`crash-demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
