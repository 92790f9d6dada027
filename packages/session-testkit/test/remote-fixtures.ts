import { AixgoError } from "@aixgo/core";
import { type BlobStore, createHints, envelopeOf, fold, type Head, receiveBlob } from "@aixgo/session/backend";
import type { Fixture } from "../src/fixture.ts";
import { remoteFixture } from "./remote-fixture.ts";

// Imported by the tests and by the children that they start.

/** Right. */
export const remote: Fixture = remoteFixture("remote");

/** Acknowledges what it has not sent yet. */
export const early: Fixture = remoteFixture("acknowledges early", {
  client(real) {
    let last: Promise<unknown> = Promise.resolve();
    return {
      async append(ref, request) {
        const head: Head = await real.head(ref.id);
        if (head.hash !== request.expect.hash || request.acquire !== undefined) return real.append(ref, request);
        last = last.then(() => new Promise((resolve) => setTimeout(resolve, 2))).then(() => real.append(ref, request));
        last.catch(() => undefined);
        return { head: request.lines.reduce<Head>(fold, head) };
      },
    };
  },
});

/** Writes each batch twice: a client that sends again and a store that does not compare. */
export const blind: Fixture = remoteFixture("acknowledges conflicts", {
  server: (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      return "conflict" in answer ? { head: answer.conflict } : answer;
    },
  }),
});

/** A lease that is never free again. */
export const eternal: Fixture = remoteFixture("never lets a lease expire", {
  server: (real) => ({ renew: (ref, lease) => real.renew(ref, lease, 900_000) }),
});

/** The head of each client is its own. */
export const cached: Fixture = remoteFixture("caches heads", {
  client(real) {
    const heads = new Map<string, Head>();
    return {
      async head(id) {
        const head = heads.get(id) ?? (await real.head(id));
        heads.set(id, head);
        return head;
      },
    };
  },
});

/** Looks for the key, and writes it later. */
export const hasty: Fixture = remoteFixture("looks for keys first", {
  client(real) {
    return {
      async create(request) {
        const { key, ...info } = request.info;
        const { onKey: _, ...rest } = request;
        const { items } = await real.list({ limit: 1000 });
        const holder = items.find((one) => one.key === key);
        if (key !== undefined && holder !== undefined) return { head: await real.head(holder.id), created: false };
        return real.create({ ...rest, info });
      },
    };
  },
});

/** Each process hears only what it appended itself. */
export const deaf: Fixture = remoteFixture("hints only its own appends", {
  client(real) {
    const listeners = new Set<() => void>();
    return {
      async append(ref, request) {
        const answer = await real.append(ref, request);
        for (const tell of listeners) tell();
        return answer;
      },
      async *watch(_ref, _after, signal) {
        const hints = createHints();
        listeners.add(hints.give);
        signal.addEventListener("abort", hints.end);
        hints.give();
        yield* hints.taken();
      },
    };
  },
});

/** Acknowledges bytes that it keeps in the process. */
export const hoarding: Fixture = remoteFixture("keeps blobs in the process", {
  client(real) {
    const own = new Map<string, Uint8Array[]>();
    const blobs = real.blobs as BlobStore;
    return {
      blobs: {
        ...blobs,
        async put(ref, expected, body) {
          const chunks: Uint8Array[] = [];
          const request = { operation: "put", body, expected, maxBytes: Number.MAX_SAFE_INTEGER, signal: undefined };
          const digest = await receiveBlob(request, (chunk) => void chunks.push(chunk));
          own.set(ref.id + digest, chunks);
          return digest;
        },
        async *get(ref, digest) {
          // As if nothing were there to be said about it.
          yield* own.get(ref.id + digest) ?? [];
        },
      },
    };
  },
});

/** Leases end by the clock of the node that took or renewed them. */
export const ownClock: Fixture = remoteFixture("measures leases by the clock of each node", {
  client: (real) => ({
    append: (ref, { acquire, ...request }) =>
      real.append(ref, acquire === undefined ? request : { ...request, acquire: { ...acquire, ttlMs: byOwnClock(acquire.ttlMs) } }),
    renew: (ref, lease, ttlMs) => real.renew(ref, lease, byOwnClock(ttlMs)),
  }),
});

/** What a time that was made here means to a server whose clock is right. */
function byOwnClock(ttlMs: number): number {
  const rightNow = Number(process.env["AIXGO_TESTKIT_RIGHT_NOW"]) + Number(process.hrtime.bigint() / 1_000_000n);
  return Math.max(0.001, Date.now() + ttlMs - rightNow);
}

/** Forgets what is older than what it has: the last writer by the clock wins. */
export const newestWins: Fixture = remoteFixture("keeps what has the newest time", {
  server: (real) => ({
    async append(ref, request) {
      const head = await real.head(ref.id);
      const [first] = request.lines;
      if (first === undefined || head.hash !== request.expect.hash || envelopeOf(first).timestamp >= head.info.updatedAt)
        return real.append(ref, request);
      return { head: request.lines.reduce<Head>(fold, head) };
    },
  }),
});

/** Takes a time to come for one that cannot be. */
export const presentOnly: Fixture = remoteFixture("lists up to now", {
  server: (real) => ({
    async list(query) {
      const page = await real.list(query);
      const now = new Date().toISOString();
      return { ...page, items: page.items.filter(({ updatedAt }) => updatedAt <= now) };
    },
  }),
});

/** Compares a lease when the turn begins, and not again. */
export const trusting: Fixture = remoteFixture("believes a holder for ever", {
  client: (real) => ({
    append(ref, { lease: _, release: __, ...request }) {
      return real.append(ref, request);
    },
  }),
});

/** Deletes where it stands: nobody else hears of it. */
export const inPrivate: Fixture = remoteFixture("deletes in the process only", {
  client(real) {
    const gone = new Set<string>();
    const look = (id: string): void => {
      if (gone.has(id)) throw new AixgoError("SESSION_DELETED", "deleted here");
    };
    return {
      delete: async (ref) => void gone.add(ref.id),
      head: async (id) => (look(id), real.head(id)),
      append: async (ref, request) => (look(ref.id), real.append(ref, request)),
    };
  },
});

/** Each line as it comes. */
export const eager: Fixture = remoteFixture("creates and rewrites line by line", {
  client: (real) => ({
    async create(request) {
      let head: Head | undefined;
      for await (const line of request.lines(request.ref.id)) {
        if (head === undefined) {
          const answer = await real.create({ ...request, lines: () => given([line]) });
          if (!answer.created) return answer;
          head = answer.head;
        } else {
          const answer = await real.append(head, { expect: head, lines: [line] });
          head = "head" in answer ? answer.head : answer.conflict;
        }
      }
      return { head: head as Head, created: true };
    },
    async rewrite(ref, { lines, ...request }) {
      let head: Head | undefined;
      for await (const line of lines) {
        const answer =
          head === undefined
            ? await real.rewrite(ref, { ...request, lines: given([line]) })
            : await real.append(head, { expect: head, lines: [line] });
        if ("conflict" in answer) return answer;
        head = answer.head;
      }
      return { head: head as Head };
    },
  }),
});

/** Stores what has come, and goes on. */
export const piecemeal: Fixture = remoteFixture("stores attachments as they come", {
  client(real) {
    const blobs = real.blobs as BlobStore;
    return {
      blobs: {
        ...blobs,
        async put(ref, digest, body, options) {
          const come: Uint8Array[] = [];
          for await (const chunk of body) {
            come.push(Uint8Array.from(chunk));
            await blobs.put(ref, undefined, given(come));
          }
          return blobs.put(ref, digest, given(come), options);
        },
      },
    };
  },
});

async function* given(lines: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* lines;
}
