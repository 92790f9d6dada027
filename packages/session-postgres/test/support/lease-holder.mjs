// A node that takes the lease of a session again and again: it writes a turn's start, some lines under the lease, and gives it up.
// "hold" on its input: the next lease is not given up, but used until it is refused. "end": it ends. It prints one JSON value a line.
// Plain JavaScript on the built packages: what is tested is what people run.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { continueLog, message, turn } from "@aixgo/session-testkit";

const [connectionString, schema, id, name, ttl] = process.argv.slice(2);
const ttlMs = Number(ttl);
const backend = createPostgresBackend({ connectionString, schema, maxConnections: 2 });
let isOver = false;
let isToHold = false;
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (line === "hold") isToHold = true;
    if (line === "end") isOver = true;
  })
  .on("close", () => (isOver = true));

const say = (report) => process.stdout.write(`${JSON.stringify(report)}\n`);

/** Undefined: not taken. */
async function take() {
  const head = await backend.head(id);
  const left = head.lease?.expiresInMs ?? 0;
  if (left > 0) {
    await pause(Math.min(left, 5 + Math.random() * 10));
    return undefined;
  }
  const log = continueLog(head, true);
  const expect = log.position;
  const lease = { fence: head.fence + 1, token: `${name}:${head.fence + 1}:${Math.random()}` };
  const lines = log.add(turn("start", lease.fence, expect.seq + 1));
  const answer = await backend.append(head, { expect, lines, acquire: { ...lease, holder: name, ttlMs } });
  return "head" in answer ? { lease, head: answer.head, start: expect.seq + 1 } : undefined;
}

/** One line under the lease, or the turn's end; on a newer head it is built again, as whoever woke up would. Undefined: refused. */
async function write({ lease, start }, head, isEnd) {
  for (let on = head; ;) {
    const log = continueLog(on, true);
    const expect = log.position;
    const line = isEnd ? turn("end", lease.fence, start) : { ...message(`${name} under ${lease.fence}`), turn: start, fence: lease.fence };
    try {
      const answer = await backend.append(on, { expect, lines: log.add(line), lease, ...(isEnd ? { release: true } : {}) });
      if ("head" in answer) return answer.head;
      on = answer.conflict;
    } catch (error) {
      if (error.code !== "FENCED") throw error;
      return undefined;
    }
  }
}

while (!isOver) {
  const taken = await take();
  if (taken === undefined) continue;
  const { fence } = taken.lease;
  const isHeld = isToHold;
  isToHold = false;
  say({ taken: fence, held: isHeld });
  let head = taken.head;
  for (let i = 0; head !== undefined && (isHeld || i < 2); i += 1) {
    if (isHeld) await pause(2);
    head = await write(taken, head, false);
  }
  if (head !== undefined) head = await write(taken, head, true);
  if (head === undefined) {
    // However often it is tried.
    for (const isEnd of [false, true]) if ((await write(taken, await backend.head(id), isEnd)) !== undefined) say({ wrong: fence });
    say({ refused: fence });
  }
}
await backend.close();
