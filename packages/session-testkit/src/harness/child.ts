import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { CaseContext } from "./case.ts";
import type { Order, Report, Task } from "./task.ts";

const PATIENCE_MS = 60_000;

/** A process of its own that works on the store of a case. */
export interface Child {
  /** What the store has acknowledged to the child, as far as the child could still say so. */
  readonly acked: readonly string[];
  /** Resolves when the task is done; rejects if it fails or the child ends before. */
  ask(task: Task): Promise<Extract<Report, { kind: "done" }>>;
  /** SIGSTOP: it does nothing any more, and knows nothing of it. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Lets the child end by itself. */
  end(): Promise<void>;
}

interface Waiting {
  readonly resolve: (report: Extract<Report, { kind: "done" }>) => void;
  readonly reject: (error: Error) => void;
}

export interface ChildOptions {
  /** How far the child's clock is ahead; below zero: behind. @default 0 */
  readonly clockMs?: number;
}

/** Why a task failed in a child; with the code if it was an error of ours. */
export class TaskFailure extends Error {
  readonly code: string | undefined;

  constructor({ message, code }: Extract<Report, { kind: "failed" }>) {
    super(message);
    this.code = code;
  }
}

/** Children that end with the case, whatever becomes of it. */
export async function withChildren(
  context: CaseContext,
  wanted: number | readonly ChildOptions[],
  body: (children: readonly Child[]) => Promise<void>,
): Promise<void> {
  const options = typeof wanted === "number" ? Array.from({ length: wanted }, () => ({})) : wanted;
  const started = await Promise.allSettled(options.map((one) => startChild(context, one)));
  const children = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  try {
    for (const one of started) if (one.status === "rejected") throw one.reason;
    await body(children);
    await Promise.all(children.map((child) => child.end()));
  } finally {
    await Promise.all(children.map((child) => child.kill()));
  }
}

/** Starts a child that imports the fixture's module and opens the same store. */
async function startChild({ fixture, store }: CaseContext, { clockMs = 0 }: ChildOptions): Promise<Child> {
  if (fixture.module === undefined) throw new Error("a child process needs the fixture's module");
  // Beside this file, and of its kind: source or compiled.
  const main = fileURLToPath(new URL(`./worker-main${extname(import.meta.url)}`, import.meta.url));
  const order = JSON.stringify({ module: fixture.module, name: fixture.name, store, clockMs } satisfies Order);
  const child = fork(main, [order], { execArgv: [...(fixture.execArgv ?? [])], stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const acked: string[] = [];
  const waiting: Waiting[] = [];
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  const gone = once(child, "exit").then(([code, signal]) => {
    for (const one of waiting.splice(0)) one.reject(new Error(`a child process ended too early (${String(signal ?? code)}): ${said}`));
  });
  gone.catch(() => undefined);
  const ready = new Promise<void>((resolve, reject) => {
    const first: Waiting = { resolve: () => resolve(), reject };
    waiting.push(first);
    child.on("message", (report: Report) => {
      if (report.kind === "acked") acked.push(report.op);
      else if (report.kind === "failed") waiting.shift()?.reject(new TaskFailure(report));
      else waiting.shift()?.resolve(report.kind === "done" ? report : { kind: "done" });
    });
    child.once("error", reject);
  });
  await bounded(child, ready);
  return {
    acked,
    ask: (task) =>
      bounded(
        child,
        new Promise((resolve, reject) => {
          waiting.push({ resolve, reject });
          child.send(task, (error) => error !== null && reject(error));
        }),
      ),
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
    async end() {
      if (child.connected) child.disconnect();
      await bounded(child, gone);
    },
  };
}

/** No child outlives a case that waits in vain. */
async function bounded<T>(child: ChildProcess, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`a child process did not answer within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
