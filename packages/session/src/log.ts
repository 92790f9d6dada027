import { AixgoError, isAixgoError } from "@aixgo/core";
import type { Head, Position, Ref, SessionBackend } from "./contract.ts";
import type { Entry } from "./entry.ts";
import type { Tip } from "./line.ts";
import { requestsAt } from "./turn-data.ts";
import { type PathMessage, Tree, type Verified, Verifier } from "./tree.ts";

/** Entries that are read at first when the end of a log is wanted; doubled each time more is needed. */
const FIRST_CHUNK = 64;
const LARGEST_CHUNK = 8192;
/** A chunk of large entries is smaller: about so many bytes. */
const CHUNK_BYTES = 1024 * 1024;
/** Single entries that are remembered, and the longest of them. */
const MAX_RECENT = 64;
const MAX_RECENT_BYTES = 4096;
/** Beyond this a log is not kept in memory but read as a stream. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;

/**
 * Coherent reads of one session's log. Every read asks the store for the head first, so that what another process or node
 * acknowledged is seen; what is unchanged comes from memory.
 */
export class SessionLog {
  readonly ref: Ref;
  readonly backend: SessionBackend;
  readonly tree: Tree;
  #head: Head | undefined;
  #tip: Tip | undefined;
  #loading: Promise<void> = Promise.resolve();
  /** Single entries read lately; they hold as long as nobody else has written, and the chain says the same of all below. */
  readonly #recent = new Map<number, Entry>();
  readonly #trustsHashes: boolean;

  constructor(backend: SessionBackend, ref: Ref) {
    this.backend = backend;
    this.ref = ref;
    this.tree = new Tree(ref.id);
    this.#trustsHashes = backend.capabilities.verifiesReads === true;
  }

  /** The head as this process saw it last; may be old. */
  get lastHead(): Head | undefined {
    return this.#head;
  }

  /** The same, if no turn ran or waited there, and the next line can be built on it without reading. */
  get headAtRest(): Head | undefined {
    const head = this.#head;
    if (head === undefined || head.lease !== undefined || head.damage !== undefined) return undefined;
    const tip = this.knownTip(head);
    return tip === undefined || tip.waitsFor !== undefined ? undefined : head;
  }

  /** Asks the store. Throws `SESSION_NOT_FOUND`, `SESSION_DELETED`, `INCARNATION_CHANGED`. */
  async refresh(): Promise<Head> {
    const head = await this.backend.head(this.ref.id);
    this.adopt(head);
    return head;
  }

  /**
   * The head, for a reader that keeps nothing: what is held in memory is left as it is. Of a damaged log the head of what is whole,
   * where the store can tell. Throws like `refresh`.
   */
  async peek(): Promise<Head> {
    const head = await this.backend.head(this.ref.id, { evenDamaged: true });
    if (head.incarnation !== this.ref.incarnation) throw rewritten(this.ref.id);
    return head;
  }

  /** Takes over a head that the store answered with. */
  adopt(head: Head): void {
    if (head.hash !== this.#head?.hash) this.#recent.clear();
    this.#take(head);
  }

  /** Takes over the head after an append of this process: what was known before still holds. */
  advance(head: Head): void {
    this.#take(head);
  }

  #take(head: Head): void {
    if (head.incarnation !== this.ref.incarnation) {
      this.tree.clear();
      throw rewritten(this.ref.id);
    }
    this.#head = head;
  }

  /** Keeps the line that this process has just appended behind the one with hash `previous`, so that it need not be read again. */
  appended(seq: number, line: Buffer, hash: string, previous: string): void {
    if (this.tree.bytes + line.length > MAX_KEPT_BYTES) this.tree.clear();
    // What is in memory may lack what others wrote, or hold what the store has lost.
    if (this.tree.topHash === previous) this.tree.pushOwn(seq, line, hash);
  }

  /** Where the next line is built, for this head, if that is known without reading. */
  knownTip(head: Head): Tip | undefined {
    return this.#tip?.hash === head.hash ? this.#tip : undefined;
  }

  /** The same; reads the line of the head entry if it has to. */
  async tipOf(head: Head): Promise<Tip> {
    const known = this.knownTip(head);
    if (known !== undefined) return known;
    const entry = await this.one(head.headSeq);
    const waiting = await this.waitingAt(head);
    return this.setTip({
      seq: head.seq,
      hash: head.hash,
      headSeq: head.headSeq,
      headId: entry.id,
      headHash: entry.hash,
      n: head.info.messageCount,
      ...(waiting === undefined ? undefined : { waitsFor: waiting.waitsFor }),
    });
  }

  /** The turn entry at the head if its turn is suspended there, and what it waits for. */
  async waitingAt({
    headSeq,
    seq,
  }: Pick<Head, "headSeq" | "seq">): Promise<{ readonly entry: Entry; readonly waitsFor: readonly string[] } | undefined> {
    const entry = await this.one(headSeq);
    const requests = requestsAt(entry);
    if (requests === undefined) return undefined;
    // After a restore to here the same turn may have gone on, on another branch: then nobody waits here any more.
    for await (const later of this.scan(headSeq + 1, seq)) if (later.type === "turn" && later.turn === entry.turn) return undefined;
    return { entry, waitsFor: requests.map(({ requestId }) => requestId) };
  }

  setTip(tip: Tip): Tip {
    this.#tip = tip;
    return tip;
  }

  /** One entry, from memory if it is there and leads to the last head, else read with the line before it as the anchor of its hash. */
  async one(seq: number, signal?: AbortSignal): Promise<Entry> {
    if (this.#isHeld(seq) && this.#head !== undefined && this.#holds(this.#head) === true) return this.tree.entry(seq);
    const known = this.#recent.get(seq);
    if (known !== undefined) return known;
    for await (const [found] of this.#pages(seq, seq, signal)) {
      if (found === undefined) continue;
      if (this.#recent.size >= MAX_RECENT) this.#recent.clear();
      if (found.bytes <= MAX_RECENT_BYTES) this.#recent.set(seq, found.entry);
      return found.entry;
    }
    throw new AixgoError("ENTRY_NOT_FOUND", `session ${this.ref.id} has no entry ${seq}`);
  }

  /** Entries as a stream, verified, not kept. */
  async *scan(from: number, to: number, signal?: AbortSignal): AsyncGenerator<Entry> {
    for await (const page of this.#pages(from, to, signal)) for (const { entry } of page) yield entry;
  }

  /** The entries behind a place, up to `to`. Throws `LOG_DIVERGED` if another entry than the one with this hash stands there now. */
  async *behind(
    place: { readonly seq: number; readonly hash: string | undefined },
    to: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Entry> {
    const { id } = this.ref;
    const check = (anchor: string): void => {
      if (place.hash !== undefined && anchor !== place.hash) throw diverged(id, place.seq);
    };
    // Also where nothing is behind it: then only the place itself is compared.
    for await (const page of this.#pages(place.seq + 1, Math.max(to, place.seq), signal, this.#trustsHashes, check))
      for (const { entry } of page) yield entry;
  }

  /** The whole log, every hash computed here, whatever the store has checked. */
  async *audit(to: number): AsyncGenerator<Entry> {
    for await (const page of this.#pages(0, to, undefined, false)) for (const { entry } of page) yield entry;
  }

  /** All messages on the path to `head`, oldest first. */
  async path(head: Head, signal?: AbortSignal): Promise<readonly PathMessage[]> {
    return this.#consistent(head, signal, () => this.tree.path(head.headSeq), "whole");
  }

  /** Visits the path from `from` towards the root until `visit` returns false. `visit` may be called anew from the start. */
  async walk(head: Head, from: number, begin: () => (entry: Entry) => boolean | void, signal?: AbortSignal): Promise<void> {
    await this.#consistent(head, signal, () => this.tree.walk(from, begin()) ?? "done");
  }

  /** The last entry of that type at or before `from`, whether on the path or not. */
  async lastOfType(head: Head, type: Entry["type"], from: number = head.seq, signal?: AbortSignal): Promise<Entry | undefined> {
    const found = await this.#consistent<Entry | "none">(head, signal, () => {
      for (let seq = Math.min(from, this.tree.high); seq >= this.tree.low; seq -= 1) {
        const entry = this.tree.entry(seq);
        if (entry.type === type) return entry;
      }
      return this.tree.low === 0 ? "none" : this.tree.low - 1;
    });
    return found === "none" ? undefined : found;
  }

  #isHeld(seq: number): boolean {
    return seq >= this.tree.low && seq <= this.tree.high;
  }

  /** Whether the entry with this hash is in memory; undefined: none is in its place. The chain says the same of all below. */
  #holds({ seq, hash }: Position): boolean | undefined {
    return this.#isHeld(seq) ? this.tree.entry(seq).hash === hash : undefined;
  }

  /** Runs `ask` on the tree until it needs nothing more; a number is the seq that must be loaded first. */
  async #consistent<T>(head: Head, signal: AbortSignal | undefined, ask: () => T | number, extent: "whole" | "end" = "end"): Promise<T> {
    for (let restarts = 0; ;) {
      if (signal?.aborted === true)
        throw new AixgoError("CANCELLED", `reading session ${this.ref.id} was cancelled`, { cause: signal.reason });
      try {
        if (this.tree.isEmpty || this.tree.high < head.seq) await this.#load(() => this.#top(head, extent, signal));
        if (this.#holds(head) === false) throw parted(head);
        const answer = ask();
        if (typeof answer !== "number") {
          if (this.tree.bytes > MAX_KEPT_BYTES) this.tree.clear();
          return answer;
        }
        await this.#load(() => this.#down(head, extent === "whole" ? 0 : answer, signal));
      } catch (error) {
        // Memory and store may have parted (a tail was lost in a power cut, a log put back from a copy): the store is the truth.
        if (!isAixgoError(error, "ENTRY_CORRUPT") || restarts >= 1) throw error;
        restarts += 1;
        this.tree.clear();
      }
    }
  }

  /** Loads are done one after the other; each looks afresh at what is there. */
  async #load(step: () => Promise<void>): Promise<void> {
    const before = this.#loading;
    const mine = before.then(step);
    this.#loading = mine.catch(() => undefined);
    await mine;
  }

  async #top(head: Head, extent: "whole" | "end", signal: AbortSignal | undefined): Promise<void> {
    const { tree } = this;
    if (!tree.isEmpty && tree.high >= head.seq) return;
    if (!tree.isEmpty) {
      const verifier = new Verifier(this.ref.id, tree.high + 1, tree.topHash, this.#trustsHashes);
      for await (const page of this.backend.read(this.ref, range(tree.high + 1, head.seq, signal))) tree.pushAll(verifier.page(page));
      return;
    }
    tree.pushAll(await this.#between(extent === "whole" ? 0 : Math.max(0, head.seq + 1 - entriesIn(head, FIRST_CHUNK)), head.seq, signal));
  }

  async #down(head: Head, need: number, signal: AbortSignal | undefined): Promise<void> {
    const { tree } = this;
    if (need >= tree.low) return;
    const chunk = entriesIn(head, Math.min(LARGEST_CHUNK, Math.max(FIRST_CHUNK, tree.high - tree.low + 1)));
    tree.unshiftAll(await this.#between(Math.max(0, Math.min(need, tree.low - chunk)), tree.low - 1, signal));
  }

  async #between(from: number, to: number, signal: AbortSignal | undefined): Promise<readonly Verified[]> {
    const found: Verified[] = [];
    for await (const page of this.#pages(from, to, signal)) for (const each of page) found.push(each);
    return found;
  }

  async *#pages(
    from: number,
    to: number,
    signal: AbortSignal | undefined,
    trusts: boolean = this.#trustsHashes,
    checkAnchor?: (hash: string) => void,
  ): AsyncGenerator<readonly Verified[]> {
    if (to < from && checkAnchor === undefined) return;
    const { id, incarnation } = this.ref;
    const verifier = from === 0 ? new Verifier(id, 0, incarnation, trusts) : new Verifier(id, from - 1, undefined, trusts);
    for await (const page of this.backend.read(this.ref, range(Math.max(0, from - 1), to, signal))) {
      const found = verifier.page(page);
      if (verifier.anchor !== undefined) checkAnchor?.(verifier.anchor);
      yield found;
    }
    if (verifier.nextSeq <= to) {
      throw new AixgoError("ENTRY_CORRUPT", `session ${this.ref.id} ends before entry ${verifier.nextSeq}, which its head promises`, {
        details: { session: this.ref.id, seq: verifier.nextSeq },
      });
    }
  }
}

function parted({ id, seq }: Head): AixgoError {
  return new AixgoError("ENTRY_CORRUPT", `entry ${seq} of session ${id} is another one than its head says`, {
    details: { session: id, seq },
  });
}

function rewritten(id: string): AixgoError {
  return new AixgoError("INCARNATION_CHANGED", `session ${id} was rewritten since this handle was opened. Get it again from the manager`);
}

/** Says that the log is damaged behind this head, if it is. */
export function assertWhole({ id, damage }: Head): void {
  if (damage !== undefined) throw new AixgoError("ENTRY_CORRUPT", damage.message, { details: { session: id, seq: damage.seq } });
}

export function diverged(id: string, seq: number): AixgoError {
  return new AixgoError(
    "LOG_DIVERGED",
    `session ${id} no longer holds entry ${seq} as it was read: the end of its log was lost, or replaced by a copy. Read its entries from the beginning`,
    { details: { session: id, seq } },
  );
}

/** How many entries a chunk should have: `wanted`, unless those of this log are large. */
function entriesIn(head: Head, wanted: number): number {
  const average = head.bytes / (head.seq + 1);
  return Math.max(4, Math.min(wanted, Math.ceil((CHUNK_BYTES * Math.max(1, wanted / FIRST_CHUNK)) / average)));
}

function range(from: number, to: number, signal: AbortSignal | undefined): { from: number; to: number; signal?: AbortSignal } {
  return signal === undefined ? { from, to } : { from, to, signal };
}

/** Verified entries of the lines that a conflict brought: pages as `read` yields them, behind a known position. */
export function linesSince(
  session: string,
  after: { readonly seq: number; readonly hash: string },
  since: Uint8Array,
): readonly Verified[] {
  return new Verifier(session, after.seq + 1, after.hash, false).page(since);
}
