import { readdirSync, readFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { operationNamed } from "../operations.ts";
import { openStore, type StoreName } from "../store.ts";

/** Runs one operation each time it is told to, and says how it ended. */
interface OperationTask {
  readonly store: StoreName;
  readonly operation: string;
  readonly subject: string;
  /** Open the store before the operation: not if opening is what is broken. */
  readonly opened: boolean;
}

/** How an operation ended. */
export interface Outcome {
  readonly ok: boolean;
  /** Of an error of ours. */
  readonly code?: string;
  readonly message?: string;
}

const { store, operation: name, subject, opened } = JSON.parse(process.argv[2] as string) as OperationTask;
const say = (value: unknown): void => void writeSync(1, `${JSON.stringify(value)}\n`);

const operation = operationNamed(name);
const pool = await poolThread();
const backend = await openStore(store);
const sessions = createSessionManager({ backend, rebaseMs: 1500 });
if (opened) await sessions.list({ limit: 1 });
const orders = createInterface({ input: process.stdin });
say({ main: process.pid, pool });

/** The one thread of libuv's pool (UV_THREADPOOL_SIZE=1): it is the one that has just read so many times. */
async function poolThread(): Promise<number> {
  const reads = (): Map<number, number> =>
    new Map(
      readdirSync("/proc/self/task").map((thread) => {
        const count = /^syscr: (\d+)/m.exec(readFileSync(`/proc/self/task/${thread}/io`, "latin1"))?.[1];
        return [Number(thread), Number(count)];
      }),
    );
  const file = await open(process.execPath);
  const before = reads();
  for (let i = 0; i < 64; i++) await file.read(Buffer.alloc(1), 0, 1, i);
  const after = reads();
  await file.close();
  const [found] = [...after].filter(([thread, count]) => thread !== process.pid && count - (before.get(thread) ?? 0) >= 64);
  if (found === undefined) throw new Error("the thread of libuv's pool was not found");
  return found[0];
}

async function run(): Promise<Outcome> {
  try {
    await operation.run({ sessions, backend, subject });
    return { ok: true };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return isAixgoError(error) ? { ok: false, code: error.code, message } : { ok: false, message };
  }
}

for await (const order of orders) {
  if (order === "end") break;
  say(await run());
}
await sessions.close();
say("closed");
process.exit(0);
