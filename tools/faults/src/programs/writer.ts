import { writeSync } from "node:fs";
import { isAixgoError, textOf } from "@aixgo/core";
import { createSessionManager, type Session } from "@aixgo/session";
import type { Acknowledged } from "../ledger.ts";
import { createRandom } from "../random.ts";
import { openStore, type StoreName } from "../store.ts";

/**
 * Works on a store until it is killed: appends alone, in batches and several at once, checkpoints and restores on a session that
 * others write to as well; and on sessions of its own turns, metadata and deletes. Says what was acknowledged.
 */
interface WriterTask {
  readonly store: StoreName;
  readonly shared: string;
  /** Begins every text, so that no two are the same. */
  readonly name: string;
  readonly seed: number;
}

const { store, shared, name, seed } = JSON.parse(process.argv[2] as string) as WriterTask;
const random = createRandom(seed);
// A write to a pipe is done when the call returns: what was said is heard, however this process ends.
const say = (said: Acknowledged): void => void writeSync(1, `${JSON.stringify(said)}\n`);

const sessions = createSessionManager({ backend: await openStore(store), leaseMs: 1000 });
const session = await sessions.get(shared);
let made = 0;
const text = (): string => `${name}.${made++} ${"x".repeat(random.below(400))}`;

async function append(to: Session, count: number): Promise<void> {
  const texts = Array.from({ length: count }, text);
  const { version, messages } = await to.append(texts);
  messages.forEach((message, i) =>
    say({ kind: "entry", session: to.id, seq: version - messages.length + 1 + i, type: "message", text: textOf(message) }),
  );
}

async function ownSession(): Promise<void> {
  const own = await sessions.create(`agent-${random.below(3)}`, random.next() < 0.5 ? { key: `${name}.${made++}` } : {});
  say({ kind: "created", session: own.id });
  await append(own, 1);
  const { version } = await own.setMetadata({ topic: name });
  say({ kind: "entry", session: own.id, seq: version, type: "metadata" });
  const reply = await own.turn(text(), async (turn) => {
    await turn.append(text());
    return text();
  });
  say({ kind: "entry", session: own.id, seq: reply.turn?.version ?? -1, type: "turn" });
  if (random.next() < 0.5) return;
  say({ kind: "deleting", session: own.id });
  await sessions.delete(own.id);
  say({ kind: "deleted", session: own.id });
}

async function step(): Promise<void> {
  const chance = random.next();
  if (chance < 0.5) return append(session, 1);
  if (chance < 0.65) return append(session, 2 + random.below(4));
  if (chance < 0.8) {
    await Promise.all([append(session, 1), append(session, 3), append(session, 1)]);
    return;
  }
  if (chance < 0.9) return ownSession();
  const checkpoint = await session.checkpoint();
  say({ kind: "entry", session: shared, seq: checkpoint.version, type: "checkpoint" });
  if (chance < 0.95) return;
  const { version } = await session.restore(checkpoint.id);
  say({ kind: "entry", session: shared, seq: version, type: "restore" });
}

for (;;) {
  try {
    await step();
  } catch (error) {
    // Others write as well: that one may be too late is no failure.
    if (!isAixgoError(error, "SESSION_BUSY") && !isAixgoError(error, "STORE_BUSY")) throw error;
  }
}
