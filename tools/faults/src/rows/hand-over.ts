import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager } from "@aixgo/session";
import { messageText, readChain, type Line } from "../chain.ts";
import { startProgram, type Program } from "../program.ts";
import type { TurnerSaid } from "../programs/turner.ts";
import { createRandom } from "../random.ts";
import type { RowResult } from "../result.ts";
import { openStore, type StoreName } from "../store.ts";

const LEASE_MS = 1000;
/** For the process that is stopped inside the lock. */
const LOCK_TIMEOUT_MS = 500;

export interface HandOverOptions {
  readonly handOvers: number;
  /** So many of them from a process that is stopped in the middle of its turn, and wakes up later. */
  readonly stopped: number;
  readonly seed: number;
  readonly mutant?: string;
}

/** R8: two processes take turns on one session; some are stopped in the middle and wake up when the other is done. */
export async function handOverRow({ handOvers, stopped, seed, mutant }: HandOverOptions): Promise<RowResult> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-turns-"));
  const store: StoreName = { kind: "file", store: folder };
  const random = createRandom(seed);
  const failures: string[] = [];
  let made = 0;
  let woken = 0;
  try {
    const id = await makeSession(store);
    const both = ["A", "B"].map((name) => startProgram("turner", { store, session: id, name, leaseMs: LEASE_MS }, { mutant }));
    await Promise.all(both.map((program) => program.line(0)));
    const answered = new Set<string>();
    while (made < handOvers && failures.length === 0) {
      const [first, second] = random.next() < 0.5 ? both : both.toReversed();
      const [one, two] = [`k${made}a`, `k${made}b`];
      // Spread over the run.
      const stops = woken < stopped && made >= (woken * handOvers) / stopped;
      const problem = stops
        ? await wakeLate(first as Program, second as Program, one, two)
        : await contend(first as Program, second as Program, one, two);
      if (problem !== undefined) failures.push(`hand-over ${made}: ${problem}`);
      if (stops) woken += 1;
      if (!stops) answered.add(one);
      answered.add(two);
      made += 1;
    }
    await Promise.all(both.map((program) => program.kill()));
    failures.push(...(await doubled(store, id, answered)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    row: "R8",
    subject: "files",
    fault: `hand-overs of a turn's lease, ${woken} from a stopped process`,
    unit: "hand-overs",
    n: made,
    failures,
    note: `lease of ${LEASE_MS} ms; each late append refused`,
    seed,
  };
}

async function makeSession(store: StoreName): Promise<string> {
  const sessions = createSessionManager({ backend: await openStore(store) });
  const { id } = await sessions.create("turns");
  await sessions.close();
  return id;
}

/** Both at once: one has to wait for the other. */
async function contend(first: Program, second: Program, one: string, two: string): Promise<string | undefined> {
  const answers = await Promise.all([ask(first, `turn ${one}`), ask(second, `turn ${two}`)]);
  const failed = answers.find(({ kind }) => kind !== "turned");
  return failed === undefined ? undefined : JSON.stringify(failed);
}

/** The first is stopped in its turn; the second takes over when the lease has run out; the first wakes up and wants to go on. */
async function wakeLate(first: Program, second: Program, one: string, two: string): Promise<string | undefined> {
  const begun = await ask(first, `hold ${one}`);
  if (begun.kind !== "begun") return JSON.stringify(begun);
  await first.stop();
  const took = await ask(second, `turn ${two}`);
  first.resume();
  if (took.kind !== "turned") return `the other could not take over: ${JSON.stringify(took)}`;
  const late = await ask(first, "go");
  return late.kind === "failed" && late.code === "FENCED" ? undefined : `the process that woke up was not refused: ${JSON.stringify(late)}`;
}

async function ask(program: Program, order: string): Promise<TurnerSaid> {
  return JSON.parse(await program.ask(order)) as TurnerSaid;
}

/** Turns that were done twice, and lines that were written after the lease had gone on. */
async function doubled(store: StoreName, id: string, answered: ReadonlySet<string>): Promise<string[]> {
  const lines = await linesOf(store, id);
  const failures: string[] = [];
  let fence = 0;
  const completed = new Map<string, number>();
  for (const line of lines) {
    if (line.fence !== undefined && line.fence < fence)
      failures.push(`entry ${line.seq} was written with lease ${line.fence}, after lease ${fence} was taken`);
    fence = Math.max(fence, line.fence ?? 0);
    const { phase, status, key } = line.data as { phase?: string; status?: string; key?: string };
    if (line.type === "turn" && phase === "end" && status === "completed")
      completed.set(String(key), (completed.get(String(key)) ?? 0) + 1);
    if (messageText(line)?.includes(" late ") === true) failures.push(`entry ${line.seq} is one of a turn that had lost its lease`);
  }
  for (const key of answered) if (completed.get(key) !== 1) failures.push(`turn ${key} was completed ${completed.get(key) ?? 0} times`);
  return failures;
}

async function linesOf(store: StoreName, id: string): Promise<Line[]> {
  const backend = await openStore(store);
  try {
    const pages: Uint8Array[] = [];
    for await (const page of backend.read(await backend.head(id))) pages.push(page);
    return readChain(Buffer.concat(pages), undefined);
  } finally {
    await backend.close();
  }
}

/** R8: a process that is stopped inside the store's lock keeps it: nobody else writes, all are told who it is, and it goes on. */
export async function stoppedInLockRow({ times, seed }: { readonly times: number; readonly seed: number }): Promise<RowResult> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-lock-"));
  const store: StoreName = { kind: "file", store: folder, options: { lockTimeoutMs: LOCK_TIMEOUT_MS } };
  const failures: string[] = [];
  let tried = 0;
  try {
    const id = await makeSession(store);
    const task = { store, session: id, leaseMs: LEASE_MS };
    const holder = startProgram("turner", { ...task, name: "A" }, { mutant: "stops in the lock" });
    const other = startProgram("turner", { ...task, name: "B" });
    await Promise.all([holder.line(0), other.line(0)]);
    for (; tried < times && failures.length === 0; tried++) {
      const next = holder.lines.length;
      holder.tell(`stop a${tried}`);
      // It stops itself.
      await holder.stopped();
      const refused = await ask(other, `append b${tried}`);
      if (refused.kind !== "failed" || refused.code !== "STORE_BUSY" || !refused.message.includes(`process ${holder.pid} `))
        failures.push(`${tried}: STORE_BUSY with the process's id is due, there is ${JSON.stringify(refused)}`);
      holder.resume();
      const went = JSON.parse(await holder.line(next)) as TurnerSaid;
      const then = await ask(other, `append c${tried}`);
      if (went.kind !== "appended" || then.kind !== "appended") failures.push(`${tried}: ${JSON.stringify([went, then])}`);
    }
    await Promise.all([holder.kill(), other.kill()]);
    const texts = (await linesOf(store, id)).flatMap((line) => messageText(line) ?? []);
    const due = Array.from({ length: tried }, (_, i) => [`a${i}`, `c${i}`]).flat();
    if (JSON.stringify(texts) !== JSON.stringify(due)) failures.push(`the log holds ${JSON.stringify(texts)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    row: "R8",
    subject: "files, in the lock",
    fault: "SIGSTOP of a process inside the lock",
    unit: "stops",
    n: tried,
    failures,
    note: "others get STORE_BUSY with its id; nobody writes",
    seed,
  };
}
