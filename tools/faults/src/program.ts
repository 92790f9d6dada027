import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PATIENCE_MS = 60_000;
const MUTATION = fileURLToPath(new URL("../dist/mutation/register.js", import.meta.url));

export interface ProgramOptions {
  /** A change to our code that must be noticed: see `mutants.ts`. */
  readonly mutant?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
  /** Limits of the process, as options of prlimit: `--nofile=512`. */
  readonly limits?: readonly string[];
  /** How long it may say nothing. @default 60000 */
  readonly patienceMs?: number;
}

/** No program outlives the run. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process that runs one of `programs/`, which says what it has done in lines on its output and takes orders in lines on its input. */
export interface Program {
  readonly pid: number;
  /** Whole lines so far. */
  readonly lines: readonly string[];
  /** Gone, its last output read. */
  readonly ended: Promise<void>;
  readonly isGone: () => boolean;
  /** Waits for the line with this index. */
  line(index: number): Promise<string>;
  /** Orders something, and waits for the next line. */
  ask(order: string): Promise<string>;
  tell(order: string): void;
  /** SIGKILL; resolves when all that it had said is read. */
  kill(): Promise<void>;
  /** SIGSTOP; resolves when every thread of it stands still. */
  stop(): Promise<void>;
  /** Resolves when every thread of it stands still, by whomever it was stopped. */
  stopped(): Promise<void>;
  resume(): void;
  /** What it wrote to its error output. */
  said(): string;
}

/** The compiled program: what users run, and what starts quickest. */
export function programPath(name: string): string {
  const path = fileURLToPath(new URL(`../dist/programs/${name}.js`, import.meta.url));
  if (!existsSync(path)) throw new Error("the fault tests are not built: run npx tsc -b tools/faults");
  return path;
}

export function startProgram(
  name: string,
  task: object,
  { mutant, env = {}, nodeArgs = [], limits = [], patienceMs = PATIENCE_MS }: ProgramOptions = {},
): Program {
  const mutation = mutant === undefined ? [] : ["--import", MUTATION];
  const node = [process.execPath, ...nodeArgs, ...mutation, programPath(name), JSON.stringify(task)];
  // prlimit becomes the program: the process id stays.
  const [command, ...args] = limits.length === 0 ? node : ["prlimit", ...limits, ...node];
  const child = spawn(command as string, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", ...env, ...(mutant === undefined ? {} : { AIXGO_FAULTS_MUTANT: mutant }) },
  });
  return follow(child, name, patienceMs);
}

function follow(child: ChildProcess, name: string, patienceMs: number): Program {
  const lines: string[] = [];
  let rest = "";
  let errors = "";
  let gone = false;
  let wake: () => void = () => undefined;
  let news = new Promise<void>((resolve) => (wake = resolve));
  const changed = (): void => {
    wake();
    news = new Promise<void>((resolve) => (wake = resolve));
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() as string;
    lines.push(...parts);
    changed();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-4000)));
  child.stdin?.on("error", () => undefined);
  const closed = once(child, "close").then(
    () => undefined,
    () => undefined,
  );
  running.add(child);
  const ended = closed.then(() => {
    gone = true;
    running.delete(child);
    changed();
  });
  const pid = child.pid ?? 0;

  async function line(index: number): Promise<string> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const found = lines[index];
      if (found !== undefined) return found;
      if (gone) throw new Error(`${name} ended before it said what was waited for: ${errors}`);
      if (performance.now() > deadline) throw new Error(`${name} did not say anything for ${patienceMs} ms: ${errors}`);
      const late = new AbortController();
      await Promise.race([news, sleep(1000, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
    }
  }

  async function stopped(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!gone && !standsStill(pid)) {
      if (performance.now() > deadline) throw new Error(`${name} did not stop: ${errors}`);
      await sleep(1);
    }
  }

  return {
    pid,
    lines,
    ended,
    isGone: () => gone,
    line,
    async ask(order) {
      const next = lines.length;
      child.stdin?.write(`${order}\n`);
      return line(next);
    },
    tell: (order) => void child.stdin?.write(`${order}\n`),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    async stop() {
      child.kill("SIGSTOP");
      await stopped();
    },
    stopped,
    resume: () => void child.kill("SIGCONT"),
    said: () => errors,
  };
}

/** State T of every thread: one that waits for the disk stops when the disk has answered. */
function standsStill(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((task) => {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "latin1");
      return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "T";
    });
  } catch {
    return true;
  }
}
