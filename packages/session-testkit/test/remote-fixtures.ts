import { type BlobStore, createHints, fold, type Head, receiveBlob } from "@aixgo/session/backend";
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
