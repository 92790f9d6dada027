import { type Append, envelopeOf, type Ref, type SessionBackend } from "@aixgo/session/backend";
import type { World } from "./world.ts";

/** Reports what must never happen. */
export type Report = (violation: string) => void;

interface Seen {
  fence: number;
  token: string;
  expiresAt: number;
}

/**
 * Stands before the store and keeps leases of its own, by the store's clock: whatever the store believes, a lease is taken only when
 * none is live, its fence is one above the last, and lines of a turn come from the holder of the latest.
 */
export function witnessed(world: World, store: SessionBackend, report: Report): SessionBackend {
  const latest = new Map<string, Seen>();

  const check = (ref: Ref, request: Append): void => {
    const { acquire, lease, lines } = request;
    const known = latest.get(ref.incarnation);
    if (acquire !== undefined) {
      if (known !== undefined && known.expiresAt > world.now)
        report(`the lease with fence ${acquire.fence} was taken while another was live`);
      if (acquire.fence !== (known?.fence ?? 0) + 1)
        report(`a lease was taken with fence ${acquire.fence} after fence ${known?.fence ?? 0}`);
      latest.set(ref.incarnation, { fence: acquire.fence, token: acquire.token, expiresAt: world.now + acquire.ttlMs });
    }
    const holder = latest.get(ref.incarnation);
    // What is written of a suspended turn has no lease, and may stand only where nobody has one.
    const isFree = acquire === undefined && lease === undefined && (holder === undefined || holder.expiresAt <= world.now);
    for (const { fence, type } of lines.map((line) => envelopeOf(line)))
      if (fence !== undefined && (fence !== holder?.fence || !(isFree || (acquire ?? lease)?.token === holder.token)))
        report(`a ${type} entry with fence ${fence} was written after fence ${holder?.fence ?? 0} had been given out`);
    if (request.release === true) latest.set(ref.incarnation, { ...(holder as Seen), expiresAt: 0 });
  };

  return {
    ...store,
    async append(ref, request) {
      const answer = await store.append(ref, request);
      if ("head" in answer) {
        check(ref, request);
        world.say(`store: version ${answer.head.seq}, fence ${answer.head.fence}`);
      }
      return answer;
    },
    async renew(ref, lease, ttlMs) {
      const renewed = await store.renew(ref, lease, ttlMs);
      const known = latest.get(ref.incarnation);
      if (known?.token !== lease.token) report(`a lease with fence ${lease.fence} was prolonged after fence ${known?.fence ?? 0}`);
      else known.expiresAt = world.now + ttlMs;
      return renewed;
    },
  };
}
