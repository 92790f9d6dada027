import { AixgoError } from "@aixgo/core";
import { envelopeOf, type Head, type ReadRange, type Ref, type SessionBackend } from "@aixgo/session/backend";
import { linesOf } from "../harness/verify-log.ts";
import { allLines, joinLines, type Mutant, mutant } from "./mutant.ts";

const PAGES = "pages of whole lines, each line ended by a newline, at most 64 KiB a page unless one line is longer";
const COHERENT = "reads are coherent with the store";
const FIND = "seq of the last entry with this op or this id";

/** Gives all pages of a read to `change`. */
function rePaged(
  real: SessionBackend,
  change: (pages: readonly Uint8Array[], range: ReadRange) => Iterable<Uint8Array>,
): SessionBackend["read"] {
  return async function* (ref, range = {}) {
    const pages: Uint8Array[] = [];
    for await (const page of real.read(ref, range)) pages.push(page);
    yield* change(pages, range);
  };
}

/** Reads with another range than was asked for. */
function ranged(real: SessionBackend, change: (range: ReadRange) => ReadRange): SessionBackend["read"] {
  return (ref, range = {}) => real.read(ref, change(range));
}

function omit(range: ReadRange, member: keyof ReadRange): ReadRange {
  const copy = { ...range };
  delete copy[member];
  return copy;
}

async function envelopes(real: SessionBackend, ref: Ref): Promise<ReturnType<typeof envelopeOf>[]> {
  return (await allLines(real, ref)).map((line) => envelopeOf(line));
}

export const readMutants: readonly Mutant[] = [
  mutant("splits lines between pages", PAGES, ["read/pages", "read/long-line"], (real) => ({
    read: rePaged(real, function* (pages) {
      const all = Buffer.concat(pages);
      for (let at = 0; at < all.length; at += 65_536) yield all.subarray(at, at + 65_536);
    }),
  })),
  mutant("gives everything as one page", PAGES, ["read/pages"], (real) => ({
    read: rePaged(real, (pages) => (pages.length === 0 ? [] : [Buffer.concat(pages)])),
  })),
  mutant("leaves out the last newline", PAGES, ["create/header", "append/head-is-fold"], (real) => ({
    read: rePaged(real, (pages) => pages.map((page) => page.subarray(0, -1))),
  })),
  mutant("gives an empty page where nothing is", PAGES, ["read/nothing-there"], (real) => ({
    read: rePaged(real, (pages) => (pages.length === 0 ? [new Uint8Array(0)] : pages)),
  })),
  mutant(
    "cannot read a line that is longer than its buffer",
    "any size up to the stated limit round-trips",
    ["read/long-line"],
    (real) => ({
      read: rePaged(real, (pages) => {
        if (pages.some((page) => linesOf(page).some((line) => line.length > 65_536)))
          throw new AixgoError("ENTRY_CORRUPT", "token too long");
        return pages;
      }),
    }),
  ),
  mutant(
    "turns pages, not lines, in falling order",
    "reverse yields lines in falling order",
    ["read/range", "append/head-is-fold"],
    (real) => ({
      read: rePaged(real, (pages, { reverse }) => (reverse === true ? pages.map((page) => joinLines(linesOf(page).reverse())) : pages)),
    }),
  ),
  mutant("ignores reverse", "reverse yields lines in falling order", ["read/range"], (real) => ({
    read: ranged(real, (range) => omit(range, "reverse")),
  })),
  mutant("takes `to` as exclusive", "to is inclusive", ["read/range"], (real) => ({
    read: ranged(real, (range) => (range.to === undefined || range.to === 0 ? range : { ...range, to: range.to - 1 })),
  })),
  mutant("ignores `from`", "from: first seq", ["read/range", "read/nothing-there"], (real) => ({
    read: ranged(real, (range) => omit(range, "from")),
  })),
  mutant("ignores `limit`", "limit counts lines", ["read/range", "read/nothing-there"], (real) => ({
    read: ranged(real, (range) => omit(range, "limit")),
  })),
  mutant("counts the limit from the front, also in falling order", "limit counts lines", ["read/range", "read/coherent"], (real) => ({
    read: ranged(real, (range) => {
      if (range.reverse !== true || range.limit === undefined || range.limit === 0) return range;
      return { ...omit(range, "limit"), to: Math.min((range.from ?? 0) + range.limit - 1, range.to ?? Number.MAX_SAFE_INTEGER) };
    }),
  })),
  mutant("throws where nothing is", "to is inclusive, limit counts lines", ["read/nothing-there"], (real) => ({
    async *read(ref, range = {}) {
      if ((range.from ?? 0) > (await real.head(ref.id)).seq) throw new AixgoError("ENTRY_NOT_FOUND", "beyond the end");
      yield* real.read(ref, range);
    },
  })),
  mutant(
    "counts pages from the end",
    "a reader sees a prefix of the log, whatever is appended meanwhile",
    ["read/while-written"],
    (real) => ({
      async *read(ref, range = {}) {
        if (range.reverse === true || range.to !== undefined || range.limit !== undefined) return yield* real.read(ref, range);
        let left = (await real.head(ref.id)).seq + 1 - (range.from ?? 0);
        while (left > 0) {
          const from = (await real.head(ref.id)).seq + 1 - left;
          for await (const page of real.read(ref, { ...range, from })) {
            left -= linesOf(page).length;
            yield page;
            break;
          }
        }
      },
    }),
  ),
  mutant("frees what a reader holds only at the end", "a reader that leaves the loop early holds nothing", ["read/left-early"], (real) => {
    let readers = 0;
    return {
      async *read(ref, range) {
        if (readers >= 16) throw new AixgoError("BACKEND_UNAVAILABLE", "too many readers");
        readers += 1;
        yield* real.read(ref, range);
        readers -= 1;
      },
    };
  }),
  mutant("caches the head per node", COHERENT, ["read/coherent", "create/appended-at-once"], (real) => () => {
    const heads = new Map<string, Head>();
    return {
      async head(id) {
        const head = heads.get(id) ?? (await real.head(id));
        heads.set(id, head);
        return head;
      },
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("head" in answer) heads.set(ref.id, answer.head);
        return answer;
      },
      async delete(ref, options) {
        heads.delete(ref.id);
        return real.delete(ref, options);
      },
    };
  }),
  mutant("reads the last line of before", COHERENT, ["read/coherent"], (real) => () => {
    const tails = new Map<string, Uint8Array>();
    return {
      async *read(ref, range = {}) {
        if (range.reverse !== true || range.limit !== 1) return yield* real.read(ref, range);
        const cached = tails.get(ref.id);
        for await (const page of real.read(ref, range)) {
          tails.set(ref.id, page);
          yield cached ?? page;
        }
      },
    };
  }),
  mutant("reads any life of a session", "read throws INCARNATION_CHANGED", ["read/incarnation", "rewrite/old-life-refused"], (real) => ({
    async *read(ref, range) {
      yield* real.read(await real.head(ref.id), range);
    },
  })),
  mutant(
    "renews and cancels any life of a session",
    "the incarnation is named by every write",
    ["read/incarnation", "rewrite/old-life-refused"],
    (real) => ({
      cancel: async (ref, reason) => real.cancel(await real.head(ref.id), reason),
      renew: async (ref, lease, ttlMs) => real.renew(await real.head(ref.id), lease, ttlMs),
    }),
  ),
  mutant("finds the first entry", FIND, ["find/last"], (real) => ({
    async find(ref, what) {
      const found = (await envelopes(real, ref)).find((one) => ("op" in what ? one.op === what.op : one.id === what.entryId));
      return found?.seq;
    },
  })),
  mutant("finds in the last hundred entries", "searched in the whole log", ["find/op"], (real) => ({
    async find(ref, what) {
      const seq = await real.find(ref, what);
      return seq !== undefined && seq > (await real.head(ref.id)).seq - 100 ? seq : undefined;
    },
  })),
  mutant("finds text anywhere in a line", "the envelope: all before the data", ["find/not-in-data"], (real) => ({
    async find(ref, what) {
      const text = "op" in what ? `"op":${JSON.stringify(what.op)}` : `"id":${JSON.stringify(what.entryId)}`;
      const at = (await allLines(real, ref)).findLastIndex((line) => line.includes(text));
      return at < 0 ? undefined : at;
    },
  })),
  mutant("finds what begins alike", FIND, ["find/op", "find/any-text"], (real) => ({
    find: async (ref, what) =>
      "op" in what ? (await envelopes(real, ref)).findLast((one) => one.op?.startsWith(what.op))?.seq : real.find(ref, what),
  })),
  mutant("finds no text that JSON writes otherwise", FIND, ["find/any-text"], (real) => ({
    async find(ref, what) {
      if (!("op" in what)) return real.find(ref, what);
      const at = (await allLines(real, ref)).findLastIndex((line) =>
        line.subarray(0, line.indexOf(',"data":')).includes(`"op":"${what.op}"`),
      );
      return at < 0 ? undefined : at;
    },
  })),
  mutant("finds no entries by id", FIND, ["find/entry", "find/not-in-data"], (real) => ({
    find: async (ref, what) => ("op" in what ? real.find(ref, what) : undefined),
  })),
  mutant("takes an op for an id", FIND, ["find/not-in-data"], (real) => ({
    find: async (ref, what) => (await real.find(ref, what)) ?? real.find(ref, "op" in what ? { entryId: what.op } : { op: what.entryId }),
  })),
  mutant("finds only what its own node wrote", COHERENT, ["find/last", "read/coherent"], (real) => () => {
    const own = new Map<string, number>();
    return {
      async append(ref, request) {
        const answer = await real.append(ref, request);
        if ("head" in answer) for (const line of request.lines) own.set(`${ref.id} ${envelopeOf(line).op}`, envelopeOf(line).seq);
        return answer;
      },
      find: async (ref, what) => ("op" in what ? own.get(`${ref.id} ${what.op}`) : real.find(ref, what)),
    };
  }),
];
