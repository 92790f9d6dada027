import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 60_000;
const PTRACE_SCOPE = "/proc/sys/kernel/yama/ptrace_scope";

/** System calls that change something on the disk, or take a lock. */
export const WRITING = [
  "openat",
  "mkdir",
  "chmod",
  "fchmod",
  "write",
  "pwrite64",
  "writev",
  "ftruncate",
  "fsync",
  "fdatasync",
  "rename",
  "unlink",
  "rmdir",
  "link",
  "symlink",
  "utimensat",
  "fcntl",
  "flock",
  "copy_file_range",
  "close",
] as const;
/** And those that only look. */
export const READING = ["read", "pread64", "statx", "newfstatat", "fstat", "lstat", "stat", "getdents64", "statfs"] as const;

/** One system call of an operation: the `nth` of its name that its thread makes. */
export interface Call {
  readonly thread: "main" | "pool";
  readonly name: string;
  readonly nth: number;
  /** As strace shows it, with the paths of descriptors. */
  readonly shown: string;
}

export interface Threads {
  readonly main: number;
  readonly pool: number;
}

/** A tracer that is attached to threads of a running process. */
export interface Tracer {
  readonly output: () => string;
  /** Lets the process go. */
  detach(): Promise<void>;
}

/**
 * Attaches to threads of a process that runs already, so that counting begins with the operation and not with the start of
 * Node. strace counts per thread and per name of a call.
 */
async function attach(pids: readonly number[], args: readonly string[]): Promise<Tracer> {
  const child = spawn("strace", [...args, ...pids.flatMap((pid) => ["-p", String(pid)])], { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  let ended = false;
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const gone = once(child, "close").then(
    () => void (ended = true),
    () => void (ended = true),
  );
  const deadline = performance.now() + PATIENCE_MS;
  while (pids.some((pid) => !output.includes(`Process ${pid} attached`))) {
    if (ended || performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`strace did not attach: ${output}`);
    }
    await sleep(1);
  }
  return {
    output: () => output,
    async detach() {
      child.kill("SIGINT");
      const late = new AbortController();
      const timer = sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(
        () => child.kill("SIGKILL"),
        () => undefined,
      );
      await gone;
      late.abort();
      await timer;
    },
  };
}

/** Notes the calls of both threads. */
export function trace(threads: Threads, names: readonly string[]): Promise<Tracer> {
  return attach(
    [threads.main, threads.pool],
    ["-y", "-s", "64", "-e", `trace=${names.map((name) => `?${name}`).join(",")}`, "-e", "signal=none"],
  );
}

/**
 * Breaks one call: `how` is strace's word for it, such as `error=EIO`. With `watched` the calls of these names are noted as well,
 * of both threads; the same call of the other thread is broken then, too.
 */
export function inject(
  threads: Threads,
  { thread, name, nth }: Pick<Call, "thread" | "name" | "nth">,
  how: string,
  watched: readonly string[] = [],
): Promise<Tracer> {
  const pids = watched.length === 0 ? [threads[thread]] : [threads.main, threads.pool];
  const traced = [...new Set([name, ...watched])].join(",");
  return attach(pids, ["-y", "-s", "0", "-e", `trace=${traced}`, "-e", "signal=none", "-e", `inject=${name}:${how}:when=${nth}`]);
}

/** The calls in a trace's output. */
export function callsIn(output: string, threads: Threads): Call[] {
  const counts = new Map<string, number>();
  const calls: Call[] = [];
  for (const line of output.split("\n")) {
    const match = /^(?:\[pid +(\d+)\] )?([a-z_0-9]+)\((.*)/.exec(line);
    if (match === null) continue;
    const [, pid, name, rest] = match as unknown as [string, string | undefined, string, string];
    const thread = Number(pid ?? threads.main) === threads.pool && threads.pool !== threads.main ? "pool" : "main";
    const key = `${thread} ${name}`;
    const nth = (counts.get(key) ?? 0) + 1;
    counts.set(key, nth);
    calls.push({ thread, name, nth, shown: `${name}(${rest}` });
  }
  return calls;
}

/** Undefined, or why this process may not trace another one that it did not start from the tracer. */
export function whyNoTrace(): string | undefined {
  if (process.platform !== "linux") return "tracing system calls needs Linux";
  const scope = existsSync(PTRACE_SCOPE) ? readFileSync(PTRACE_SCOPE, "latin1").trim() : "0";
  const isAllowed = scope === "0" || (scope !== "3" && process.getuid?.() === 0);
  return isAllowed ? undefined : `tracing another process needs root here (kernel.yama.ptrace_scope is ${scope})`;
}
