import { isAixgoError } from "@aixgo/core";
import type { EntryCursor } from "@aixgo/session";
import type { Cluster } from "./cluster.ts";
import { ConnectionLost } from "./host.ts";
import type { Ledger } from "./ledger.ts";
import type { World } from "./world.ts";

/** Follows a session's entries from node to node, going on from its cursor, until it has seen `to`. */
export async function follow(world: World, cluster: Cluster, ledger: Ledger, session: string, to: () => number | undefined): Promise<void> {
  let cursor: EntryCursor | undefined;
  let reading = 0;
  const next = (): number => (cursor?.seq ?? -1) + 1;
  for (;;) {
    const last = to();
    if ((last !== undefined && next() > last) || ledger.deleted.has(session)) return;
    const mine = (reading += 1);
    try {
      await cluster.request(world.work.between(0, cluster.size - 1), "follow", async ({ manager }) => {
        const handle = await manager.get(session);
        for await (const entry of handle.entries(cursor === undefined ? { follow: true } : { follow: true, after: cursor })) {
          // What a node still reads that the follower has given up is nobody's.
          if (mine !== reading) return;
          if (entry.seq < next()) ledger.report(`a follower was shown entry ${entry.seq} twice`);
          if (entry.seq > next()) ledger.report(`a follower was shown entry ${entry.seq} and never entry ${next()}`);
          cursor = handle.cursorOf(entry);
          const end = to();
          if (end !== undefined && entry.seq >= end) return;
          if (world.work.chance(0.1)) return;
        }
      });
    } catch (error) {
      const isExpected = error instanceof ConnectionLost || isAixgoError(error, "BACKEND_UNAVAILABLE") || ledger.deleted.has(session);
      if (!isExpected) ledger.report(`following failed with ${String(error)}`);
    }
    await world.sleep(20);
  }
}
