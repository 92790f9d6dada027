import { AixgoError } from "@aixgo/core";
import { type Append, type Appended, asBuffer, type Head, HeadFold, type Position, type Ref } from "@aixgo/session/backend";
import { type Catalog, scoreOf } from "./catalog.ts";
import type { Answer, Argument } from "./connection.ts";
import type { Heads } from "./heads.ts";
import type { KeyRecords } from "./key-records.ts";
import { marksOf } from "./marks.ts";
import {
  constantsLine,
  encodeKeys,
  encodeText,
  headOf,
  pack,
  type PackedLines,
  positionLine,
  type StoredHead,
  unpackHead,
  unpackLease,
} from "./packed-head.ts";
import { unknownOutcome } from "./redis-errors.ts";
import { tellingScripts } from "./scripts.ts";
import { accept, STATUS, type Store } from "./store.ts";

/** Most bytes of lines that a conflict brings. */
export const SINCE_BYTES: number = 1024 * 1024;
/** How often the head may turn out to be another than the one just asked for, before the append is given up. */
const ATTEMPTS = 5;
/** Longer packed heads are compared by their position. */
const COMPARED_WHOLE = 4_096;
const MAX_LEASE_MS = 100 * 365 * 24 * 60 * 60 * 1000;

/** One append: one script, one round trip, unless the head that it builds on is not known here. */
export async function append(
  store: Store,
  heads: Heads,
  catalog: Catalog,
  records: KeyRecords,
  operation: string,
  ref: Ref,
  request: Append,
): Promise<Appended> {
  check(store, operation, request);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const known = heads.at(ref, request.expect) ?? fitting((await heads.load(operation, ref.id)).stored, ref, request.expect);
    const answer =
      known === undefined
        ? await look(store, heads, operation, ref, request)
        : await send(store, heads, catalog, records, operation, ref, request, known);
    if (answer !== undefined) return answer;
  }
  throw new AixgoError("BACKEND_UNAVAILABLE", `${operation}: its head could not be learned; nothing was written. Try again`);
}

function fitting(stored: StoredHead, { incarnation }: Ref, { seq, hash }: Position): StoredHead | undefined {
  const { fold: head } = stored;
  return head.incarnation === incarnation && head.seq === seq && head.hash === hash ? stored : undefined;
}

/** The caller expects another head than there is: the script says how that is to be answered. Undefined: the head is as expected by now. */
async function look(store: Store, heads: Heads, operation: string, ref: Ref, { expect }: Append): Promise<Appended | undefined> {
  const { head, lines, marks } = store.keys.session(ref.id);
  const args = [positionLine({ ...ref, ...expect }), "", "0", "", exceptions(store, ""), "0", "", ref.id, "0"];
  return refusal(heads, operation, ref, await store.write({ operation, script: tellingScripts.append, keys: [head, lines, marks], args }));
}

async function send(
  store: Store,
  heads: Heads,
  catalog: Catalog,
  records: KeyRecords,
  operation: string,
  ref: Ref,
  request: Append,
  known: StoredHead,
): Promise<Appended> {
  const { lines } = request;
  // Nothing is sent before the last line has been folded: a line that does not follow throws.
  const folding = new HeadFold(known.fold);
  const found: string[] = [];
  for (const line of lines) found.push(...marksOf(folding.push(line)));
  const next = folding.head as Head;
  const { head, lines: list, marks, blobs } = store.keys.session(ref.id);
  const rewords = next.info.metadata !== known.fold.info.metadata;
  const rises = rewords || next.info.updatedAt > known.fold.info.updatedAt;
  const plan = planOf(known, next, request, rewords);
  // In a Cluster the sets lie elsewhere: they are told at the same time, and `list` mends what a failure leaves wrong.
  const sets = rises && !store.isCluster ? catalog.updatedSets(next.info) : [];
  const told = rises && !rewords && store.isCluster ? catalog.raise(next.info) : undefined;
  const args: Argument[] = [
    plan.expected,
    plan.next,
    String(known.fold.seq + 1),
    plan.shortcut,
    exceptions(store, leaseArgument(request, known)),
    String(store.options.ttlMs),
    sets.length === 0 ? "" : String(scoreOf(next.info)),
    ref.id,
    String(found.length),
    ...found,
    ...lines.map(asBuffer),
  ];
  // Only an expiry concerns the attachments.
  const keys = store.options.ttlMs > 0 ? [head, list, marks, blobs, ...sets] : [head, list, marks, ...sets];
  const answer = await store.write({ operation, script: tellingScripts.append, keys, args });
  if (told !== undefined) await told;
  const refused = refusal(heads, operation, ref, answer);
  if (refused !== undefined) return refused;
  // What is not said is as it was sent.
  const [, said, now] = answer.reply === STATUS.done ? [] : (answer.reply as readonly [number, Buffer, number]);
  const lease = said === undefined || said.length === 0 ? plan.lines.lease : said.toString("utf8");
  const packedLines =
    lease === plan.lines.lease && plan.isWhole
      ? plan.lines
      : { lease, keys: plan.lines.keys, constants: rewords ? constantsLine(next) : known.lines.constants };
  const keptKeys = request.keys === undefined ? known.keys : Uint8Array.from(request.keys);
  const { fence, lease: record } = lease === known.lines.lease ? known : unpackLease(lease);
  const stored = keepable(next, packedLines === plan.lines ? plan.next : pack(next, packedLines), packedLines, fence, record, keptKeys);
  heads.keep(stored);
  if (rewords) await catalog.move(known.fold.info, next.info);
  if (store.options.ttlMs > 0) await records.prolong(next.info);
  return { head: headOf(stored, now ?? 0) };
}

/** Member by member: spreads cost more than all the rest. */
function keepable(
  fold: Head,
  packed: string,
  lines: PackedLines,
  fence: number,
  lease: StoredHead["lease"],
  keys: Uint8Array | undefined,
): StoredHead {
  if (lease === undefined) return keys === undefined ? { fold, packed, lines, fence } : { fold, packed, lines, fence, keys };
  return keys === undefined ? { fold, packed, lines, fence, lease } : { fold, packed, lines, fence, lease, keys };
}

/** What an append makes of a head, if nobody has renewed or cancelled a lease since that head was seen. */
interface Plan {
  readonly expected: string;
  readonly next: string;
  /** Of `next`; without the constants if they are not sent. */
  readonly lines: PackedLines;
  /** `next` holds all of it, and can be compared whole the next time. */
  readonly isWhole: boolean;
  /** How the script may shorten its work. */
  readonly shortcut: "1" | "t" | "";
}

function planOf(known: StoredHead, next: Head, { acquire, lease, release, keys }: Append, rewords: boolean): Plan {
  const { lease: leaseNow, keys: keysNow, constants } = known.lines;
  const isHeld = lease === undefined || (known.lease?.fence === lease.fence && known.lease.token === lease.token);
  const leaseNext = release === true ? String(known.fence) : leaseNow;
  // Large metadata is not sent twice with every append.
  const isWhole = known.packed.length <= COMPARED_WHOLE;
  const lines: PackedLines = {
    lease: leaseNext,
    keys: keys === undefined ? keysNow : encodeKeys(keys),
    constants: rewords ? constantsLine(next) : isWhole ? constants : "",
  };
  return {
    expected: isWhole ? known.packed : positionLine(known.fold),
    next: pack(next, lines),
    lines,
    isWhole,
    shortcut: !isWhole || !isHeld || acquire !== undefined ? "" : leaseNext.includes(" ") ? "t" : "1",
  };
}

/** The conflict that a reply is, if it is one. Throws what else it may say but success. */
function refusal(heads: Heads, operation: string, ref: Ref, { reply, resent }: Answer): Appended | undefined {
  if (reply === STATUS.done) return undefined;
  const [status, packed, now, since] = accept(operation, ref, reply);
  if (status !== STATUS.conflict) return undefined;
  const stored = unpackHead(ref.id, packed as Buffer);
  heads.keep(stored);
  // The client sent it again after a broken connection: what stands in the way may be its own work.
  if (resent) throw unknownOutcome(operation, "the connection to Redis was lost while it was under way");
  return { conflict: headOf(stored, now as number), ...(since === null ? undefined : { since: since as Buffer }) };
}

/** What the script needs only off its usual way. A conflict may show lines whose confirmation is due; written again, it can be confirmed. */
function exceptions({ options }: Store, lease: string): string {
  return `${SINCE_BYTES}${options.durability === "quorum" ? "w" : "-"}${lease}`;
}

function leaseArgument({ acquire, lease, release }: Append, known: StoredHead): string {
  if (acquire !== undefined) {
    const { fence, token, holder, ttlMs } = acquire;
    return `A ${fence} t${encodeText(token)} h${encodeText(holder)} ${leaseMs(ttlMs)} ${known.fold.fence}`;
  }
  return lease === undefined ? "" : `${release === true ? "R" : "L"} ${lease.fence} t${encodeText(lease.token)}`;
}

/** Whole milliseconds, and not so many that the clock overflows. */
export function leaseMs(ttlMs: number): string {
  return String(Math.min(Math.ceil(ttlMs), MAX_LEASE_MS));
}

function check({ options: { maxLineBytes } }: Store, operation: string, { lines, acquire, lease, release, signal }: Append): void {
  if (signal?.aborted === true) throw new AixgoError("CANCELLED", `${operation}: given up, as its signal asked`, { cause: signal.reason });
  const invalid = (rule: string): AixgoError => new AixgoError("INVALID_INPUT", `${operation}: ${rule}`);
  if (lines.length === 0) throw invalid("there are no lines");
  if (acquire !== undefined && (lease !== undefined || release === true))
    throw invalid("a lease is taken, used or released, one at a time");
  if (release === true && lease === undefined) throw invalid("the lease to be released is not given");
  if (acquire !== undefined) checkTtl(operation, acquire.ttlMs);
  for (const line of lines) checkLine(operation, line, maxLineBytes);
}

export function checkTtl(operation: string, ttlMs: number): void {
  if (!(ttlMs > 0 && ttlMs < Number.POSITIVE_INFINITY))
    throw new AixgoError("INVALID_INPUT", `${operation}: ttlMs of the lease must be a time above zero`);
}

export function checkLine(operation: string, line: Uint8Array, maxLineBytes: number): void {
  if (line.length > maxLineBytes) {
    throw new AixgoError(
      "LIMIT_EXCEEDED",
      `${operation}: an entry has ${line.length} bytes; this store takes ${maxLineBytes}. Nothing was written`,
      { details: { bytes: line.length, maxLineBytes } },
    );
  }
}
