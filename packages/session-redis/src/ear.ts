import type { Redis } from "ioredis";

const PACE_MS = { usual: 1_000, refused: 60_000 };
/** A Cluster says where a channel is; more often than this nobody is told within one attempt. */
const HOPS = 4;

/** How channels are heard: of a single server and of Clusters before version 7 any node will do, later each has its node. */
interface EarOptions {
  readonly sharded: boolean;
  /** A connection of its own, which connects with its first command. Without an address any node will do. */
  readonly open: (address?: string) => Redis;
  readonly release: (client: Redis) => void;
  /** Something was said, or may have been said while nobody listened. */
  readonly onTold: (channel: string) => void;
  /** A channel that was heard is not any more. */
  readonly onLost: () => void;
  /** The server does not let this user listen. */
  readonly onRefused: () => void;
}

/**
 * The channels that this process listens to, on one connection, or one for each node that has some of them. A channel that
 * cannot be heard is tried again by `retry`; whoever needs certainty looks meanwhile.
 */
export interface Ear {
  /** Returns at once. `onTold` is called when the channel is heard. */
  join(channel: string): void;
  leave(channel: string): void;
  hears(channel: string): boolean;
  /** It ought to have been told and was not: it may have moved. */
  doubt(channel: string): void;
  /** Tries what is not heard, now and then. */
  retry(): void;
  close(): void;
}

export function createEar({ sharded, open, release, onTold, onLost, onRefused }: EarOptions): Ear {
  const wanted = new Set<string>();
  const heard = new Map<string, Redis>();
  const joining = new Set<string>();
  const lines = new Map<string | undefined, Redis>();
  let latest: string | undefined;
  let triedAt = 0;
  let paceMs = PACE_MS.usual;
  let isClosed = false;

  function lost(client: Redis): void {
    let isLost = false;
    for (const [channel, on] of heard) if (on === client) isLost = heard.delete(channel);
    if (isLost && !isClosed) onLost();
  }

  function lineTo(address: string | undefined): Redis {
    const known = lines.get(address);
    if (known !== undefined && known.status !== "end") return known;
    if (known !== undefined) release(known);
    const client = open(address);
    // What went wrong is said by the commands that failed.
    client.on("error", () => {});
    client.on(sharded ? "smessage" : "message", onTold);
    client.on("close", () => lost(client));
    client.on("ready", () => rejoin());
    // Of a Cluster that moves slots to another node: the client does not say which.
    client.on("moved", () => {
      lost(client);
      rejoin();
    });
    lines.set(address, client);
    return client;
  }

  async function attempt(channel: string): Promise<void> {
    let address = sharded ? latest : undefined;
    for (let hop = 0; hop < HOPS && wanted.has(channel) && !isClosed; hop++) {
      const client = lineTo(address);
      try {
        await (sharded ? client.ssubscribe(channel) : client.subscribe(channel));
        latest = address;
        paceMs = PACE_MS.usual;
        if (!wanted.has(channel)) return;
        heard.set(channel, client);
        onTold(channel);
        return;
      } catch (error) {
        const message = error instanceof Error ? error.message : "";
        const moved = /^MOVED \d+ (\S+)$/.exec(message)?.[1];
        if (moved === undefined) {
          if (message.includes("NOPERM")) {
            paceMs = PACE_MS.refused;
            onRefused();
          }
          latest = undefined;
          return;
        }
        address = moved;
      }
    }
  }

  function begin(channel: string): void {
    if (joining.has(channel) || isClosed) return;
    joining.add(channel);
    const done = (): void => void joining.delete(channel);
    attempt(channel).then(done, done);
  }

  function rejoin(): void {
    for (const channel of wanted) if (!heard.has(channel)) begin(channel);
  }

  /** A node that has left the Cluster would be tried for ever. */
  function prune(): void {
    const used = new Set(heard.values());
    for (const [address, client] of lines) {
      if (address === undefined || used.has(client) || client.status === "ready" || joining.size > 0) continue;
      lines.delete(address);
      release(client);
    }
  }

  return {
    join(channel) {
      wanted.add(channel);
      if (!heard.has(channel)) begin(channel);
    },
    leave(channel) {
      wanted.delete(channel);
      const client = heard.get(channel);
      heard.delete(channel);
      if (client?.status !== "ready") return;
      (sharded ? client.sunsubscribe(channel) : client.unsubscribe(channel)).catch(() => undefined);
    },
    hears: (channel) => heard.has(channel),
    doubt(channel) {
      heard.delete(channel);
      latest = undefined;
      begin(channel);
    },
    retry() {
      const now = performance.now();
      if (now - triedAt < paceMs) return;
      triedAt = now;
      prune();
      rejoin();
    },
    close() {
      isClosed = true;
      wanted.clear();
      heard.clear();
      for (const client of lines.values()) release(client);
      lines.clear();
    },
  };
}
