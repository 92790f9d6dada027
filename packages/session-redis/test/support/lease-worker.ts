import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { isAixgoError } from "@aixgo/core";
import type { Append, Head } from "@aixgo/session/backend";
import { continueLog, message, turn } from "@aixgo/session-testkit";
import { createRedisBackend } from "../../src/index.ts";

/**
 * Takes the lease of one session again and again, writes a turn under it and gives it up. Of each `stopEvery`-th lease it
 * says so and stops itself in the middle; woken up, it goes on writing. Says what it took, what was acknowledged and what was
 * refused; ends when its input does.
 */
const [, , url, keyPrefix, id, name, ttlMs, stopEvery] = process.argv as [string, string, string, string, string, string, string, string];
const backend = createRedisBackend({ url, keyPrefix });
const say = (...words: readonly (string | number)[]): void => void writeSync(1, `${words.join(" ")}\n`);
let going = true;
process.stdin.on("end", () => (going = false)).resume();

/** Undefined: another was faster. */
async function append(head: Head, request: (log: ReturnType<typeof continueLog>) => Omit<Append, "expect">): Promise<Head | undefined> {
  const log = continueLog(head);
  const expect = log.position;
  const answer = await backend.append(head, { expect, ...request(log) });
  return "head" in answer ? answer.head : undefined;
}

async function holdOnce(): Promise<void> {
  const before = await backend.head(id);
  if (before.lease !== undefined && before.lease.expiresInMs > 0) return;
  const fence = before.fence + 1;
  const token = `${name}-${fence}`;
  let head = await append(before, (log) => ({
    lines: log.add(turn("start", fence, before.seq + 1)),
    acquire: { fence, token, holder: name, ttlMs: Number(ttlMs) },
  }));
  if (head === undefined) return;
  const start = head.seq;
  say("took", fence);
  const isStopped = fence % Number(stopEvery) === 0;
  if (isStopped) {
    say("stops", fence);
    process.kill(process.pid, "SIGSTOP");
  }
  try {
    for (let step = 0; step < 2; step++) {
      const op = `${fence}.${step}`;
      const next: Head | undefined = await append(head, (log) => ({
        lines: log.add(message(op, { op, turn: start, fence })),
        lease: { fence, token },
      }));
      if (next === undefined) {
        // Told of a newer head, whoever holds the lease builds on it; only one who does not is refused for good.
        head = await backend.head(id);
        step -= 1;
        continue;
      }
      head = next;
      say("wrote", op);
    }
    const held = head;
    await append(held, (log) => ({ lines: log.add(turn("end", fence, start)), lease: { fence, token }, release: true }));
  } catch (error) {
    if (!isAixgoError(error, "FENCED")) throw error;
    say("fenced", fence);
  }
}

while (going) {
  await holdOnce();
  await pause(1 + Math.random() * 4);
}
await backend.close();
