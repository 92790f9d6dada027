import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { openStore, type StoreName } from "../store.ts";

/** Appends so many messages to one session, one after the other, once it is told to. */
interface AppenderTask {
  readonly store: StoreName;
  readonly session: string;
  readonly name: string;
  readonly count: number;
}

export interface AppenderReport {
  /** `seq` of each message, in order. */
  readonly versions: readonly number[];
  readonly worstMs: number;
  readonly totalMs: number;
  /** Appends that were refused because others were quicker for too long; each was made again. */
  readonly refused: number;
}

const { store, session: id, name, count } = JSON.parse(process.argv[2] as string) as AppenderTask;
const sessions = createSessionManager({ backend: await openStore(store) });
const session = await sessions.get(id);
process.stdout.write("ready\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdin.pause();

const versions: number[] = [];
let worstMs = 0;
let refused = 0;
const began = performance.now();
for (let i = 0; i < count;) {
  const at = performance.now();
  try {
    versions.push((await session.append(`${name}.${i}`)).version);
    i += 1;
  } catch (error) {
    if (!isAixgoError(error, "SESSION_BUSY") && !isAixgoError(error, "STORE_BUSY")) throw error;
    refused += 1;
  }
  worstMs = Math.max(worstMs, performance.now() - at);
}
const report: AppenderReport = { versions, worstMs, totalMs: performance.now() - began, refused };
process.stdout.write(`${JSON.stringify(report)}\n`);
await sessions.close();
