import type { SessionBackend } from "@aixgo/session/backend";
import { isAixgoError } from "@aixgo/core";
import { messageText, readChain, type Line } from "./chain.ts";

/** What a writer says on its output, a line each, as soon as the store has acknowledged it. */
export type Acknowledged =
  | { readonly kind: "entry"; readonly session: string; readonly seq: number; readonly type: Line["type"]; readonly text?: string }
  | { readonly kind: "created" | "deleted"; readonly session: string }
  /** Said before a delete: from here on the session may be gone. */
  | { readonly kind: "deleting"; readonly session: string };

interface Book {
  state: "there" | "deleting" | "deleted";
  /** Acknowledged, and not yet looked up in the store. */
  due: Extract<Acknowledged, { kind: "entry" }>[];
  /** The highest seq that was acknowledged. */
  promised: number;
  /** What the store has shown: it may not change any more. */
  seq: number;
  hash: string;
  readonly texts: Set<string>;
}

/**
 * Holds a store against what it acknowledged: each acknowledged entry stands at its place exactly once, batches are whole, the
 * chain is valid from the first byte, created sessions are there and deleted ones are not, and what was read once stays as it was.
 */
export class Ledger {
  readonly failures: string[] = [];
  acknowledged = 0;
  /** Acknowledged entries that the store does not have. */
  lost = 0;
  readonly #books = new Map<string, Book>();

  /** Takes a writer's line; the last one of a killed writer may be cut off, and is none then. */
  hear(line: string): void {
    const said = JSON.parse(line) as Acknowledged;
    const book = this.#book(said.session);
    if (said.kind === "entry") {
      book.due.push(said);
      book.promised = Math.max(book.promised, said.seq);
    }
    if (said.kind === "created") this.acknowledged += 1;
    if (said.kind === "deleting" || said.kind === "deleted") book.state = said.kind;
    if (said.kind === "entry" || said.kind === "deleted") this.acknowledged += 1;
  }

  /** Compares everything; `from` the beginning of each log, or from where the last comparison ended. */
  async check(backend: SessionBackend, when: string, from: "start" | "last" = "last"): Promise<void> {
    for (const [session, book] of this.#books) {
      try {
        await this.#checkSession(backend, session, book, when, from).catch((error: unknown) => {
          // A server may still finish a delete that a killed writer had sent: then its head says so as well.
          if (isAixgoError(error, "SESSION_DELETED")) return this.#checkSession(backend, session, book, when, from);
          throw error;
        });
      } catch (error) {
        this.#fail(when, session, error instanceof Error ? `${(error as { code?: string }).code ?? ""} ${error.message}` : String(error));
        this.lost += book.due.length;
        book.due = [];
      }
    }
  }

  /** That `list` names the same sessions, with versions that are no older than what was acknowledged. */
  async checkList(backend: SessionBackend, when: string): Promise<void> {
    const listed = new Map<string, number>();
    let cursor: string | undefined;
    do {
      const page = await backend.list({ limit: 500, ...(cursor === undefined ? {} : { cursor }) });
      for (const { id, version } of page.items) listed.set(id, version);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    for (const [session, { state, seq, promised }] of this.#books) {
      const version = listed.get(session);
      if (state === "there" && version === undefined) this.#fail(when, session, "is not listed");
      // An append whose writer was killed before it could tell may be missing in the list, an acknowledged one may not.
      if (state === "there" && version !== undefined && (version > seq || version < promised))
        this.#fail(when, session, `is listed with version ${version}, acknowledged was ${promised}, its log ends at ${seq}`);
      if (state === "deleted" && version !== undefined) this.#fail(when, session, "is listed, though it was deleted");
    }
    for (const session of listed.keys()) {
      if (this.#books.has(session)) continue;
      // Its creation was not acknowledged, but it is there: then it is whole.
      await this.#checkSession(backend, session, this.#book(session), when, "start").catch((error: unknown) =>
        this.#fail(when, session, `is listed, but ${String(error)}`),
      );
    }
  }

  async #checkSession(backend: SessionBackend, session: string, book: Book, when: string, from: "start" | "last"): Promise<void> {
    const head = await backend.head(session).catch((error: unknown) => {
      if (isAixgoError(error, "SESSION_DELETED")) return undefined;
      throw error;
    });
    if (head === undefined) {
      if (book.state === "there") this.#fail(when, session, "is deleted, and nobody deleted it");
      book.state = "deleted";
      book.due = [];
      return;
    }
    if (book.state === "deleted") return this.#fail(when, session, "is there again after its delete was acknowledged");
    // From the last known line on, so that its hash can be compared.
    const after = from === "start" || book.seq < 0 ? undefined : { seq: book.seq, hash: book.hash };
    const pages: Uint8Array[] = [];
    // A server may still finish what a writer had sent before it was killed: that is looked at the next time.
    for await (const page of backend.read(head, { from: after === undefined ? 0 : after.seq + 1, to: head.seq })) pages.push(page);
    const lines = readChain(Buffer.concat(pages), after);
    const known = from === "start" ? lines[book.seq] : undefined;
    if (from === "start" && book.seq >= 0 && known?.hash !== book.hash)
      this.#fail(when, session, `entry ${book.seq} is not the one that was read before`);
    const last = lines.at(-1) ?? after;
    if (last === undefined || last.seq !== head.seq || last.hash !== head.hash)
      this.#fail(when, session, `its head is ${head.seq}, but its lines end at ${last?.seq}`);
    const fresh = lines.filter(({ seq }) => seq > book.seq);
    for (const line of fresh) {
      const text = messageText(line);
      if (text === undefined) continue;
      if (book.texts.has(text)) this.#fail(when, session, `entry ${line.seq} is doubled: ${text.slice(0, 40)}`);
      book.texts.add(text);
    }
    const bySeq = new Map(lines.map((line) => [line.seq, line]));
    for (const { seq, type, text } of book.due) {
      const line = bySeq.get(seq);
      const isThere = line !== undefined && line.type === type && (text === undefined || messageText(line) === text);
      if (isThere) continue;
      this.lost += 1;
      this.#fail(
        when,
        session,
        `acknowledged ${type} ${(text ?? "").slice(0, 40)} is not at ${seq}: there is ${line === undefined ? "nothing" : line.type}`,
      );
    }
    book.due = [];
    if (last !== undefined) Object.assign(book, { seq: last.seq, hash: last.hash });
  }

  #book(session: string): Book {
    let book = this.#books.get(session);
    if (book === undefined) {
      book = { state: "there", due: [], promised: -1, seq: -1, hash: "", texts: new Set() };
      this.#books.set(session, book);
    }
    return book;
  }

  #fail(when: string, session: string, what: string): void {
    this.failures.push(`${when}: session ${session}: ${what}`);
  }
}
