import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { prepareStore, type Operation } from "./operations.ts";
import { startProgram, type Program } from "./program.ts";
import type { Outcome } from "./programs/operation.ts";
import { openStore, type StoreName } from "./store.ts";
import { callsIn, trace, READING, WRITING, type Call, type Threads } from "./strace.ts";
import { viewOf, type View } from "./view.ts";

/** An operation with the store that it begins on, kept to be copied, and what it does when nothing fails. */
export interface Stage {
  readonly operation: Operation;
  readonly subject: string;
  readonly bystander: string;
  readonly before: View;
  readonly after: View;
  readonly calls: readonly Call[];
  /** A copy of the store. */
  copy(): StoreName;
  dispose(): void;
}

/** An operation that is about to begin, in a process of its own. */
export interface Performance {
  readonly program: Program;
  readonly threads: Threads;
  /** Begins; undefined if the process died of it. */
  run(): Promise<Outcome | undefined>;
  /** Undefined, or what was wrong with the end. */
  end(): Promise<string | undefined>;
}

const NOTHING: View = { subject: "absent", bystander: "absent", others: [] };

export async function setStage(operation: Operation): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-stage-"));
  const template = join(folder, "template");
  let known = { subject: "", bystander: "" };
  if (operation.fromNothing !== true) {
    const backend = await openStore({ kind: "file", store: template });
    known = await prepareStore(backend, operation);
    await backend.close();
    operation.spoil?.({
      remove: (path) => rmSync(join(template, path)),
      append: (ending, bytes) => appendFileSync(join(template, "agent", `${known.subject}${ending}`), bytes),
    });
  }
  let copies = 0;
  const copy = (): StoreName => {
    const store = join(folder, `copy-${copies++}`);
    if (operation.fromNothing === true) mkdirSync(store, { mode: 0o700 });
    // Node's own copy gives folders other modes from version 24 on.
    else execFileSync("cp", ["-a", template, store]);
    return { kind: "file", store };
  };
  const before = operation.fromNothing === true ? NOTHING : await viewIn(copy(), known);
  const stage = { operation, ...known, before, copy, dispose: () => rmSync(folder, { recursive: true, force: true }) };
  const store = copy();
  const performance = await begin(stage, store);
  const tracer = await trace(performance.threads, [...WRITING, ...READING]);
  const outcome = await performance.run();
  await tracer.detach();
  const problem = await performance.end();
  if (outcome?.ok !== true || problem !== undefined)
    throw new Error(`${operation.name} fails without a fault: ${JSON.stringify(outcome)} ${problem ?? ""}`);
  const calls = callsIn(tracer.output(), performance.threads).filter(({ shown }) => !/<(pipe|socket|anon_inode):/.test(shown));
  return { ...stage, after: await viewIn(store, known), calls };
}

async function viewIn(store: StoreName, known: { subject: string; bystander: string }): Promise<View> {
  const backend = await openStore(store);
  try {
    return await viewOf(backend, known);
  } finally {
    await backend.close();
  }
}

/** Starts the process, up to the moment before the operation. */
export async function begin(
  { operation, subject }: Pick<Stage, "operation" | "subject">,
  store: StoreName,
  mutant?: string,
): Promise<Performance> {
  const program = startProgram(
    "operation",
    { store, operation: operation.name, subject, opened: operation.fromNothing !== true && operation.spoil === undefined },
    { mutant, env: { UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" } },
  );
  const threads = JSON.parse(await program.line(0)) as Threads;
  return {
    program,
    threads,
    async run() {
      try {
        return JSON.parse(await program.ask("run")) as Outcome;
      } catch (error) {
        if (program.isGone()) return undefined;
        throw error;
      }
    },
    async end() {
      program.tell("end");
      await program.ended;
      return program.lines.at(-1) === '"closed"' ? undefined : `the process did not end well: ${program.said()}`;
    },
  };
}

/**
 * Opens a store as another process does, and says what is wrong with it: what was acknowledged is there, what was not is there
 * whole or not at all, an error that promises that nothing was written is right, the bystander is as it was.
 */
export async function stateProblem(stage: Stage, store: StoreName, outcome: Outcome | undefined): Promise<string | undefined> {
  const { before, after, operation } = stage;
  const backend = await openStore(store);
  try {
    const view = await viewOf(backend, stage);
    if (!isSame(view.bystander, before.bystander) && operation.fromNothing !== true)
      return `the bystander is ${JSON.stringify(view.bystander)}`;
    const isAfter = isSame(view.subject, after.subject) && isSame(view.others, after.others);
    const isBefore = isSame(view.subject, before.subject) && isSame(view.others, before.others);
    if (outcome?.ok === true && !isAfter) return `it was acknowledged, but the store holds ${JSON.stringify(view)}`;
    if (outcome?.message?.includes("nothing was written") === true && !isBefore && !isBetween(view, stage))
      return `"${outcome.message}", but the store holds ${JSON.stringify(view)}`;
    return isAfter || isBefore || isBetween(view, stage) ? undefined : `it is neither done nor undone: ${JSON.stringify(view)}`;
  } catch (error) {
    return `the store cannot be read any more: ${error instanceof Error ? error.stack : String(error)}`;
  } finally {
    await backend.close();
  }
}

/** Whether a store goes on: the operation can be made again, every session takes an append and verifies. */
export async function useProblem(stage: Stage, store: StoreName): Promise<string | undefined> {
  const backend = await openStore(store);
  const sessions = createSessionManager({ backend });
  try {
    return await goesOn(stage, sessions, backend);
  } catch (error) {
    return `the store cannot be used any more: ${error instanceof Error ? error.stack : String(error)}`;
  } finally {
    await sessions.close();
  }
}

/** Done in part, but in whole batches, one after another. */
function isBetween(view: View, { before, after, operation }: Stage): boolean {
  const othersFit = view.others.every((lines) => after.others.some((wanted) => isSame(wanted, lines)));
  const { ending } = operation;
  const subject = typeof view.subject !== "string" && view.subject.at(-1) === ending ? view.subject.slice(0, -1) : view.subject;
  if (isSame(subject, before.subject) || isSame(subject, after.subject)) return othersFit;
  if (typeof subject === "string" || typeof before.subject === "string" || typeof after.subject === "string") return false;
  return othersFit && begins(after.subject, subject) && begins(subject, before.subject);
}

async function goesOn(
  stage: Stage,
  sessions: ReturnType<typeof createSessionManager>,
  backend: Awaited<ReturnType<typeof openStore>>,
): Promise<string | undefined> {
  const { operation, subject, bystander } = stage;
  try {
    await operation.run({ sessions, backend, subject });
  } catch (error) {
    if (!isAixgoError(error) || operation.onceDone?.includes(error.code) !== true) return `the same again fails: ${String(error)}`;
  }
  const { items } = await sessions.list({ limit: 500 });
  const gone = await backend.head(subject === "" ? bystander : subject).catch(() => undefined);
  for (const id of [bystander, ...(gone === undefined ? [] : [subject]), ...items.map((item) => item.id)]) {
    if (id === "") continue;
    const session = await sessions.get(id);
    await session.append("goes on");
    const { problems } = await session.verify();
    if (problems.length > 0) return `session ${id}: ${JSON.stringify(problems)}`;
  }
  await viewOf(backend, stage);
  return undefined;
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function begins(whole: readonly string[], part: readonly string[]): boolean {
  return part.every((line, i) => whole[i] === line);
}
