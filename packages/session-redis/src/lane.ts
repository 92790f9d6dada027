import type { Cluster, Redis } from "ioredis";
import { type CountedCommand, pipelined } from "./counted-command.ts";
import { isMissingScript, isRedirect, isStaleNode } from "./redis-errors.ts";

const REDIRECTS = 5;

/** One write. */
export interface LaneItem {
  make(name: "evalsha" | "eval"): CountedCommand;
  sends: number;
}

interface Confirmation {
  readonly reply: unknown;
  readonly confirmed: number;
}

export interface Lane {
  send(item: LaneItem, replicas: number): Promise<Confirmation>;
}

interface Queued {
  readonly item: LaneItem;
  readonly replicas: number;
  resolve(confirmation: Confirmation): void;
  reject(error: unknown): void;
}

/**
 * Writes and their WAIT leave in one pipeline. On a single server what comes up while one is under way leaves together, with
 * one WAIT for all; a Cluster's pipeline holds one write, for its keys say to which master it goes.
 */
export function createLane(client: Redis | Cluster, timeoutMs: number): Lane {
  const waitMs = Math.max(1, Math.floor(timeoutMs * 0.8));
  let queue: Queued[] = [];
  let busy = false;

  async function exchange(
    group: readonly { readonly item: LaneItem; readonly name: "evalsha" | "eval" }[],
    replicas: number,
  ): Promise<readonly (readonly [Error | null, unknown])[]> {
    const commands = group.map(({ item, name }) => item.make(name));
    const pipeline = pipelined(client, commands);
    pipeline.wait(replicas, waitMs);
    try {
      return (await pipeline.exec()) ?? [];
    } finally {
      for (const [i, { item }] of group.entries()) item.sends += commands[i]?.sends ?? 0;
    }
  }

  async function deliver(group: readonly Queued[]): Promise<void> {
    let rest = group.map((queued) => ({ ...queued, name: "evalsha" as "evalsha" | "eval" }));
    for (let attempt = 0; rest.length > 0; attempt++) {
      const replicas = Math.max(...rest.map((one) => one.replicas));
      const results = await exchange(rest, replicas);
      const [waitError, confirmed] = results[rest.length] ?? [new Error("Connection is closed.")];
      const again: typeof rest = [];
      for (const [i, one] of rest.entries()) {
        const [error, reply] = results[i] ?? [new Error("Connection is closed.")];
        // Without an answer to WAIT the write has been done, and nobody knows where: a master that loses its place answers so.
        if (error === null) one.resolve({ reply, confirmed: waitError === null ? Number(confirmed) : 0 });
        else if (isMissingScript(error) && one.name === "evalsha") {
          refusedOnce(one.item);
          again.push({ ...one, name: "eval" });
        } else if (isRedirect(error)) {
          refusedOnce(one.item);
          if (attempt < REDIRECTS) again.push(one);
          else one.reject(new Error("TRYAGAIN the slot is on its way to another node"));
        } else {
          // Nothing waits for this: the next write may find the master by then.
          if (client.isCluster && isStaleNode(error)) void refreshed(client as Cluster);
          one.reject(error);
        }
      }
      if (again.some(({ name }) => name === "evalsha") && client.isCluster) await refreshed(client as Cluster);
      rest = again;
    }
  }

  async function drain(): Promise<void> {
    busy = true;
    // What is sent in the same turn of the event loop leaves together.
    await Promise.resolve();
    while (queue.length > 0) {
      const group = queue;
      queue = [];
      try {
        await deliver(group);
      } catch (error) {
        for (const one of group) one.reject(error);
      }
    }
    busy = false;
  }

  return {
    send: (item, replicas) =>
      new Promise((resolve, reject) => {
        const queued: Queued = { item, replicas, resolve, reject };
        if (client.isCluster) {
          deliver([queued]).catch(reject);
          return;
        }
        queue.push(queued);
        if (!busy) drain().catch(reject);
      }),
  };
}

/** What was sent once and refused has surely not been done: what is found later cannot be its work. */
function refusedOnce(item: LaneItem): void {
  if (item.sends === 1) item.sends = 0;
}

/** A pipeline with a WAIT is not redirected by the client, nor does it learn from it that a slot has moved or a node is cut off. */
async function refreshed(cluster: Cluster): Promise<void> {
  await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()));
}
