// What a session keeps in memory while nothing happens; run with --expose-gc, told how many sessions.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Session } from "@aixgo/session";
import { message, openStore } from "../stores.ts";

export interface Idle {
  /** Bytes of each, with and without its handle. */
  readonly held: number;
  readonly dropped: number;
  /** Bytes of a stored message. */
  readonly line: number;
}

/** Bytes that cannot be collected. */
function kept(): number {
  if (globalThis.gc === undefined) throw new Error("run this with node --expose-gc");
  for (let round = 0; round < 4; round += 1) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const folder = mkdtempSync(join(tmpdir(), "aixgo-bench-"));
try {
  const count = Number(process.argv[2]);
  const manager = openStore(folder, "os");
  // What the first sessions bring with them, such as caches of fixed size and compiled code, is not each one's.
  for (let index = 0; index < 1000; index += 1) await (await manager.create("warm")).append(message(200));
  const before = kept();
  let handles: Session[] = [];
  for (let index = 0; index < count; index += 1) {
    const session = await manager.create("a");
    await session.append(message(200));
    handles.push(session);
  }
  const [first] = handles;
  const lines = readFileSync(join(folder, "store", "a", `${first?.id ?? ""}.jsonl`), "utf8").split("\n");
  const held = (kept() - before) / count;
  handles = [];
  const dropped = (kept() - before) / count;
  await manager.close();
  const idle: Idle = { held, dropped, line: lines[1]?.length ?? 0 };
  process.stdout.write(JSON.stringify(idle));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
