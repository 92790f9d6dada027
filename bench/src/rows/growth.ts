import type { Session, SessionManager } from "@aixgo/session";
import type { Curve, Finding } from "../finding.ts";
import { interleaved, type Side, type Summary } from "../measure.ts";
import { filled, inFolder, message, openStore, populate } from "../stores.ts";

const MESSAGES = [10, 100, 1000, 10_000];
const SESSIONS = [1, 10, 100, 1000, 10_000];
/** Short sessions grow while they are measured: so many of them take turns. */
const RING = 64;

/** The same operation in longer and longer sessions, and in fuller and fuller stores. */
export async function growthRows(): Promise<readonly Finding[]> {
  return [...(await overMessages()), await overSessions()];
}

function overMessages(): Promise<readonly Curve[]> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "os");
    const rings: (readonly Session[])[] = [];
    for (const size of MESSAGES) {
      const length = size < 1000 ? RING : 2;
      const ring: Session[] = [];
      for (let index = 0; index < length; index += 1) ring.push(await filled(manager, "a", size));
      rings.push(ring);
    }
    const append = await each(MESSAGES, (index) => inTurn(rings[index] ?? [], (session) => session.append(message(200))), 60);
    const last = await each(MESSAGES, (index) => inTurn(rings[index] ?? [], (session) => session.messages({ last: 10 })), 60);
    const checkpoint = await each(MESSAGES, (index) => inTurn(rings[index] ?? [], (session) => session.checkpoint()), 60);
    await manager.close();
    const over = "messages in the session";
    return [
      curve("growth-append-messages", "append, os", over, MESSAGES, append),
      curve("growth-last-messages", "the last 10 messages, again, os", over, MESSAGES, last),
      curve("growth-checkpoint-messages", "checkpoint, os", over, MESSAGES, checkpoint),
    ];
  });
}

function overSessions(): Promise<Curve> {
  return inFolder(async (folder) => {
    const managers: SessionManager[] = [];
    const sessions: Session[] = [];
    for (const size of SESSIONS) {
      const manager = openStore(`${folder}/${size}`, "os");
      await populate(manager, () => "a", size - 1);
      managers.push(manager);
      sessions.push(await filled(manager, "a", 100));
    }
    const append = await each(SESSIONS, (index) => () => sessions[index]?.append(message(200)), 300);
    for (const manager of managers) await manager.close();
    return curve("growth-append-sessions", "append, os", "sessions in the store", SESSIONS, append);
  });
}

/** All sizes interleaved. */
async function each(sizes: readonly number[], side: (index: number) => Side, calls: number): Promise<readonly Summary[]> {
  const sides = Object.fromEntries(sizes.map((size, index) => [`at ${size}`, side(index)]));
  const found = await interleaved(sides, { calls });
  return sizes.map((size) => found[`at ${size}`] as Summary);
}

function inTurn(ring: readonly Session[], act: (session: Session) => Promise<unknown>): Side {
  let turn = 0;
  return () => act(ring[(turn += 1) % ring.length] as Session);
}

function curve(id: string, what: string, over: string, sizes: readonly number[], found: readonly Summary[]): Curve {
  return { kind: "curve", id, what, unit: "µs", over, points: sizes.map((size, index) => ({ size, ours: found[index] as Summary })) };
}
