import { AixgoError, isAixgoError } from "@aixgo/core";
import type { Append, Appended, Head, SessionBackend } from "@aixgo/session/backend";
import { type Flaw, type Mutant, mutant, tick, without } from "./mutant.ts";

type Held = Map<string, { readonly fence: number; readonly token: string }>;

const FENCED = "append is fenced: fence and token equal the lease record";
const EXPIRY = "the record outlives its expiry, and an expired lease that nobody took may still write";

/** A mutant that remembers, for itself, the lease of each session. */
function remembering(
  name: string,
  sentence: string,
  mustFail: readonly string[],
  breakIt: (real: SessionBackend, held: Held) => Flaw,
): Mutant {
  return mutant(name, sentence, mustFail, (real) => {
    const held: Held = new Map();
    const noting: SessionBackend = {
      ...real,
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("head" in answer && request.acquire !== undefined)
          held.set(ref.id, { fence: request.acquire.fence, token: request.acquire.token });
        return answer;
      },
    };
    return { append: noting.append, ...breakIt(noting, held) };
  });
}

/** Changes every head that callers see. */
function showing(real: SessionBackend, change: (head: Head) => Head): Flaw {
  return {
    head: async (id) => change(await real.head(id)),
    async append(ref, request): Promise<Appended> {
      const answer = await real.append(ref, request);
      return "head" in answer ? { head: change(answer.head) } : { ...answer, conflict: change(answer.conflict) };
    },
  };
}

export const leaseMutants: readonly Mutant[] = [
  mutant(
    "has no fence",
    FENCED,
    ["lease/wrong-token", "lease/wrong-fence", "lease/no-record", "lease/taken-over-is-fenced", "lease/released"],
    (real) => ({
      append(ref, request) {
        const { lease: _, release: __, ...rest } = request;
        return real.append(ref, rest);
      },
    }),
  ),
  remembering("looks at the fence, not at the token", FENCED, ["lease/wrong-token"], (real, held) => ({
    append(ref, request) {
      const known = held.get(ref.id);
      const lease = request.lease !== undefined && known?.fence === request.lease.fence ? known : request.lease;
      return real.append(ref, lease === undefined ? request : { ...request, lease });
    },
  })),
  remembering("looks at the token, not at the fence", FENCED, ["lease/wrong-fence"], (real, held) => ({
    append(ref, request) {
      const known = held.get(ref.id);
      const lease = request.lease !== undefined && known?.token === request.lease.token ? known : request.lease;
      return real.append(ref, lease === undefined ? request : { ...request, lease });
    },
  })),
  mutant("counts leases, not the fences of a log", "fences only rise", ["lease/fence-above-log"], (real) => ({
    async append(ref, request) {
      if (request.acquire?.fence !== 1) return real.append(ref, request);
      const { fence } = await real.head(ref.id);
      return real.append(ref, { ...request, acquire: { ...request.acquire, fence: fence + 1 } });
    },
  })),
  mutant("gives out a lease with any fence", "a fence other than the record's + 1 is a conflict", ["lease/fence-is-next"], (real) => ({
    async append(ref, request) {
      const head = await real.head(ref.id);
      return real.append(
        ref,
        request.acquire === undefined ? request : { ...request, acquire: { ...request.acquire, fence: head.fence + 1 } },
      );
    },
  })),
  mutant(
    "gives out the same fence twice",
    "no two leases have the same fence",
    ["lease/fence-once", "lease/fence-once-after-expiry"],
    (real) => ({
      async append(ref, request) {
        const { fence } = await real.head(ref.id);
        return real.append(
          ref,
          request.acquire?.fence === fence && fence > 0 ? { ...request, acquire: { ...request.acquire, fence: fence + 1 } } : request,
        );
      },
    }),
  ),
  remembering("gives a live lease to the next who asks", "a live lease is a conflict", ["lease/live-is-conflict"], (real, held) => ({
    async append(ref, request) {
      const known = held.get(ref.id);
      const head = await real.head(ref.id);
      if (request.acquire !== undefined && known !== undefined && head.lease?.fence === known.fence) {
        await real.renew(ref, known, 0.001);
        while (((await real.head(ref.id)).lease?.expiresInMs ?? 0) > 0) await tick();
        return real.append(ref, { ...request, acquire: { ...request.acquire, fence: head.fence + 1 } });
      }
      return real.append(ref, request);
    },
  })),
  remembering("gives one lease to all who ask at once", "one turn per session at a time", ["lease/one-takes-over"], (real, held) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      return "conflict" in answer && request.acquire?.fence === answer.conflict.lease?.fence && held.has(ref.id)
        ? { head: answer.conflict }
        : answer;
    },
  })),
  mutant("shows the token", "the head shows the lease without its token", ["lease/taken-by-append"], (real) => {
    const tokens = new Map<string, string>();
    const shown = (head: Head): Head =>
      head.lease === undefined ? head : { ...head, lease: { ...head.lease, token: tokens.get(head.id) } as NonNullable<Head["lease"]> };
    return {
      ...showing(real, shown),
      async append(ref, request) {
        if (request.acquire !== undefined && (await real.head(ref.id)).lease === undefined) tokens.set(ref.id, request.acquire.token);
        const answer = await real.append(ref, request);
        return "head" in answer ? { head: shown(answer.head) } : { ...answer, conflict: shown(answer.conflict) };
      },
    };
  }),
  mutant("takes a lease for an append that it refuses", "a mismatch writes nothing", ["lease/conflict-takes-nothing"], (real) => {
    const taken = new Map<string, number>();
    const shown = (head: Head): Head => (taken.has(head.id) ? { ...head, fence: taken.get(head.id) as number } : head);
    return {
      head: async (id) => shown(await real.head(id)),
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("conflict" in answer && request.acquire !== undefined) taken.set(ref.id, request.acquire.fence);
        return answer;
      },
    };
  }),
  mutant(
    "takes leases, but does not keep them",
    "a lease lies in the same row or key as the head",
    ["lease/taken-by-append", "lease/holder-writes", "lease/expired-may-write"],
    (real) => ({
      append(ref, request) {
        const { acquire: _, ...rest } = request;
        return real.append(ref, rest);
      },
    }),
  ),
  mutant(
    "keeps a lease in the memory of one node",
    "fenced: also from another node",
    ["lease/holder-writes", "lease/renewed"],
    (real) => () => {
      const own = new Set<string>();
      const needed = (token: string | undefined): void => {
        if (token !== undefined && !own.has(token)) throw new AixgoError("FENCED", "not this node's lease");
      };
      return {
        append(ref: { readonly id: string; readonly incarnation: string }, request: Append) {
          if (request.acquire !== undefined) own.add(request.acquire.token);
          needed(request.lease?.token);
          return real.append(ref, request);
        },
        renew(ref, lease, ttlMs) {
          needed(lease.token);
          return real.renew(ref, lease, ttlMs);
        },
      };
    },
  ),
  mutant(
    "refuses every append beside a live lease",
    "an append without a lease is refused by the session layer, not by the store",
    ["lease/others-may-append", "lease/conflict-releases-nothing"],
    (real) => ({
      async append(ref, request) {
        const head = await real.head(ref.id);
        return request.lease === undefined && (head.lease?.expiresInMs ?? 0) > 0 ? { conflict: head } : real.append(ref, request);
      },
    }),
  ),
  mutant(
    "drops a lease when it expires",
    EXPIRY,
    ["lease/expired-may-write", "lease/expired-may-renew", "lease/taken-over-is-fenced"],
    (real) => showing(real, (head) => ((head.lease?.expiresInMs ?? 1) > 0 ? head : without(head, "lease"))),
  ),
  mutant("lets no expired lease write", EXPIRY, ["lease/expired-may-write"], (real) => ({
    async append(ref, request) {
      if (request.lease !== undefined && ((await real.head(ref.id)).lease?.expiresInMs ?? 1) <= 0)
        throw new AixgoError("FENCED", "expired");
      return real.append(ref, request);
    },
  })),
  mutant("renews no expired lease", "an expired lease that nobody took is prolonged", ["lease/expired-may-renew"], (real) => ({
    async renew(ref, lease, ttlMs) {
      if (((await real.head(ref.id)).lease?.expiresInMs ?? 1) <= 0) throw new AixgoError("FENCED", "expired");
      return real.renew(ref, lease, ttlMs);
    },
  })),
  mutant("never lets a lease expire", "released by time, by the store's clock", ["lease/fence-once-after-expiry"], (real) => ({
    append: (ref, request) =>
      real.append(ref, request.acquire === undefined ? request : { ...request, acquire: { ...request.acquire, ttlMs: 900_000 } }),
  })),
  mutant(
    "ignores a release",
    "released by the append that writes the turn's end",
    ["lease/released", "lease/fence-once", "lease/cancel-without-holder"],
    (real) => ({
      append(ref, request) {
        const { release: _, ...rest } = request;
        return real.append(ref, rest);
      },
    }),
  ),
  mutant("releases with an append that it refuses", "a mismatch writes nothing", ["lease/conflict-releases-nothing"], (real) => {
    const released = new Set<string>();
    return {
      async append(ref, request) {
        if (request.lease !== undefined && released.has(ref.id)) throw new AixgoError("FENCED", "released");
        const answer = await real.append(ref, request);
        if ("conflict" in answer && request.release === true) released.add(ref.id);
        return answer;
      },
    };
  }),
  remembering(
    "renews for anybody",
    "FENCED if another, or none, holds the record",
    ["lease/renew-is-fenced", "lease/taken-over-is-fenced"],
    (real, held) => ({
      renew: (ref, lease, ttlMs) => real.renew(ref, held.get(ref.id) ?? lease, ttlMs),
    }),
  ),
  mutant("answers a renewal, but does not prolong", "prolongs a lease", ["lease/renewed", "lease/expired-may-renew"], (real) => ({
    async renew(ref, lease, ttlMs) {
      const left = (await real.head(ref.id)).lease?.expiresInMs ?? 0;
      return { ...(await real.renew(ref, lease, Math.max(left, 0.001))), expiresInMs: ttlMs };
    },
  })),
  remembering(
    "prolongs before it looks who asks",
    "FENCED if another, or none, holds the record",
    ["lease/renew-is-fenced"],
    (real, held) => ({
      async renew(ref, lease, ttlMs) {
        const known = held.get(ref.id);
        if (known !== undefined) await real.renew(ref, known, ttlMs).catch(() => undefined);
        return real.renew(ref, lease, ttlMs);
      },
    }),
  ),
  mutant("loses a cancel", "cancel tells the holder of the lease", ["lease/cancel"], (real) => ({
    cancel: async (ref) => ((await real.head(ref.id)).lease?.expiresInMs ?? 0) > 0,
  })),
  mutant("tells of a cancel once", "seen at the next append or renewal", ["lease/cancel"], (real) => {
    const told = new Set<string>();
    return {
      async renew(ref, lease, ttlMs) {
        const { cancelRequested, ...rest } = await real.renew(ref, lease, ttlMs);
        if (cancelRequested === undefined || told.has(ref.id)) return rest;
        told.add(ref.id);
        return { ...rest, cancelRequested };
      },
    };
  }),
  mutant("says yes to every cancel", "false: there is none", ["lease/cancel-without-holder"], (real) => ({
    cancel: async (ref, reason) => (await real.cancel(ref, reason)) || true,
  })),
  mutant("cancels an expired lease", "tells the holder of the live lease", ["lease/cancel-without-holder"], (real) => ({
    cancel: async (ref, reason) => (await real.cancel(ref, reason)) || (await real.head(ref.id)).lease !== undefined,
  })),
  mutant(
    "cancels the next holder too",
    "cancel tells the holder of the lease, not the next one",
    ["lease/cancel-is-not-inherited"],
    (real) => {
      const reasons = new Map<string, string>();
      return {
        async cancel(ref, reason) {
          reasons.set(ref.id, reason);
          return real.cancel(ref, reason);
        },
        async head(id) {
          const head = await real.head(id);
          const reason = reasons.get(id);
          return head.lease === undefined || reason === undefined ? head : { ...head, lease: { ...head.lease, cancelRequested: reason } };
        },
      };
    },
  ),
  mutant(
    "makes a stale holder's append an answer instead of an error",
    "FENCED is an exception",
    ["lease/taken-over-is-fenced", "lease/wrong-token"],
    (real) => ({
      append: (ref, request) =>
        real.append(ref, request).catch(async (error: unknown) => {
          if (isAixgoError(error, "FENCED")) return { conflict: await real.head(ref.id) };
          throw error;
        }),
    }),
  ),
];
