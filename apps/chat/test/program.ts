import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
/** A program that has not ended by then is killed, and its test fails. */
const MAX_RUN_MS = 20_000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the output so far matches. */
  seen(pattern: RegExp, stream?: "stdout" | "stderr"): Promise<void>;
}

/** The built program in a folder of its own. */
export class Program {
  readonly #dir: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async create(): Promise<Program> {
    return new Program(await mkdtemp(join(tmpdir(), "aixgo-chat-test-")));
  }

  get dir(): string {
    return this.#dir;
  }

  get sessionDir(): string {
    return join(this.#dir, "sessions");
  }

  start(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Running {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.#dir,
      // Keys of the machine must not reach the program: it would ask a real model.
      env: { PATH: process.env["PATH"], HOME: this.#dir, AIXGO_SESSION_DIR: this.sessionDir, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#running.add(child);
    const out = { stdout: "", stderr: "" };
    const bound = setTimeout(() => child.kill("SIGKILL"), MAX_RUN_MS);
    const looks = new Set<() => void>();
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        out[name] += text;
        for (const look of looks) look();
      });
    }
    child.stdin.on("error", () => undefined);
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        clearTimeout(bound);
        this.#running.delete(child);
        resolve({ code, signal, ...out });
      });
    });
    return {
      child,
      ended,
      seen: (pattern, stream = "stdout") =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            if (!pattern.test(out[stream])) return;
            looks.delete(look);
            resolve();
          };
          looks.add(look);
          look();
          void ended.then(() => reject(new Error(`the program ended before ${String(pattern)} was seen: ${JSON.stringify(out)}`)));
        }),
    };
  }

  /** Pipes `input` in and waits for the end. */
  async run(input: string | Buffer, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    const { child, ended } = this.start(args, env);
    child.stdin?.end(input);
    return ended;
  }

  /** The lines of every log, parsed. */
  async logs(): Promise<
    Record<string, readonly { readonly seq: number; readonly type: string; readonly data: Record<string, unknown> }[]>
  > {
    const logs: Awaited<ReturnType<Program["logs"]>> = {};
    const folder = join(this.sessionDir, "assistant");
    for (const file of (await readdir(folder)).filter((name) => name.endsWith(".jsonl"))) {
      const text = await readFile(join(folder, file), "utf8");
      logs[file.replace(".jsonl", "")] = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as never);
    }
    return logs;
  }

  async remove(): Promise<void> {
    for (const child of this.#running) child.kill("SIGKILL");
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 3 });
  }
}
