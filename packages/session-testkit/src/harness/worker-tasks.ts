import { setTimeout as pause } from "node:timers/promises";
import { isAixgoError } from "@aixgo/core";
import type { Head, Lease, SessionBackend } from "@aixgo/session/backend";
import { blobOf } from "./blob.ts";
import { continueLog, createLog, message, namesSync, turn } from "./log-builder.ts";
import { blobsOf } from "./offers.ts";
import { creating, creatingAs, linesFrom, startSession } from "./start-session.ts";
import { appendSurely } from "./surely.ts";
import type { Report, Task } from "./task.ts";

type Done = Extract<Report, { kind: "done" }>;
type Told = (op: string) => void;

const MAX_CONFLICTS = 100_000;
const SLOW_MS = 10;
/** What may become of getting and deleting one session while others do the same. */
const LOST = ["SESSION_DELETED", "SESSION_NOT_FOUND", "INCARNATION_CHANGED", "KEY_EXISTS", "STORE_BUSY"];

export async function perform(backend: SessionBackend, task: Task, told: Told): Promise<Done> {
  switch (task.kind) {
    case "append":
      return appendAll(backend, task, told);
    case "hold":
      return hold(backend, task);
    case "renew":
      await backend.renew(await backend.head(task.id), { fence: task.fence, token: task.token }, task.ttlMs);
      return { kind: "done" };
    case "write-on":
      return writeOn(backend, task, told);
    case "create": {
      const { head, created } = await backend.create(creatingAs({ key: task.key }, "get"));
      return { kind: "done", id: head.id, created };
    }
    case "start":
      for (let i = 0; i < task.count; i += 1)
        told((await startSession(backend, { agentName: task.agentName, startedAt: Date.now() + i })).ref.id);
      return { kind: "done" };
    case "churn":
      for (let i = 0; i < task.count; i += 1) await getAndDelete(backend, task.key, told);
      return { kind: "done" };
    case "attach": {
      const { bytes, digest } = blobOf(task.text);
      await blobsOf(backend).put(await backend.head(task.id), digest, linesFrom([bytes]));
      return { kind: "done" };
    }
    case "slow-create": {
      const log = createLog({ id: task.id, key: task.key });
      for (let i = 1; i < task.lines; i += 1) log.add(message(`of the dead ${i}`));
      const { head } = await backend.create({ ...creating(log, "get"), lines: () => slowly(log.lines, told) });
      return { kind: "done", id: head.id };
    }
    case "slow-rewrite": {
      const head = await backend.head(task.id);
      const log = createLog({ id: task.id });
      for (let i = 1; i < task.lines; i += 1) log.add(message(`rewritten ${i}`));
      await backend.rewrite(head, { expect: head, next: log.ref, lines: slowly(log.lines, told) });
      return { kind: "done" };
    }
    case "slow-attach": {
      const pieces = task.pieces.map((text) => Buffer.from(text));
      await blobsOf(backend).put(await backend.head(task.id), task.digest, slowly(pieces, told));
      return { kind: "done" };
    }
  }
}

function stamped(text: string, op?: string): ReturnType<typeof message> {
  return message(text, { timestamp: new Date().toISOString(), ...(op === undefined ? {} : { op }) });
}

async function* slowly(given: readonly Uint8Array[], told: Told): AsyncGenerator<Uint8Array> {
  for (const [index, one] of given.entries()) {
    told(`given:${index}`);
    yield one;
    await pause(SLOW_MS);
  }
}

async function appendAll(backend: SessionBackend, task: Extract<Task, { kind: "append" }>, told: Told): Promise<Done> {
  let head = await backend.head(task.id);
  for (let i = 0; i < task.count; i++) {
    const op = `${task.tag}:${i}`;
    head = await appendRebased(backend, head, op, task.batch);
    told(op);
  }
  return { kind: "done" };
}

async function appendRebased(backend: SessionBackend, known: Head, op: string, size: number): Promise<Head> {
  let head = known;
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
    const log = continueLog(head, namesSync(backend));
    const { position: expect } = log;
    const lines = log.add(...Array.from({ length: size }, (_, part) => stamped(`${op} part ${part}`, part === 0 ? op : undefined)));
    const answer = await backend.append(head, { expect, lines });
    if ("head" in answer) return answer.head;
    head = answer.conflict;
  }
  throw new Error(`${op}: ${MAX_CONFLICTS} conflicts in a row`);
}

async function hold(backend: SessionBackend, { id, token, ttlMs }: Extract<Task, { kind: "hold" }>): Promise<Done> {
  const head = await backend.head(id);
  const log = continueLog(head, namesSync(backend));
  const { position: expect } = log;
  const fence = head.fence + 1;
  const lines = log.add(turn("start", fence, expect.seq + 1));
  const answer = await backend.append(head, { expect, lines, acquire: { fence, token, holder: "child", ttlMs } });
  if (!("head" in answer)) throw new Error("the lease could not be taken");
  return { kind: "done" };
}

async function writeOn(backend: SessionBackend, task: Extract<Task, { kind: "write-on" }>, told: Told): Promise<Done> {
  const lease: Pick<Lease, "fence" | "token"> = { fence: task.fence, token: task.token };
  let head = await backend.head(task.id);
  try {
    for (let i = 0; ; i += 1) {
      const op = `late:${i}`;
      head = await appendSurely(backend, head, op, { lease });
      told(op);
      await pause(SLOW_MS);
    }
  } catch (error) {
    if (!isAixgoError(error)) throw error;
    return { kind: "done", ended: error.code };
  }
}

async function getAndDelete(backend: SessionBackend, key: string, told: Told): Promise<void> {
  try {
    const { head } = await backend.create(creatingAs({ key }, "get"));
    await backend.delete(head);
    told(head.id);
  } catch (error) {
    if (!LOST.some((code) => isAixgoError(error, code))) throw error;
  }
}
