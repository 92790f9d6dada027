import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createSessionManager, type Session } from "@aixgo/session";
import { createFileBackend } from "../../src/index.ts";

/** What a process holds: bytes that are still reachable, descriptors of the store, and timers. */
export interface Held {
  readonly heapBytes: number;
  readonly descriptors: number;
  readonly timers: number;
}

export interface IdleReport {
  readonly before: Held;
  /** With this many sessions held. */
  readonly few: Held;
  readonly many: Held;
  readonly closed: Held;
  /** Bytes that an append moves, with few sessions in the store and with many. */
  readonly appendAtFew: number;
  readonly appendAtMany: number;
  readonly mostDescriptors: number;
}

export interface StreamReport {
  readonly messages: number;
  readonly read: number;
  readonly before: Held;
  /** Bytes that an append to the whole session moves, and one to a session of a few messages. */
  readonly appendToMany: number;
  readonly appendToFew: number;
  /** The most that was reachable at any look while the session was read. */
  readonly mostHeapBytes: number;
}

const collect = globalThis.gc;
if (collect === undefined) throw new Error("this program needs --expose-gc");

/** Of files of the store: Node opens and closes others as it likes. */
function descriptors(): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The one that the folder was read with.
      return "";
    }
  });
  return targets.filter((target) => target.startsWith(baseDir)).length;
}

async function held(): Promise<Held> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    (collect as () => void)();
  }
  return {
    heapBytes: process.memoryUsage().heapUsed,
    descriptors: descriptors(),
    timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
  };
}

/** Bytes that an append reads and writes, of all files, on average. */
async function appendCost(session: Session): Promise<number> {
  const moved = (): number => {
    const io = readFileSync("/proc/self/io", "utf8");
    return Number(/rchar: (\d+)/.exec(io)?.[1]) + Number(/wchar: (\d+)/.exec(io)?.[1]);
  };
  // Reading the counters is counted, too.
  await session.append("first");
  const idle = Math.abs(moved() - moved());
  const before = moved();
  for (let n = 0; n < 50; n += 1) await session.append(`append ${n}`);
  return (moved() - before - idle) / 50;
}

const [kind, baseDir, size] = process.argv.slice(2) as ["idle" | "stream", string, string];
const manager = (): ReturnType<typeof createSessionManager> =>
  createSessionManager({ backend: createFileBackend({ baseDir, durability: "os" }) });

/** Opens and holds `few` sessions, then ten times as many, each with a message. */
async function idle(few: number): Promise<IdleReport> {
  const before = await held();
  const sessions = manager();
  const handles: Session[] = [];
  let mostDescriptors = 0;
  const grow = async (to: number): Promise<Held> => {
    while (handles.length < to) {
      const made = await Promise.all(Array.from({ length: 10 }, () => sessions.create("idle")));
      await Promise.all(made.map((session) => session.append("x".repeat(100))));
      handles.push(...made);
      if (handles.length % 100 === 0) mostDescriptors = Math.max(mostDescriptors, descriptors());
    }
    return held();
  };
  const atFew = await grow(few);
  const appendAtFew = await appendCost(await sessions.create("idle"));
  const atMany = await grow(few * 10);
  const appendAtMany = await appendCost(await sessions.create("idle"));
  // They are handles that work, not remains of ones.
  for (const at of [0, handles.length - 1]) {
    const { length } = await (handles[at] as Session).messages();
    if (length !== 1) throw new Error(`session ${at} has ${length} messages`);
  }
  await sessions.close();
  handles.length = 0;
  return { before, few: atFew, many: atMany, closed: await held(), appendAtFew, appendAtMany, mostDescriptors };
}

async function stream(bytes: number): Promise<StreamReport> {
  const writer = manager();
  const { id, ...written } = await fill(writer, bytes);
  await writer.close();
  const sessions = manager();
  const session = await sessions.get(id);
  const before = await held();
  let read = 0;
  let mostHeapBytes = 0;
  for await (const _ of session.readMessages()) {
    read += 1;
    if (read % 500 !== 0) continue;
    (collect as () => void)();
    mostHeapBytes = Math.max(mostHeapBytes, process.memoryUsage().heapUsed);
  }
  const appendToMany = await appendCost(session);
  const appendToFew = await appendCost(await sessions.create("stream"));
  await sessions.close();
  return { ...written, read, before, mostHeapBytes, appendToMany, appendToFew };
}

async function fill(sessions: ReturnType<typeof manager>, bytes: number): Promise<{ id: string; messages: number }> {
  const session = await sessions.create("stream");
  const text = "y".repeat(4_000);
  let messages = 0;
  for (; messages * text.length < bytes; messages += 100) await session.append(Array.from({ length: 100 }, () => text));
  return { id: session.id, messages };
}

const report = kind === "idle" ? await idle(Number(size)) : await stream(Number(size));
process.stdout.write(JSON.stringify(report));
