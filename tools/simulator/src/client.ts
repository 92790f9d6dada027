import { isAixgoError, type Reply } from "@aixgo/core";
import type { Job } from "./agent.ts";
import { AGENT } from "./agent.ts";
import type { Cluster, Node } from "./cluster.ts";
import { ConnectionLost } from "./host.ts";
import type { AppendRecord, Ledger, TurnRecord } from "./ledger.ts";
import type { World } from "./world.ts";

/** Errors that a client of a faulty network has to expect. Anything else is a violation. */
const EXPECTED = new Set([
  "SESSION_BUSY",
  "FENCED",
  "OUTCOME_UNKNOWN",
  "BACKEND_UNAVAILABLE",
  "CANCELLED",
  "AGENT_FAILED",
  "VERSION_CONFLICT",
  "TURN_ENDED",
  "TURN_SUSPENDED",
]);
const GONE = new Set(["SESSION_DELETED", "SESSION_NOT_FOUND"]);
const ATTEMPTS = 6;

export interface Client {
  /** Makes its requests one after the other, and is done. */
  run(): Promise<void>;
}

/** A client that does `requests` things to the sessions, repeats what may be repeated, and keeps the ledger. */
export function createClient(
  world: World,
  cluster: Cluster,
  ledger: Ledger,
  name: string,
  sessions: readonly string[],
  requests: number,
): Client {
  const { work } = world;
  let count = 0;

  /** Undefined: it failed in a way that is to be expected, or its outcome is not known. */
  async function ask<T>(what: string, session: string, body: (node: Node) => Promise<T>): Promise<T | undefined> {
    try {
      return await cluster.request(work.between(0, cluster.size - 1), what, body);
    } catch (error) {
      const code = isAixgoError(error) ? error.code : undefined;
      world.say(`${name}: ${what} failed: ${code ?? String(error)}`);
      const isExpected =
        error instanceof ConnectionLost ||
        (code !== undefined &&
          (EXPECTED.has(code) ||
            (code === "ENTRY_NOT_FOUND" && what.startsWith("answer")) ||
            (GONE.has(code) && ledger.deleted.has(session))));
      if (!isExpected)
        ledger.report(
          `${what} failed with ${code === undefined ? String((error as Error).stack) : `${code}: ${(error as Error).message}`}`,
        );
      return undefined;
    }
  }

  async function append(session: string): Promise<void> {
    const text = `${name}.${(count += 1)}`;
    const op = work.chance(0.6) ? `op-${text}` : undefined;
    let expectedVersion: number | undefined;
    if (work.chance(0.2))
      expectedVersion = (await ask("info", session, async ({ manager }) => (await manager.get(session)).info()))?.version;
    const record: AppendRecord = {
      session,
      text,
      isAcknowledged: false,
      ...(op === undefined ? undefined : { op }),
      ...(expectedVersion === undefined ? undefined : { expectedVersion }),
    };
    ledger.appends.push(record);
    const options = { ...(op === undefined ? undefined : { op }), ...(expectedVersion === undefined ? undefined : { expectedVersion }) };
    for (let attempt = 0; attempt < (op === undefined ? 1 : ATTEMPTS) && !record.isAcknowledged; attempt += 1) {
      const done = await ask(`append ${text}`, session, async ({ manager }) => (await manager.get(session)).append(text, options));
      if (done === undefined) continue;
      record.isAcknowledged = true;
      ledger.sawVersion(session, done.version);
    }
  }

  async function turn(session: string): Promise<void> {
    const key = `${name}.${(count += 1)}`;
    const job: Job = {
      key,
      tools: work.between(0, 2),
      failures: work.chance(0.2) ? 1 : 0,
      thinkMs: work.pick([5, 60, 400]),
      asks: work.pick([0, 0, 1, 2]),
    };
    const input = JSON.stringify(job);
    const record: TurnRecord = { session, key, input, answers: new Set() };
    ledger.turns.set(key, record);
    const options = {
      turnKey: key,
      ifBusy: work.pick(["queue", "queue", "reject", "interrupt"] as const),
      ifSuspended: work.pick(["reject", "decline"] as const),
    };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const asked = await ask(`turn ${key}`, session, ({ runtime }) => runtime.callWithSession(AGENT, input, session, options));
      const reply = asked?.turn?.status === "suspended" ? await answer(session, asked) : asked;
      if (reply?.turn?.status !== "completed") continue;
      record.answers.add(reply.message.id);
      if (reply.text !== `answer to ${key}`) ledger.report(`turn ${key} was answered with ${JSON.stringify(reply.text)}`);
      if (reply.turn !== undefined && !reply.turn.replayed) ledger.sawVersion(session, reply.turn.version);
      // Who asks again is told the same.
      if (work.chance(0.7)) return;
    }
  }

  /** Answers what a turn asks, some of it more than once and differently: the first answer counts. */
  async function answer(session: string, asked: Reply): Promise<Reply | undefined> {
    let reply: Reply | undefined;
    for (const { requestId } of asked.turn?.requests ?? []) {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const decision = `${name} says ${attempt}`;
        const told = await ask(`answer ${requestId}`, session, ({ runtime }) => runtime.resume(session, requestId, decision));
        reply = told ?? reply;
        if (told !== undefined && work.chance(0.7)) break;
      }
    }
    return reply;
  }

  async function checkpoint(session: string): Promise<void> {
    const made = await ask("checkpoint", session, async ({ manager }) => (await manager.get(session)).checkpoint());
    if (made === undefined) return;
    ledger.sawVersion(session, made.version);
    ledger.checkpoints.set(session, [...(ledger.checkpoints.get(session) ?? []), made.id]);
  }

  async function restore(session: string): Promise<void> {
    const known = ledger.checkpoints.get(session);
    if (known === undefined) return;
    const target = work.pick(known);
    const done = await ask("restore", session, async ({ manager }) => (await manager.get(session)).restore(target));
    if (done !== undefined) ledger.sawVersion(session, done.version);
  }

  async function cancel(session: string): Promise<void> {
    await ask("cancel", session, ({ manager }) => manager.cancelTurn(session, { reason: "a client asked" }));
  }

  async function look(session: string): Promise<void> {
    const known = ledger.versions.get(session) ?? 0;
    const info = await ask("info", session, async ({ manager }) => (await manager.get(session)).info());
    if (info !== undefined && info.version < known)
      ledger.report(`a reader saw version ${info.version} after version ${known} had been acknowledged`);
  }

  async function describe(session: string): Promise<void> {
    const done = await ask("metadata", session, async ({ manager }) => (await manager.get(session)).setMetadata({ by: name, count }));
    if (done !== undefined) ledger.sawVersion(session, done.version);
  }

  const things = [append, append, append, turn, turn, turn, checkpoint, restore, cancel, look, look, describe];
  return {
    async run() {
      for (let request = 0; request < requests; request += 1) {
        await world.sleep(work.next() * 120);
        await work.pick(things)(work.pick(sessions));
      }
    },
  };
}
