import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execFileSync } from "node:child_process";
import { isAixgoError, textOf } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import { openStore } from "../store.ts";

/** A large entry and a large session; with `open`, the part of a process that meets the large session for the first time. */
interface LargeTask {
  readonly entryBytes: number;
  readonly sessionBytes: number;
  readonly open?: { readonly store: string; readonly session: string };
}

export interface LargeReport {
  readonly failures: readonly string[];
  readonly sessionBytes: number;
  /** Of a fresh process: to the last messages of the session, and what its memory grew by meanwhile. */
  readonly openMs: number;
  readonly openBytes: number;
  /** The same for the whole session, as a stream. */
  readonly readMs: number;
  readonly readBytes: number;
}

const AGENT = "large";
const task = JSON.parse(process.argv[2] as string) as LargeTask;
const failures: string[] = [];

const manager = async (store: string): Promise<SessionManager> =>
  createSessionManager({ backend: await openStore({ kind: "file", store, options: { durability: "os" } }) });

/** The largest the process has been, in bytes. */
const peak = (): number => process.resourceUsage().maxRSS * 1024;

async function largeEntry(store: string, limit: number): Promise<void> {
  const sessions = await manager(store);
  const session = await sessions.create(AGENT);
  // What the line holds beside the text is much less than the 4 KiB that are kept free for it.
  const text = "ä".repeat((limit - 4096 - 200) / 2);
  await session.append(text);
  const fresh = await manager(store);
  const again = await fresh.get(session.id);
  const [message] = await again.messages();
  if (message === undefined || textOf(message) !== text) failures.push("the largest entry is not read as it was written");
  if ((await again.verify()).problems.length > 0) failures.push("the largest entry does not verify");
  const before = statSync(join(store, AGENT, `${session.id}.jsonl`)).size;
  const refused = await session.append("ä".repeat(limit / 2)).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isAixgoError(refused, "LIMIT_EXCEEDED")) failures.push(`a larger entry is not refused: ${String(refused)}`);
  if (statSync(join(store, AGENT, `${session.id}.jsonl`)).size !== before) failures.push("an entry that was refused has been written");
  await sessions.close();
  await fresh.close();
}

async function largeSession(store: string, bytes: number): Promise<{ id: string; size: number }> {
  const sessions = await manager(store);
  const session = await sessions.create(AGENT);
  const text = "x".repeat(4000);
  for (let written = 0; written < bytes;) {
    const { messages } = await session.append(Array.from({ length: 100 }, () => text));
    written += messages.length * 4200;
  }
  await sessions.close();
  const { id } = session;
  // The worst case: nothing remembers where the log ends.
  for (const name of readdirSync(join(store, ".aixgo", "heads"))) rmSync(join(store, ".aixgo", "heads", name));
  return { id, size: statSync(join(store, AGENT, `${id}.jsonl`)).size };
}

async function meet(store: string, id: string): Promise<void> {
  const sessions = await manager(store);
  const before = peak();
  const began = performance.now();
  const session = await sessions.get(id);
  const last = await session.messages({ last: 20 });
  const openMs = performance.now() - began;
  const openBytes = peak() - before;
  if (last.length !== 20) failures.push(`${last.length} of the last 20 messages are read`);
  const { messageCount } = await session.info();
  let count = 0;
  const from = performance.now();
  for await (const _ of session.readMessages()) count += 1;
  if (count !== messageCount) failures.push(`${count} of ${messageCount} messages are read`);
  process.stdout.write(
    `${JSON.stringify({ failures, openMs, openBytes, readMs: performance.now() - from, readBytes: peak() - before })}\n`,
  );
  await sessions.close();
}

if (task.open !== undefined) await meet(task.open.store, task.open.session);
else {
  const store = mkdtempSync(join(tmpdir(), "aixgo-large-"));
  try {
    await largeEntry(store, task.entryBytes);
    const { id, size } = await largeSession(store, task.sessionBytes);
    const order = JSON.stringify({ ...task, open: { store, session: id } });
    const said = execFileSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), order], { encoding: "utf8" });
    const { failures: more, ...met } = JSON.parse(said) as Omit<LargeReport, "sessionBytes">;
    const report: LargeReport = { ...met, failures: [...failures, ...more], sessionBytes: size };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}
