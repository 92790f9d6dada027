import { AixgoError, isAixgoError, type Json } from "@aixgo/core";
import { type Append, type Appended, entryOf, envelopeOf, type Head, sealLine, type SessionBackend } from "@aixgo/session/backend";
import { allLines, joinLines, MAX_LINE_BYTES, type Mutant, mutant, tick, without } from "./mutant.ts";

/** The same entries on another head. */
function resealed(head: Head, lines: readonly Uint8Array[]): Buffer[] {
  let { seq, hash } = head;
  return lines.map((line) => {
    const { hash: _, data, ...entry } = entryOf(line);
    seq += 1;
    const sealed = sealLine(hash, `${JSON.stringify({ ...entry, seq }).slice(0, -1)},"data":${JSON.stringify(data)}`);
    hash = sealed.hash;
    return sealed.line;
  });
}

function reading(real: SessionBackend, change: (lines: readonly Uint8Array[]) => readonly Uint8Array[]): SessionBackend["read"] {
  return async function* (ref, range) {
    for await (const page of real.read(ref, range)) {
      const lines = Buffer.from(page)
        .toString("latin1")
        .split("\n")
        .slice(0, -1)
        .map((text) => Buffer.from(text, "latin1"));
      yield joinLines(change(lines));
    }
  };
}

const EXPECT = "append is version-checked: a mismatch writes nothing";
const OPAQUE = "Backends store lines as opaque bytes and return them unchanged";

export const appendMutants: readonly Mutant[] = [
  mutant(
    "acknowledges a stale append",
    EXPECT,
    ["append/expect-stale", "append/expect-ahead", "append/one-winner", "append/conflicts-while-read"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        return "conflict" in answer && request.acquire === undefined ? { head: answer.conflict } : answer;
      },
    }),
  ),
  mutant(
    "reloads in silence: a stale append is put on the new head",
    EXPECT,
    ["append/expect-stale", "append/sent-twice", "append/one-winner"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("head" in answer || request.acquire !== undefined) return answer;
        const { conflict } = answer;
        return real.append(ref, { ...request, expect: conflict, lines: resealed(conflict, request.lines) });
      },
    }),
  ),
  mutant("compares the seq only", "expect names seq and hash", ["append/expect-hash"], (real) => ({
    async append(ref, request) {
      const head = await real.head(ref.id);
      return real.append(ref, head.seq === request.expect.seq ? { ...request, expect: head } : request);
    },
  })),
  mutant(
    "brings no lines with a conflict",
    "the new head and the lines since expect",
    ["append/conflict-brings-lines", "append/sent-twice"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        return "head" in answer ? answer : { conflict: answer.conflict };
      },
    }),
  ),
  mutant(
    "brings the expected line too",
    "the lines since expect",
    ["append/conflict-brings-lines", "append/sent-twice", "append/conflict-lines-whole"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("head" in answer || answer.conflict.seq <= request.expect.seq) return answer;
        return { conflict: answer.conflict, since: joinLines((await allLines(real, ref)).slice(request.expect.seq)) };
      },
    }),
  ),
  mutant(
    "brings lines without their last newline",
    "the lines since expect, each ended by a newline",
    ["append/conflict-brings-lines"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        return "head" in answer || answer.since === undefined ? answer : { ...answer, since: answer.since.subarray(0, -1) };
      },
    }),
  ),
  mutant("brings what follows another entry of that seq", "the lines since expect", ["append/expect-hash"], (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      if ("head" in answer || answer.since !== undefined || answer.conflict.seq <= request.expect.seq) return answer;
      return { conflict: answer.conflict, since: joinLines((await allLines(real, ref)).slice(request.expect.seq + 1)) };
    },
  })),
  mutant("cuts the lines of a conflict at its bounds", "all of them or none", ["append/conflict-lines-whole"], (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      if ("head" in answer || answer.conflict.seq <= request.expect.seq) return answer;
      const lines = (await allLines(real, ref)).slice(request.expect.seq + 1);
      return { conflict: answer.conflict, since: joinLines(lines.slice(0, 8)) };
    },
  })),
  mutant("says that lines are new when the lease is the conflict", "the lines since expect", ["lease/live-is-conflict"], (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      return "head" in answer || answer.since !== undefined
        ? answer
        : { ...answer, since: joinLines((await allLines(real, ref)).slice(-1)) };
    },
  })),
  mutant(
    "brings the head of the first conflict for ever",
    "a conflict answers with the new head",
    ["append/conflict-brings-head", "append/rebased"],
    (real) => {
      const first = new Map<string, Head>();
      return {
        async append(ref, request) {
          const answer = await real.append(ref, request);
          if ("head" in answer) {
            if (!first.has(ref.id)) first.set(ref.id, answer.head);
            return answer;
          }
          return { ...answer, conflict: first.get(ref.id) ?? answer.conflict };
        },
      };
    },
  ),
  mutant(
    "stores half of a batch and acknowledges all",
    "a batch is all or nothing",
    ["append/many-batches", "append/copies-lines", "append/rebased"],
    (real) => ({
      append: (ref, request) => real.append(ref, { ...request, lines: request.lines.slice(0, Math.ceil(request.lines.length / 2)) }),
    }),
  ),
  mutant("stores the first batch of a group", "lines may hold several batches", ["append/many-batches"], (real) => ({
    append(ref, request) {
      const of = envelopeOf(request.lines[0] as Uint8Array).batch?.[1] ?? 1;
      return real.append(ref, { ...request, lines: request.lines.slice(0, of) });
    },
  })),
  mutant("writes a batch in two steps", "a batch is the atom, for readers too", ["append/half-batch-unseen"], (real) => ({
    async append(ref, request) {
      if (request.lines.length < 2) return real.append(ref, request);
      const half = request.lines.length >> 1;
      const { release: _, keys: __, ...start } = request;
      const begun = await real.append(ref, { ...start, lines: request.lines.slice(0, half) });
      if ("conflict" in begun) return begun;
      await tick();
      const { acquire: ___, ...rest } = request;
      return real.append(ref, { ...rest, expect: begun.head, lines: request.lines.slice(half) });
    },
  })),
  mutant("takes a line that does not follow", "seq without gaps", ["append/does-not-follow"], (real) => ({
    async append(ref, request) {
      try {
        return await real.append(ref, request);
      } catch (error) {
        if (isAixgoError(error, "ENTRY_CORRUPT")) return { head: await real.head(ref.id) };
        throw error;
      }
    },
  })),
  mutant(
    "looks at expect before the incarnation",
    "checks in this order: incarnation, expect, lease",
    ["append/incarnation-before-expect"],
    (real) => ({
      async append(ref, request) {
        const head = await real.head(ref.id);
        return real.append(head.seq === request.expect.seq ? ref : head, request);
      },
    }),
  ),
  mutant(
    "looks at the lease before expect",
    "checks in this order: incarnation, expect, lease",
    ["append/expect-before-lease"],
    (real) => ({
      async append(ref, request) {
        if (request.lease !== undefined && (await real.head(ref.id)).lease?.fence !== request.lease.fence)
          throw new AixgoError("FENCED", "the lease first");
        return real.append(ref, request);
      },
    }),
  ),
  mutant(
    "ignores the incarnation",
    "the incarnation is named by every write",
    ["append/incarnation-before-expect", "read/incarnation", "delete/another-life", "rewrite/old-life-refused"],
    (real) => ({
      append: async (ref, request) => real.append(await real.head(ref.id), request),
      async *read(ref, range) {
        yield* real.read(await real.head(ref.id), range);
      },
      find: async (ref, what) => real.find(await real.head(ref.id), what),
      delete: async (ref) => real.delete(await real.head(ref.id)),
    }),
  ),
  mutant(
    "takes lines of any length",
    "above the limit: LIMIT_EXCEEDED",
    ["append/line-limit", "append/line-limit-in-group", "create/line-limit", "rewrite/line-limit"],
    (real) => ({
      capabilities: { ...real.capabilities, maxLineBytes: MAX_LINE_BYTES - 4096 },
    }),
  ),
  mutant("takes only lines below the limit", "above the limit: LIMIT_EXCEEDED", ["append/line-limit"], (real) => ({
    async append(ref, request) {
      if (request.lines.some((line) => line.length >= MAX_LINE_BYTES)) throw new AixgoError("LIMIT_EXCEEDED", "one byte too early");
      return real.append(ref, request);
    },
  })),
  mutant(
    "writes what comes before a line that is too long",
    "LIMIT_EXCEEDED before anything is written",
    ["append/line-limit-in-group"],
    (real) => ({
      async append(ref, request) {
        const long = request.lines.findIndex((line) => line.length > MAX_LINE_BYTES);
        if (long > 0) await real.append(ref, { ...request, lines: request.lines.slice(0, long) });
        return real.append(ref, request);
      },
    }),
  ),
  mutant("lets errors of its own escape", "throws SESSION_NOT_FOUND", ["append/unknown-session"], (real) => ({
    append: (ref, request) =>
      real.append(ref, request).catch((error: unknown) => {
        throw isAixgoError(error, "SESSION_NOT_FOUND") ? new TypeError("cannot read properties of undefined") : error;
      }),
  })),
  mutant("keeps the caller's buffers", "stored unchanged", ["append/copies-lines"], (real) => {
    const given = new Map<string, Uint8Array>();
    return {
      append(ref, request) {
        request.lines.forEach((line, i) => given.set(`${ref.id} ${request.expect.seq + 1 + i}`, line));
        return real.append(ref, request);
      },
      async *read(ref, range) {
        let seq = range?.from ?? 0;
        const plain = range?.reverse !== true;
        for await (const page of real.read(ref, range)) {
          const lines = Buffer.from(page)
            .toString("latin1")
            .split("\n")
            .slice(0, -1)
            .map((text) => Buffer.from(text, "latin1"));
          yield plain ? joinLines(lines.map((line) => given.get(`${ref.id} ${seq++}`) ?? line)) : page;
        }
      },
    };
  }),
  mutant("hands out its own pages", "returned unchanged", ["append/copies-lines"], (real) => {
    const pages = new Map<string, Uint8Array[]>();
    return {
      async *read(ref, range) {
        const name = JSON.stringify([ref, range ?? {}, (await real.head(ref.id)).seq]);
        const cached = pages.get(name) ?? [];
        if (cached.length === 0) for await (const page of real.read(ref, range)) cached.push(page);
        pages.set(name, cached);
        yield* cached;
      },
    };
  }),
  mutant("forgets the wrapped keys", "wrapped data keys: opaque, outside the log", ["append/keys"], (real) => ({
    async append(ref, request): Promise<Appended> {
      const { keys: _, ...rest }: Append = request;
      return real.append(ref, rest);
    },
  })),
  mutant("drops the keys with the next append", "wrapped data keys: opaque, outside the log", ["append/keys"], (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      return "head" in answer && request.keys === undefined ? { head: without(answer.head, "keys") } : answer;
    },
  })),
  mutant("ignores the signal", "every long call takes an AbortSignal", ["append/aborted", "read/aborted"], (real) => ({
    append(ref, request) {
      const { signal: _, ...rest } = request;
      return real.append(ref, rest);
    },
    read(ref, range = {}) {
      const { signal: _, ...rest } = range;
      return real.read(ref, rest);
    },
  })),
  mutant(
    "remembers the last session asked for instead of the one meant",
    "what is appended to one session is not seen in another",
    ["append/sessions-apart"],
    (real) => {
      let last: Parameters<SessionBackend["append"]>[0] | undefined;
      return {
        async append(ref, request) {
          last = ref;
          await tick();
          return real.append(last, request);
        },
      };
    },
  ),
  mutant("prints lines anew", OPAQUE, ["read/bytes-unchanged"], (real) => ({
    read: reading(real, (lines) => lines.map((line) => Buffer.from(JSON.stringify(JSON.parse(line.toString()) as Json)))),
  })),
  mutant("drops members that it does not know", OPAQUE, ["append/unknown-kept"], (real) => ({
    read: reading(real, (lines) =>
      lines.map((line) => {
        const { later: _, zebra: __, ...known } = JSON.parse(line.toString()) as Record<string, Json>;
        return _ === undefined ? line : Buffer.from(JSON.stringify(known));
      }),
    ),
  })),
  mutant(
    "counts otherwise than the fold",
    "the head that follows from one more line: every backend uses these two",
    ["append/head-is-fold", "create/appended-at-once"],
    (real) => ({
      async append(ref, request) {
        const answer = await real.append(ref, request);
        return "head" in answer
          ? { head: { ...answer.head, headSeq: answer.head.seq, info: { ...answer.head.info, messageCount: answer.head.seq + 1 } } }
          : answer;
      },
    }),
  ),
];
