import type { Head, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { blobOf } from "./blob.ts";
import { continueLog, message, namesSync, turn } from "./log-builder.ts";
import { blobsOf } from "./offers.ts";
import { creatingAs, linesFrom } from "./start-session.ts";

/** What a child process is asked to do; each is answered by reports. */
export type Task =
  | { readonly kind: "append"; readonly id: string; readonly tag: string; readonly count: number; readonly batch: number }
  | { readonly kind: "hold"; readonly id: string; readonly token: string; readonly ttlMs: number }
  | { readonly kind: "renew"; readonly id: string; readonly fence: number; readonly token: string; readonly ttlMs: number }
  | { readonly kind: "create"; readonly key: string }
  | { readonly kind: "attach"; readonly id: string; readonly text: string };

export interface Order {
  readonly module: string;
  readonly name: string;
  readonly store: string;
}

/** `acked`: the op of a batch that the store has acknowledged. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "acked"; readonly op: string }
  | { readonly kind: "done"; readonly id?: string; readonly created?: boolean }
  | { readonly kind: "failed"; readonly message: string };

const MAX_CONFLICTS = 100_000;

async function perform(backend: SessionBackend, task: Task, report: (report: Report) => void): Promise<void> {
  if (task.kind === "create") {
    const { head, created } = await backend.create(creatingAs({ key: task.key }, "get"));
    return report({ kind: "done", id: head.id, created });
  }
  let head = await backend.head(task.id);
  if (task.kind === "attach") {
    const { bytes, digest } = blobOf(task.text);
    await blobsOf(backend).put(head, digest, linesFrom([bytes]));
    return report({ kind: "done" });
  }
  if (task.kind === "renew") {
    await backend.renew(head, { fence: task.fence, token: task.token }, task.ttlMs);
    return report({ kind: "done" });
  }
  if (task.kind === "hold") {
    const log = continueLog(head, namesSync(backend));
    const { position: expect } = log;
    const fence = head.fence + 1;
    const lines = log.add(turn("start", fence, expect.seq + 1));
    const answer = await backend.append(head, { expect, lines, acquire: { fence, token: task.token, holder: "child", ttlMs: task.ttlMs } });
    if (!("head" in answer)) throw new Error("the lease could not be taken");
    return report({ kind: "done" });
  }
  for (let i = 0; i < task.count; i++) {
    const op = `${task.tag}:${i}`;
    head = await appendRebased(backend, head, op, task.batch);
    report({ kind: "acked", op });
  }
  report({ kind: "done" });
}

async function appendRebased(backend: SessionBackend, known: Head, op: string, size: number): Promise<Head> {
  let head = known;
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
    const log = continueLog(head, namesSync(backend));
    const { position: expect } = log;
    const lines = log.add(...Array.from({ length: size }, (_, part) => message(`${op} part ${part}`, part === 0 ? { op } : {})));
    const answer = await backend.append(head, { expect, lines });
    if ("head" in answer) return answer.head;
    head = answer.conflict;
  }
  throw new Error(`${op}: ${MAX_CONFLICTS} conflicts in a row`);
}

async function fixtureOf({ module, name }: Order): Promise<Fixture> {
  const exports = (await import(module)) as Record<string, unknown>;
  const found = Object.values(exports).find(
    (value): value is Fixture => typeof value === "object" && value !== null && "open" in value && (value as Fixture).name === name,
  );
  if (found === undefined) throw new Error(`the fixture's module exports no fixture named ${name}`);
  return found;
}

/** The life of a child: it opens the store once, does what it is asked in order, and ends when its parent lets go of it. */
export async function work(order: Order): Promise<void> {
  const report = (one: Report): void => void process.send?.(one);
  const backend = await (await fixtureOf(order)).open(order.store);
  let last = Promise.resolve();
  process.on("message", (task: Task) => {
    last = last.then(() => perform(backend, task, report)).catch((error: unknown) => report({ kind: "failed", message: String(error) }));
  });
  process.once("disconnect", () => void last.then(() => backend.close()).finally(() => process.exit()));
  report({ kind: "ready" });
}
