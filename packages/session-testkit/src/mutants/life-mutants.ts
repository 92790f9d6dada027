import { AixgoError, isAixgoError } from "@aixgo/core";
import { createMemoryBackend } from "@aixgo/session";
import type { Appended, CreateRequest, Head, Ref, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { allLines, MAX_LINE_BYTES, type Mutant, mutant } from "./mutant.ts";

const CREATE = "create: all or nothing";
const TOMBSTONE = "delete leaves the store's tombstone; a late write gets SESSION_DELETED";
const REWRITE = "replaces the log, all or nothing, by a new incarnation of the same id";

async function collect(lines: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

async function* given(lines: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* lines;
}

/** Creates line by line: what has come is there. */
async function createAsItComes(real: SessionBackend, request: CreateRequest): Promise<{ readonly head: Head; readonly created: boolean }> {
  let answer: { readonly head: Head; readonly created: boolean } | undefined;
  for await (const line of request.lines(request.ref.id)) {
    if (answer === undefined) {
      answer = await real.create({ ...request, lines: () => given([line]) });
      if (!answer.created) return answer;
    } else {
      const written: Appended = await real.append(answer.head, { expect: answer.head, lines: [line] });
      if ("conflict" in written) throw new AixgoError("VERSION_CONFLICT", "somebody appended before the create was done");
      answer = { head: written.head, created: true };
    }
  }
  if (answer === undefined) throw new AixgoError("INVALID_INPUT", "no lines");
  return answer;
}

/** Deleted sessions are only hidden; `finds` says when one comes back. */
function hiding(shows: {
  readonly append?: boolean;
  readonly create?: boolean;
  readonly head?: boolean;
  readonly list?: boolean;
  readonly read?: boolean;
}) {
  return (real: SessionBackend): Partial<SessionBackend> => {
    const hidden = new Map<string, Ref>();
    const look = (id: string): void => {
      if (hidden.has(id)) throw new AixgoError("SESSION_DELETED", "deleted");
    };
    return {
      async create(request) {
        if (shows.create === true && hidden.delete(request.ref.id)) return { head: await real.head(request.ref.id), created: true };
        look(request.ref.id);
        return real.create(request);
      },
      async head(id) {
        if (shows.head !== true) look(id);
        return real.head(id);
      },
      async append(ref, request) {
        if (shows.append === true) hidden.delete(ref.id);
        look(ref.id);
        return real.append(ref, request);
      },
      async *read(ref, range) {
        if (shows.read !== true) look(ref.id);
        yield* real.read(ref, range);
      },
      find: async (ref, what) => (look(ref.id), real.find(ref, what)),
      renew: async (ref, lease, ttlMs) => (look(ref.id), real.renew(ref, lease, ttlMs)),
      cancel: async (ref, reason) => (look(ref.id), real.cancel(ref, reason)),
      rewrite: async (ref, request) => (look(ref.id), real.rewrite(ref, request)),
      async list(query) {
        const page = await real.list(query);
        return shows.list === true ? page : { ...page, items: page.items.filter(({ id }) => !hidden.has(id)) };
      },
      async delete(ref) {
        if (hidden.get(ref.id)?.incarnation === ref.incarnation) return;
        if ((await real.head(ref.id)).incarnation !== ref.incarnation) throw new AixgoError("INCARNATION_CHANGED", "another life");
        hidden.set(ref.id, ref);
      },
    };
  };
}

/** A fixture whose nodes are plain memory backends; `open` says how. */
function plain(name: string, open: (store: SessionBackend, opened: number) => SessionBackend): () => Fixture {
  return () => {
    const stores = new Map<string, { readonly real: SessionBackend; opened: number }>();
    return {
      name,
      async open(store) {
        const known = stores.get(store) ?? { real: createMemoryBackend({ maxLineBytes: MAX_LINE_BYTES }), opened: 0 };
        stores.set(store, known);
        known.opened += 1;
        return open(known.real, known.opened);
      },
      async destroy(store) {
        stores.delete(store);
      },
    };
  };
}

export const lifeMutants: readonly Mutant[] = [
  mutant(
    "creates line by line",
    CREATE,
    ["create/all-or-nothing", "create/appears-whole", "create/line-limit", "keys/unfinished"],
    (real) => ({ create: (request) => createAsItComes(real, request) }),
  ),
  mutant("keeps what came of a create that failed", CREATE, ["create/all-or-nothing", "keys/unfinished"], (real) => ({
    async create(request) {
      const come: Uint8Array[] = [];
      try {
        for await (const line of request.lines(request.ref.id)) come.push(line);
      } catch (error) {
        await real.create({ ...request, lines: () => given(come) }).catch(() => undefined);
        throw error;
      }
      return real.create({ ...request, lines: () => given(come) });
    },
  })),
  mutant("creates the header only", "first line the header, then a fork's history", ["create/history", "find/entry"], (real) => ({
    create: async (request) =>
      real.create({
        ...request,
        lines: (id) =>
          (async function* () {
            for await (const line of request.lines(id)) return yield line;
          })(),
      }),
  })),
  mutant(
    "answers a second create of an id as if it had created",
    "ref.id that exists already: KEY_EXISTS",
    ["create/existing-id", "create/same-id-race"],
    (real) => ({
      create: (request) =>
        real.create(request).catch(async (error: unknown) => {
          if (isAixgoError(error, "KEY_EXISTS") && request.info.key === undefined)
            return { head: await real.head(request.ref.id), created: true };
          throw error;
        }),
    }),
  ),
  mutant("throws away the metadata of a creation", "head, counters and index follow from the lines", ["create/header"], (real) => ({
    async create(request) {
      const { head, created } = await real.create(request);
      return { head: { ...head, info: { ...head.info, metadata: {} } }, created };
    },
  })),
  mutant("keeps no tombstone", TOMBSTONE, ["delete/late-writes", "delete/twice", "delete/erase"], (real) => {
    const gone = new Set<string>();
    const forget = async <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: unknown) => {
        throw isAixgoError(error, "SESSION_DELETED") ? new AixgoError("SESSION_NOT_FOUND", "never heard of it") : error;
      });
    return {
      head: (id) => forget(real.head(id)),
      append: (ref, request) => forget(real.append(ref, request)),
      async delete(ref, options) {
        if (gone.has(ref.id)) throw new AixgoError("SESSION_NOT_FOUND", "never heard of it");
        gone.add(ref.id);
        return real.delete(ref, options);
      },
    };
  }),
  mutant(
    "brings a session back with a late append",
    "a late write never brings a session back",
    ["delete/late-writes", "delete/race-with-appends"],
    hiding({ append: true }),
  ),
  mutant("brings a session back with a create of the same id", TOMBSTONE, ["delete/late-writes"], hiding({ create: true })),
  mutant("leaves the log of a deleted session readable", TOMBSTONE, ["delete/late-writes"], hiding({ read: true })),
  mutant("shows the head of a deleted session", TOMBSTONE, ["delete/late-writes"], hiding({ head: true })),
  mutant("lists deleted sessions", TOMBSTONE, ["delete/late-writes", "delete/others-stay"], hiding({ list: true })),
  mutant("deletes once", "idempotent for the same incarnation", ["delete/twice"], (real) => {
    const gone = new Set<string>();
    return {
      async delete(ref, options) {
        if (gone.has(ref.id)) throw new AixgoError("SESSION_DELETED", "already");
        await real.delete(ref, options);
        gone.add(ref.id);
      },
    };
  }),
  mutant("erases the tombstone too", "erase: also keys, blobs and damaged remains", ["delete/erase"], (real) => {
    const erased = new Set<string>();
    return {
      async head(id) {
        if (erased.has(id)) throw new AixgoError("SESSION_NOT_FOUND", "never heard of it");
        return real.head(id);
      },
      async delete(ref, options) {
        await real.delete(ref, options);
        if (options?.erase === true) erased.add(ref.id);
      },
    };
  }),
  mutant("deletes nothing that has a lease", TOMBSTONE, ["delete/under-a-lease"], (real) => ({
    async delete(ref, options) {
      const held = await real.head(ref.id).then(
        ({ lease }) => (lease?.expiresInMs ?? 0) > 0,
        () => false,
      );
      if (held) throw new AixgoError("SESSION_BUSY", "a turn runs");
      return real.delete(ref, options);
    },
  })),
  mutant(
    "deletes all of an agent",
    "delete leaves the tombstone of one session",
    ["delete/others-stay", "keys/kept-by-new-owner"],
    (real) => ({
      async delete(ref, options) {
        const agentName = await real.head(ref.id).then(
          ({ info }) => info.agentName,
          () => "",
        );
        await real.delete(ref, options);
        for (const { id } of (await real.list({ agentName, limit: 1000 })).items) await real.delete(await real.head(id));
      },
    }),
  ),
  mutant("rewrites line by line", REWRITE, ["rewrite/all-or-nothing", "rewrite/line-limit"], (real) => ({
    async rewrite(ref, request) {
      const come: Uint8Array[] = [];
      let failure: unknown;
      try {
        for await (const line of request.lines) {
          if (line.length > MAX_LINE_BYTES) throw new AixgoError("LIMIT_EXCEEDED", "too long");
          come.push(line);
        }
      } catch (error) {
        failure = error;
      }
      const answer = await real.rewrite(ref, { ...request, lines: given(come) });
      if (failure !== undefined) throw failure;
      return answer;
    },
  })),
  mutant("answers a rewrite, but does nothing", REWRITE, ["rewrite/replaces", "rewrite/old-life-refused"], (real) => ({
    async rewrite(ref, request) {
      await collect(request.lines);
      const head = await real.head(ref.id);
      return head.seq === request.expect.seq && (head.lease?.expiresInMs ?? 0) <= 0 ? { head } : { conflict: head };
    },
  })),
  mutant(
    "lets the old life go on after a rewrite",
    "old cursors, leases and handles get INCARNATION_CHANGED",
    ["rewrite/old-life-refused"],
    (real) => {
      const next = new Map<string, Ref>();
      const now = (ref: Ref): Ref => next.get(ref.incarnation) ?? ref;
      return {
        append: (ref, request) => real.append(now(ref), request),
        read: (ref, range) => real.read(now(ref), range),
        async rewrite(ref, request) {
          const answer = await real.rewrite(ref, request);
          if ("head" in answer) next.set(ref.incarnation, request.next);
          return answer;
        },
      };
    },
  ),
  mutant("rewrites whatever is there", "expect: a mismatch writes nothing", ["rewrite/expect", "rewrite/meanwhile"], (real) => ({
    async rewrite(ref, request) {
      const lines = await collect(request.lines);
      return real.rewrite(ref, { ...request, expect: await real.head(ref.id), lines: given(lines) });
    },
  })),
  mutant(
    "looks at expect before it reads the new lines, and not again",
    "expect: a mismatch writes nothing",
    ["rewrite/meanwhile"],
    (real) => ({
      async rewrite(ref, request) {
        const head = await real.head(ref.id);
        if (head.seq !== request.expect.seq || head.hash !== request.expect.hash) return { conflict: head };
        const lines = await collect(request.lines);
        return real.rewrite(ref, { ...request, expect: await real.head(ref.id), lines: given(lines) });
      },
    }),
  ),
  mutant("rewrites under a live lease", "a live lease is a conflict", ["rewrite/live-lease"], (real) => {
    const tokens = new Map<string, { readonly fence: number; readonly token: string }>();
    return {
      async append(ref, request) {
        if (request.acquire !== undefined) tokens.set(ref.id, request.acquire);
        return real.append(ref, request);
      },
      async rewrite(ref, request) {
        const lease = tokens.get(ref.id);
        if (lease !== undefined) await real.renew(ref, lease, 0.001).catch(() => undefined);
        return real.rewrite(ref, request);
      },
    };
  }),
  mutant("finds entries of the life before", "rewrite replaces a log", ["rewrite/old-life-refused"], (real) => {
    const lives = new Map<string, Buffer[]>();
    return {
      async rewrite(ref, request) {
        const before = await allLines(real, ref).catch(() => []);
        const answer = await real.rewrite(ref, request);
        if ("head" in answer) lives.set(ref.id, before);
        return answer;
      },
      async find(ref, what) {
        const seq = await real.find(ref, what);
        const text = "op" in what ? what.op : what.entryId;
        const old = lives.get(ref.id)?.findIndex((line) => line.includes(text)) ?? -1;
        return seq ?? (old < 0 ? undefined : old);
      },
    };
  }),
  {
    name: "does not notice that it was closed",
    sentence: "every other method throws BACKEND_CLOSED afterwards",
    mustFail: ["backend/closed", "backend/idle"],
    create: plain("does not notice that it was closed", (real) => ({ ...real, async close() {} })),
  },
  {
    name: "closes the store for all nodes",
    sentence: "a name opened twice is a second node",
    mustFail: ["backend/closed"],
    create: plain("closes the store for all nodes", (real) => real),
  },
  {
    name: "closes once",
    sentence: "close is idempotent",
    mustFail: ["backend/closed", "backend/idle"],
    create: plain("closes once", (real) => {
      let closed = false;
      return {
        ...real,
        async close() {
          if (closed) throw new AixgoError("BACKEND_CLOSED", "already");
          closed = true;
        },
      };
    }),
  },
  {
    name: "forgets everything between two opens",
    sentence: "a store that is opened again holds what was acknowledged",
    mustFail: ["backend/opened-again", "create/header", "read/coherent"],
    create: plain("forgets everything between two opens", () => createMemoryBackend({ maxLineBytes: MAX_LINE_BYTES })),
  },
  {
    name: "declares other capabilities on each node",
    sentence: "differences between stores are capabilities",
    mustFail: ["backend/capabilities"],
    create: plain("declares other capabilities on each node", (real, opened) => ({
      ...real,
      capabilities: { ...real.capabilities, ttl: opened > 1 },
    })),
  },
  {
    name: "declares that it is shared, but names no module",
    sentence: "with several processes where sharedBy says so",
    mustFail: ["processes/declared"],
    create: plain("declares that it is shared, but names no module", (real) => ({
      ...real,
      capabilities: { ...real.capabilities, sharedBy: "host" },
    })),
  },
];
