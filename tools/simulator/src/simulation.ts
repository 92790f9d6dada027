import { isAixgoError } from "@aixgo/core";
import { createMemoryBackend, createMemoryStore, type Entry } from "@aixgo/session";
import { AGENT, type Job } from "./agent.ts";
import { createClient } from "./client.ts";
import { Cluster, LEASE_MS, type Node } from "./cluster.ts";
import { follow } from "./follower.ts";
import { onHost } from "./host.ts";
import { Ledger } from "./ledger.ts";
import { judge } from "./verdict.ts";
import { liveIn } from "./virtual-clock.ts";
import { witnessed } from "./witness.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly events: number;
  /** Of all that happened: the same seed, the same digest. */
  readonly digest: string;
  readonly turns: number;
  readonly appends: number;
}

const LIMIT_MS = 10 * 60_000;
/** Faults come within this time; requests go on a little longer. */
const STORM_MS = 2_000;

/** Runs one seed to its end. Nothing else may happen in this process meanwhile: its clock is the simulation's. */
export async function simulate(seed: number, trace?: (line: string) => void): Promise<Outcome> {
  const world = new World(seed, trace);
  const ledger = new Ledger();
  liveIn(world);
  try {
    await onHost(undefined, () => world.until(story(world, ledger), LIMIT_MS)).catch((error: unknown) =>
      ledger.report(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  } finally {
    liveIn(undefined);
  }
  const appends = ledger.appends.filter(({ isAcknowledged }) => isAcknowledged).length;
  const turns = [...ledger.turns.values()].filter(({ answers }) => answers.size > 0).length;
  return { seed, violations: [...new Set(ledger.violations)], events: world.events, digest: world.digest(), turns, appends };
}

async function story(world: World, ledger: Ledger): Promise<void> {
  const { faults, work } = world;
  const store = witnessed(world, createMemoryBackend({ store: createMemoryStore({ now: () => world.now }) }), ledger.report);
  const isRough = faults.chance(0.7);
  const weather = {
    lossRate: isRough ? faults.next() * 0.15 : 0,
    doubleRate: isRough ? faults.next() * 0.15 : 0,
    lateRate: isRough ? faults.next() * 0.08 : 0,
    cut: new Set<string>(),
  };
  const cluster = new Cluster(world, store, weather, ledger);
  await cluster.start(faults.between(2, 3));

  const calm = await cluster.boot("creator").then(async (node) => {
    const sessions: string[] = [];
    // The weather may be bad: who creates asks until it is told.
    for (let index = faults.between(1, 2); index > 0; index -= 1) sessions.push(await createFor(world, node, `user${index}`));
    return sessions;
  });
  stir(world, cluster);
  const mayDelete = faults.chance(0.1);

  let ends: number | undefined;
  const [first = ""] = calm;
  const following = follow(world, cluster, ledger, first, () => ends);
  const clients = Array.from({ length: work.between(2, 4) }, (_, index) =>
    createClient(world, cluster, ledger, `client${index}`, calm, work.between(5, 11)).run(),
  );
  if (mayDelete) clients.push(deleteLate(world, cluster, ledger, calm.at(-1) as string));
  await Promise.all(clients);

  cluster.heal();
  await world.sleep(Math.max(0, STORM_MS - world.now) + 10 * LEASE_MS);
  cluster.heal();
  const judgeNode = await cluster.boot("judge");
  for (const session of calm) {
    const last = await settle(world, judgeNode, ledger, session);
    if (session === first) ends = last;
  }
  await following;
}

async function createFor(world: World, { manager }: Node, user: string): Promise<string> {
  for (;;) {
    try {
      return (await manager.getOrCreate(AGENT, user)).id;
    } catch (error) {
      if (!isAixgoError(error, "BACKEND_UNAVAILABLE") && !isAixgoError(error, "OUTCOME_UNKNOWN")) throw error;
      await world.sleep(10);
    }
  }
}

/** Crashes, pauses and cuts, at times drawn from the seed. */
function stir(world: World, cluster: Cluster): void {
  const { faults } = world;
  for (let count = faults.between(0, 6); count > 0; count -= 1) {
    const slot = faults.between(0, cluster.size - 1);
    const ms = faults.between(20, 4 * LEASE_MS);
    const what = faults.pick([
      () => cluster.crash(slot, ms),
      () => cluster.pause(slot, ms),
      () => cluster.pause(slot, ms),
      () => cluster.cutOff(slot, ms),
    ]);
    world.after(faults.next() * STORM_MS, "fault", what);
  }
}

async function deleteLate(world: World, cluster: Cluster, ledger: Ledger, session: string): Promise<void> {
  await world.sleep(world.faults.next() * STORM_MS);
  // From here on it may be gone, whether the client is told or not.
  ledger.deleted.add(session);
  await cluster.request(0, "delete", ({ manager }) => manager.delete(session)).catch(() => {});
}

/** Reads what is left of a session through a fresh node in good weather, and shows that it can go on. Answers its last version. */
async function settle(world: World, { host, manager, runtime }: Node, ledger: Ledger, session: string): Promise<number | undefined> {
  return onHost(host, async () => {
    try {
      const handle = await manager.get(session);
      const job: Job = { key: `last.${world.events}`, tools: 1, failures: 0, thinkMs: 1, asks: 0 };
      const reply = await runtime.callWithSession(AGENT, JSON.stringify(job), session, { turnKey: job.key, ifSuspended: "decline" });
      if (reply.text !== `answer to ${job.key}`) ledger.report("the last turn was answered wrongly");
      const entries: Entry[] = [];
      for await (const entry of handle.entries()) entries.push(entry);
      judge({ session, entries, messages: await handle.messages(), verification: await handle.verify() }, ledger);
      return entries.at(-1)?.seq;
    } catch (error) {
      const isGone = isAixgoError(error, "SESSION_DELETED") && ledger.deleted.has(session);
      if (!isGone) ledger.report(`at the end the session cannot be used: ${String((error as Error).stack)}`);
      return undefined;
    }
  });
}
