import { readFileSync, readlinkSync } from "node:fs";

/** Which process of which boot: a pid alone is used again by others. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between boot and the start of the process; "" where the system does not tell. */
  readonly start: string;
  /** Boot id; "" where the system does not tell. */
  readonly boot: string;
  /** Pid namespace: in another container the same pid is another process. */
  readonly space: string;
}

let own: ProcessIdentity | undefined;

export function ownIdentity(): ProcessIdentity {
  return (own ??= { pid: process.pid, start: startOf(process.pid) ?? "", boot: bootId(), space: pidSpace() });
}

/** Whether leases and locks of `other` belong to an earlier boot, so that whoever held them is gone. */
export function isOtherBoot(other: ProcessIdentity): boolean {
  return other.boot !== "" && ownIdentity().boot !== "" && other.boot !== ownIdentity().boot;
}

/** Whether a process is known to have ended. False if that cannot be known. */
export function isDead(other: ProcessIdentity): boolean {
  const self = ownIdentity();
  if (isOtherBoot(other)) return true;
  if (other.space !== self.space) return false;
  if (other.pid === self.pid && other.start === self.start) return false;
  if (other.start !== "") return startOf(other.pid) !== other.start;
  try {
    process.kill(other.pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === "ESRCH";
  }
}

/**
 * Milliseconds of a clock that all processes of this boot share. Linux: monotonic, so that setting the clock moves no lease.
 * Elsewhere the wall clock, because the monotonic one is not promised to be shared.
 */
export function sharedNowMs(): number {
  return process.platform === "linux" ? Math.floor(Number(process.hrtime.bigint() / 1_000_000n)) : Date.now();
}

/** The 22nd field of /proc/<pid>/stat. The second, the command, may hold spaces and brackets: fields are counted from its end. A zombie counts as ended. */
function startOf(pid: number): string | undefined {
  if (process.platform !== "linux") return pid === process.pid ? "" : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return process.platform === "linux" ? readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim() : "";
  } catch {
    return "";
  }
}

function pidSpace(): string {
  try {
    return process.platform === "linux" ? readlinkSync("/proc/self/ns/pid") : "";
  } catch {
    return "";
  }
}
