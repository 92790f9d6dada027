import { hash } from "node:crypto";
import type { Stats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { AixgoError, isAixgoError, type Json } from "@aixgo/core";
import { assertSafeName, assertUserText, newEntryId } from "@aixgo/security";
import { entryOf, type Head, type HeaderData, type SessionBackend } from "@aixgo/session/backend";
import { sessionIdOf } from "./go-format.ts";
import { type GoSession, isSame } from "./go-store.ts";
import type { ImportGoStoreOptions } from "./import-options.ts";
import type { ImportedSession } from "./import-report.ts";
import { newLog, ORIGIN } from "./new-log.ts";
import { Notes, shown } from "./notes.ts";
import { type Plan, planSession } from "./plan.ts";

/** Errors that are the session's own; any other says that the store cannot be used, and ends the import. */
const OF_SESSION: ReadonlySet<string> = new Set([
  "INVALID_INPUT",
  "LIMIT_EXCEEDED",
  "ENTRY_CORRUPT",
  "UNSUPPORTED_ENTRY",
  "KEY_EXISTS",
  "SESSION_DELETED",
  "SESSION_BUSY",
]);

/** Taken for a store that is not there yet. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** What the header says of where a session came from. */
interface Origin {
  readonly store: "aixgo-go";
  readonly sessionId: string;
  /** Of all that it was made from: another one says that the Go session has changed. */
  readonly digest: string;
  /** Version of the session right after the import: a later one has been written to. */
  readonly version: number;
}

interface Work {
  readonly session: GoSession;
  readonly id: string;
  readonly plan: Plan;
  readonly handle: FileHandle | undefined;
  readonly size: number;
  readonly digest: string;
  readonly notes: Notes;
}

type Outcome = Pick<ImportedSession, "outcome" | "isLatest"> & { readonly reason?: string; readonly code?: string };

/** Imports the sessions of one agent, the latest first: the first of a user gets the key that `getOrCreate` looks for. */
export class SessionImport {
  readonly #options: ImportGoStoreOptions;
  readonly #agentName: string;
  /** Users whose latest session is there. */
  readonly #served = new Set<string>();

  constructor(options: ImportGoStoreOptions, agentName: string) {
    this.#options = options;
    this.#agentName = agentName;
  }

  async run(session: GoSession): Promise<{ readonly report: ImportedSession; readonly isInUse: boolean }> {
    const notes = new Notes();
    const about = {
      agentName: this.#agentName,
      goId: session.id,
      id: sessionIdOf(session.id),
      ...(session.meta?.userId === undefined ? undefined : { userId: session.meta.userId }),
    };
    let handle: FileHandle | undefined;
    let shape = { messages: 0, branches: 0 };
    let isInUse = false;
    try {
      this.#check(session);
      const before = await session.stat();
      handle = await session.open();
      if (session.meta === undefined) notes.add("the index does not have it: its user is not known");
      const size = before?.size ?? 0;
      const plan = await planSession(session, handle, size, bornAt(before), notes, this.#options.signal);
      shape = { messages: plan.messages, branches: plan.branches };
      const outcome = await this.#put({ session, id: about.id, plan, handle, size, digest: digestOf(session, size), notes });
      isInUse = !isSame(before, await session.stat());
      if (isInUse) notes.add("its file changed while it was read: stop the Go process that uses it, and import again");
      return { report: { ...about, ...shape, ...outcome, notes: notes.list() }, isInUse };
    } catch (thrown) {
      const error = isSystemError(thrown) ? new AixgoError("INVALID_INPUT", `its file cannot be read: ${thrown.code}`) : thrown;
      if (!isAixgoError(error) || !OF_SESSION.has(error.code)) throw error;
      const skipped: Outcome = { outcome: "skipped", isLatest: false, reason: error.message, code: error.code };
      return { report: { ...about, ...shape, ...skipped, notes: notes.list() }, isInUse };
    } finally {
      await handle?.close();
    }
  }

  #check({ meta }: GoSession): void {
    try {
      assertSafeName("agent name", this.#agentName);
    } catch (error) {
      throw new AixgoError("INVALID_INPUT", `${(error as Error).message}; import it under another name (rename)`, { cause: error });
    }
    if (meta?.userId !== undefined) assertUserText("user id", meta.userId);
  }

  async #put(work: Work): Promise<Outcome> {
    const { to, dryRun = false } = this.#options;
    const userId = work.session.meta?.userId;
    const key = userId === undefined || this.#served.has(userId) ? undefined : `user:${userId}`;
    const there = to === undefined ? undefined : await headOf(to, work.id);
    let outcome: Outcome;
    if (to !== undefined && there !== undefined) outcome = await this.#meet(to, there, work);
    else if (to === undefined || dryRun) {
      await this.#rehearse(work, to?.capabilities.maxLineBytes ?? MAX_LINE_BYTES);
      outcome = { outcome: "imported", isLatest: key !== undefined };
    } else outcome = await this.#createOrMeet(to, work, key);
    if (userId !== undefined && outcome.outcome !== "skipped") this.#served.add(userId);
    return outcome;
  }

  /** Draws all lines and drops them: whatever would fail fails. */
  async #rehearse(work: Work, maxLineBytes: number): Promise<void> {
    for await (const _ of this.#lines(work, maxLineBytes, this.#header(work, newEntryId(), undefined)));
  }

  /** Of two imports at once one creates a session, and the other finds it. */
  async #createOrMeet(to: SessionBackend, work: Work, key: string | undefined): Promise<Outcome> {
    try {
      return { outcome: "imported", isLatest: await this.#create(to, work, key) };
    } catch (error) {
      const there = isAixgoError(error, "KEY_EXISTS") ? await headOf(to, work.id) : undefined;
      if (there === undefined) throw error;
      return this.#meet(to, there, work);
    }
  }

  /** Whether it has the key now. */
  async #create(to: SessionBackend, work: Work, key: string | undefined): Promise<boolean> {
    if (key === undefined) {
      await this.#createWith(to, work, undefined);
      return false;
    }
    const found = { isUnfinished: false };
    try {
      await this.#createWith(to, work, key, found);
      return true;
    } catch (error) {
      if (found.isUnfinished) {
        // Of a process that died between taking the key and creating the session: nobody has it.
        await this.#createWith(to, work, key, "take");
        return true;
      }
      if (!isAixgoError(error, "KEY_EXISTS") || (await headOf(to, work.id)) !== undefined) throw error;
      work.notes.add("its user has another session here already: getOrCreate goes on with that one, this one is found by its id");
      await this.#createWith(to, work, undefined);
      return false;
    }
  }

  /** `taking`: the key moves here; or an object that is told if the key belongs to a create that was never finished. */
  async #createWith(to: SessionBackend, work: Work, key: string | undefined, taking?: "take" | { isUnfinished: boolean }): Promise<void> {
    const incarnation = newEntryId();
    const header = this.#header(work, incarnation, key);
    const { maxLineBytes } = to.capabilities;
    await to.create({
      ref: { id: work.id, incarnation },
      info: {
        id: work.id,
        agentName: header.agentName,
        ...(header.userId === undefined ? undefined : { userId: header.userId }),
        ...(key === undefined ? undefined : { key }),
        version: 0,
        messageCount: 0,
        createdAt: work.plan.createdAt,
        updatedAt: work.plan.createdAt,
        metadata: header.metadata ?? {},
      },
      ...(taking === "take" ? { onKey: "take" } : undefined),
      lines: (id) => {
        if (id === work.id) return this.#lines(work, maxLineBytes, header);
        // The store would finish it under the id that it was begun with.
        if (typeof taking === "object") taking.isUnfinished = true;
        throw new AixgoError("KEY_EXISTS", `the key of session ${work.id} belongs to the unfinished session ${id}`);
      },
    });
  }

  /** There is a session of this id already. */
  async #meet(to: SessionBackend, head: Head, work: Work): Promise<Outcome> {
    const { id, session } = work;
    const isLatest = head.info.key !== undefined && head.info.key === `user:${head.info.userId ?? ""}`;
    const origin = await originOf(to, head);
    const isOurs = origin?.sessionId === session.id && head.info.agentName === this.#agentName;
    if (!isOurs && !(head.seq === 0 && head.info.agentName === this.#agentName && head.info.userId === session.meta?.userId)) {
      const reason = `the store has a session ${id} of agent ${shown(head.info.agentName)} that was not imported from this one: move it away, or import into another store`;
      return { outcome: "skipped", isLatest, reason, code: "KEY_EXISTS" };
    }
    if (isOurs && origin.digest === work.digest) return { outcome: "present", isLatest };
    if (isOurs && origin.version !== head.seq) {
      work.notes.add("the Go session has changed since it was imported, and it has been gone on with here: this one is left as it is");
      return { outcome: "present", isLatest };
    }
    // Nobody has written to it: either an import that has grown, or the empty session that a create of an import's became when it
    // was cut off behind its key.
    const done: Outcome = { outcome: isOurs ? "updated" : "imported", isLatest };
    const next = { id, incarnation: newEntryId() };
    const { maxLineBytes } = to.capabilities;
    const header = this.#header(work, next.incarnation, head.info.key, isOurs ? {} : head.info.metadata);
    if (this.#options.dryRun === true) {
      await this.#rehearse(work, maxLineBytes);
      return done;
    }
    const answer = await to.rewrite(
      { id, incarnation: head.incarnation },
      { expect: { seq: head.seq, hash: head.hash }, next, lines: this.#lines(work, maxLineBytes, header) },
    );
    if ("head" in answer) return done;
    throw new AixgoError("SESSION_BUSY", `session ${id} was written to while it was imported anew: import again`);
  }

  #header(
    { session, id, plan, digest }: Work,
    incarnation: string,
    key: string | undefined,
    metadata: HeaderData["metadata"] = {},
  ): HeaderData {
    const userId = session.meta?.userId;
    const origin: Origin = { store: "aixgo-go", sessionId: session.id, digest, version: plan.steps.length };
    return {
      id,
      incarnation,
      agentName: this.#agentName,
      ...(userId === undefined ? undefined : { userId }),
      ...(key === undefined ? undefined : { key }),
      metadata: { ...metadata, [ORIGIN]: origin as unknown as Json },
    };
  }

  /** The notes are those of the last drawing: a store may ask twice. */
  async *#lines({ plan, handle, size, notes }: Work, maxLineBytes: number, header: HeaderData): AsyncGenerator<Uint8Array> {
    const found = new Notes();
    yield* newLog({ plan, handle, size, roleOf: this.#options.roleOf, maxLineBytes, notes: found, signal: this.#options.signal }, header);
    notes.replaceLate(found);
  }
}

/** Of the source: what a backend throws is an error of ours. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException & { readonly code: string } {
  return error instanceof Error && "syscall" in error && typeof (error as NodeJS.ErrnoException).code === "string";
}

async function headOf(to: SessionBackend, id: string): Promise<Head | undefined> {
  try {
    return await to.head(id);
  } catch (error) {
    if (isAixgoError(error, "SESSION_NOT_FOUND")) return undefined;
    if (isAixgoError(error, "SESSION_DELETED"))
      throw new AixgoError("SESSION_DELETED", `session ${id} was deleted here: it does not come back`, { cause: error });
    throw error;
  }
}

async function originOf(to: SessionBackend, head: Head): Promise<Origin | undefined> {
  for await (const page of to.read({ id: head.id, incarnation: head.incarnation }, { from: 0, to: 0 })) {
    const { metadata } = entryOf(page.subarray(0, page.indexOf(0x0a))).data as unknown as HeaderData;
    const origin = metadata?.[ORIGIN] as Partial<Origin> | null | undefined;
    return origin?.store === "aixgo-go" ? (origin as Origin) : undefined;
  }
  return undefined;
}

/** Of what a session is made from. */
function digestOf({ meta, checkpoints }: GoSession, size: number): string {
  const { currentLeaf, updatedAt, userId } = meta ?? {};
  const made = [size, currentLeaf ?? null, updatedAt ?? null, userId ?? null, checkpoints.map(({ id }) => id).sort()];
  return hash("sha256", JSON.stringify(made), "base64url").slice(0, 22);
}

/** For a session without any time of its own. */
function bornAt(stat: Stats | undefined): string {
  return (stat === undefined ? new Date() : stat.mtime).toISOString();
}
