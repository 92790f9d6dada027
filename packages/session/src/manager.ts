import {
  AixgoError,
  type AttachedTurn,
  type FollowedMessage,
  isAixgoError,
  type OpenTurn,
  type OpenTurnRequest,
  type Principal,
  type SessionHost,
} from "@aixgo/core";
import { assertUserText, isSessionId } from "@aixgo/security";
import { attachTurn } from "./attach.ts";
import { cancelTurn } from "./cancel-turn.ts";
import type { CreateRequest, Head, HeadOptions, Ref } from "./contract.ts";
import type { HeaderData } from "./entry.ts";
import type { Reader } from "./feed.ts";
import { followMessages } from "./follow.ts";
import { assertOwnKey, type CreateOptions, newSession, userKey } from "./header.ts";
import type { ForkLines } from "./fork.ts";
import type { Page, SessionInfo, SessionQuery } from "./info.ts";
import { type ManagerOptions, resolveManagerOptions, type SessionManagerOptions } from "./manager-options.ts";
import { openTurn } from "./open-turn.ts";
import { placeOf } from "./place.ts";
import type { OpenSession } from "./open-session.ts";
import type { Session } from "./session.ts";
import { type SessionHome, StoredSession } from "./stored-session.ts";
import { SessionCache } from "./session-cache.ts";

/** Creates, finds, lists and deletes sessions, and hosts the turns of a runtime. */
export interface SessionManager extends SessionHost, AsyncDisposable {
  /** Throws `KEY_EXISTS` if the key is taken and `onKey` does not say what to do. */
  create(agentName: string, options?: CreateOptions): Promise<Session>;
  /**
   * Throws `SESSION_NOT_FOUND`, also for another's session, and `SESSION_DELETED`. A session whose log is damaged can be had:
   * `verify` says where, `entries` yields what is whole, `fork({ at })` saves it; everything else throws `ENTRY_CORRUPT`.
   */
  get(id: string): Promise<Session>;
  /** The one session of (tenant, agent, `key` or the user): made if there is none, by whoever comes first. */
  getOrCreate(agentName: string, userId: string, options?: Omit<CreateOptions, "userId" | "onKey">): Promise<Session>;
  list(query?: SessionQuery): Promise<Page<SessionInfo>>;
  /** All pages, one session after the other. */
  listAll(query?: SessionQuery): AsyncIterable<SessionInfo>;
  /** False: there was none. `erase` also removes damaged remains. */
  delete(id: string, options?: { readonly mode?: "remove" | "erase" }): Promise<boolean>;
  /** The same store as one principal sees it: only sessions of that user and tenant. Its `close` does nothing. */
  as(principal: Principal): SessionManager;
  /** Stops running turns, waits for appends under way, closes the backend. Idempotent. */
  close(): Promise<void>;
}

/** Does no I/O; the first call does. `close` it, or use `await using`. */
export function createSessionManager(options: SessionManagerOptions): SessionManager {
  return new Manager(new Shared(resolveManagerOptions(options)), undefined);
}

/** A damaged session can be had, so that what is whole is read, verified and saved, and so that it can be deleted. */
const EVEN_DAMAGED: HeadOptions = { evenDamaged: true };
/** How long `close` waits for turns that it told to stop. */
const CLOSE_GRACE_MS = 2000;

/** What a turn meets that begins on a head of a session that is no more, or is another one now. */
const OF_ANOTHER_LIFE: ReadonlySet<string> = new Set(["SESSION_NOT_FOUND", "SESSION_DELETED", "INCARNATION_CHANGED", "AGENT_MISMATCH"]);

/** What all views of one manager have in common. */
class Shared {
  readonly options: ManagerOptions;
  readonly cache: SessionCache;
  readonly #closeListeners = new Set<() => void>();
  #closing: Promise<void> | undefined;

  /** For those who follow a log as long as the manager is open. */
  readonly reader: Reader;

  constructor(options: ManagerOptions) {
    this.options = options;
    this.reader = { assertOpen: () => this.assertOpen(), onClose: (wake) => this.onClose(wake) };
    this.cache = new SessionCache(options.backend, options.rebaseMs);
  }

  assertOpen(): void {
    if (this.#closing !== undefined) throw new AixgoError("BACKEND_CLOSED", "this session manager was closed");
  }

  async head(id: string, options?: HeadOptions): Promise<Head> {
    this.assertOpen();
    if (!isSessionId(id))
      throw new AixgoError(
        "SESSION_NOT_FOUND",
        `${JSON.stringify(String(id).slice(0, 80))} is no session id: those are 32 hexadecimal digits`,
      );
    this.cache.touched();
    try {
      return await this.options.backend.head(id, options);
    } catch (error) {
      if (isAixgoError(error, "SESSION_DELETED") || isAixgoError(error, "SESSION_NOT_FOUND")) this.cache.drop(id);
      throw error;
    }
  }

  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#close();
      for (const listener of this.#closeListeners) listener();
    }
    return this.#closing;
  }

  async #close(): Promise<void> {
    const error = new AixgoError("CANCELLED", "the session manager was closed");
    const sessions = this.cache.all();
    for (const open of sessions) {
      open.turns.close(error);
      open.running?.cancel("interrupted", "the session manager was closed");
    }
    const deadline = performance.now() + CLOSE_GRACE_MS;
    // A turn that is just being opened is taken, and runs a moment later.
    while (sessions.some((open) => open.turns.isTaken) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      for (const open of sessions) open.running?.cancel("interrupted", "the session manager was closed");
    }
    for (const open of sessions) await open.writer.settled();
    await this.options.backend.close();
  }
}

class Manager implements SessionManager {
  readonly #shared: Shared;
  readonly #principal: Principal | undefined;

  constructor(shared: Shared, principal: Principal | undefined) {
    this.#shared = shared;
    this.#principal = principal;
  }

  get sharedBy(): SessionHost["sharedBy"] {
    return this.#shared.options.backend.capabilities.sharedBy;
  }

  async create(agentName: string, options: CreateOptions = {}): Promise<Session> {
    assertOwnKey(options.key);
    return this.#create(agentName, options);
  }

  async get(id: string): Promise<Session> {
    return this.#handle(await this.#visible(id, EVEN_DAMAGED));
  }

  async getOrCreate(agentName: string, userId: string, options: Omit<CreateOptions, "userId" | "onKey"> = {}): Promise<Session> {
    assertUserText("user id", userId);
    if (options.key !== undefined) assertOwnKey(options.key);
    return this.#create(agentName, { ...options, userId, key: options.key ?? userKey(userId), onKey: "get" });
  }

  async list(query: SessionQuery = {}): Promise<Page<SessionInfo>> {
    this.#shared.assertOpen();
    const principal = this.#principal;
    if (principal === undefined) return this.#shared.options.backend.list(query);
    const isElsewhere = (query.userId ?? principal.id) !== principal.id || (query.tenantId ?? principal.tenantId) !== principal.tenantId;
    if (isElsewhere) return { items: [] };
    const { tenantId } = principal;
    const page = await this.#shared.options.backend.list({
      ...query,
      userId: principal.id,
      ...(tenantId === undefined ? undefined : { tenantId }),
    });
    return { ...page, items: page.items.filter((info) => belongsTo(info, principal)) };
  }

  async *listAll(query: SessionQuery = {}): AsyncGenerator<SessionInfo> {
    let cursor = query.cursor;
    do {
      const page: Page<SessionInfo> = await this.list(cursor === undefined ? query : { ...query, cursor });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  async delete(id: string, options: { readonly mode?: "remove" | "erase" } = {}): Promise<boolean> {
    const { mode = "remove" } = options;
    if (mode !== "remove" && mode !== "erase")
      throw new AixgoError("INVALID_OPTION", `mode must be "remove" or "erase", not ${JSON.stringify(mode)}`);
    let head: Head;
    try {
      head = await this.#visible(id, EVEN_DAMAGED);
    } catch (error) {
      if (isAixgoError(error, "SESSION_NOT_FOUND") || isAixgoError(error, "SESSION_DELETED")) return false;
      throw error;
    }
    await this.#shared.options.backend.delete({ id, incarnation: head.incarnation }, { erase: mode === "erase" });
    this.#shared.cache.get(id)?.running?.cancel("cancelled", "the session was deleted");
    this.#shared.cache.drop(id);
    return true;
  }

  as(principal: Principal): SessionManager {
    assertUserText("principal id", principal.id);
    if (principal.tenantId !== undefined) assertUserText("tenant id", principal.tenantId);
    if (this.#principal !== undefined && (this.#principal.id !== principal.id || this.#principal.tenantId !== principal.tenantId)) {
      throw new AixgoError("PERMISSION_DENIED", "a manager that is one principal's cannot act for another");
    }
    return new Manager(this.#shared, principal);
  }

  async openTurn(sessionId: string, request: OpenTurnRequest): Promise<OpenTurn> {
    const resting = request.resume === undefined ? this.#resting(sessionId) : undefined;
    if (resting !== undefined) {
      try {
        return await this.#openTurn(resting, request);
      } catch (error) {
        // The session that was known may have been deleted or written anew meanwhile.
        if (!isAixgoError(error) || !OF_ANOTHER_LIFE.has(error.code)) throw error;
      }
    }
    return this.#openTurn(await this.#shared.head(sessionId), request);
  }

  /**
   * The head of a session that was at rest when this process wrote to it last. A turn may begin on it without asking the store: its
   * first append lands only if the session is still there, and still so.
   */
  #resting(id: string): Head | undefined {
    this.#shared.assertOpen();
    this.#shared.cache.touched();
    return this.#shared.cache.get(id)?.log.headAtRest;
  }

  async #openTurn(head: Head, request: OpenTurnRequest): Promise<OpenTurn> {
    this.#assertVisible(head, request.options.principal);
    if (head.info.agentName !== request.agent) {
      throw new AixgoError(
        "AGENT_MISMATCH",
        `session ${head.id} belongs to agent ${JSON.stringify(head.info.agentName)}, not to ${JSON.stringify(request.agent)}`,
      );
    }
    const open = this.#shared.cache.open(head);
    return openTurn(open, head, this.#handle(head), request, this.#shared.options);
  }

  async cancelTurn(sessionId: string, options: { readonly turnId?: string; readonly reason?: string } = {}): Promise<boolean> {
    const head = await this.#visible(sessionId);
    return cancelTurn(this.#shared.cache.open(head), options);
  }

  async agentOf(sessionId: string, options: { readonly principal?: Principal } = {}): Promise<string> {
    return (await this.#seen(sessionId, options.principal)).info.agentName;
  }

  async attach(
    sessionId: string,
    options: { readonly after?: string; readonly principal?: Principal } = {},
  ): Promise<AttachedTurn | undefined> {
    const head = await this.#seen(sessionId, options.principal);
    const open = this.#shared.cache.open(head);
    open.log.adopt(head);
    return attachTurn(open, head, options.after, this.#shared.reader);
  }

  async *follow(
    sessionId: string,
    options: { readonly after?: string; readonly signal?: AbortSignal; readonly principal?: Principal } = {},
  ): AsyncGenerator<FollowedMessage, void, undefined> {
    const head = await this.#seen(sessionId, options.principal);
    const { log } = this.#shared.cache.open(head);
    log.adopt(head);
    const { reader } = this.#shared;
    const after = options.after === undefined ? -1 : placeOf(options.after, head).version;
    yield* followMessages(log, head, { after, signal: options.signal, reader });
  }

  async close(): Promise<void> {
    if (this.#principal === undefined) await this.#shared.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The head of a session that this principal may see. */
  async #visible(id: string, options?: HeadOptions): Promise<Head> {
    const head = await this.#shared.head(id, options);
    this.#assertVisible(head);
    return head;
  }

  /** The same for a principal that a call names. */
  async #seen(id: string, principal: Principal | undefined): Promise<Head> {
    const head = await this.#shared.head(id);
    this.#assertVisible(head, principal);
    return head;
  }

  #assertVisible({ id, info }: Head, named?: Principal): void {
    for (const principal of [this.#principal, named]) if (principal !== undefined && !belongsTo(info, principal)) throw notFound(id);
  }

  async #create(agentName: string, options: CreateOptions, fork?: Fork): Promise<Session> {
    this.#shared.assertOpen();
    const principal = this.#principal;
    if (principal !== undefined && options.userId !== undefined && options.userId !== principal.id) {
      throw new AixgoError("PERMISSION_DENIED", "a manager that is one principal's cannot create a session for another user");
    }
    const userId = options.userId ?? principal?.id;
    const tenantId = principal?.tenantId ?? fork?.tenantId;
    const fresh = newSession(agentName, {
      ...options,
      ...(userId === undefined ? undefined : { userId }),
      ...(tenantId === undefined ? undefined : { tenantId }),
      ...(fork === undefined ? undefined : { origin: fork.origin }),
    });
    const request: CreateRequest = {
      ...fresh.request,
      lines: async function* (id) {
        const header = fresh.header(id);
        yield header.line;
        if (fork !== undefined) yield* fork.lines.behind(header.tip);
      },
      ...(fork === undefined ? undefined : { blobs: () => ({ from: fork.origin, digests: fork.lines.digests }) }),
    };
    const { head, created } = await this.#shared.options.backend.create(request);
    if (!created && head.info.userId !== userId) {
      throw new AixgoError(
        "KEY_EXISTS",
        `key ${JSON.stringify(options.key)} of agent ${JSON.stringify(agentName)} is taken by another user's session`,
      );
    }
    return this.#handle(head);
  }

  #handle(head: Head): Session {
    const ref: Ref = { id: head.id, incarnation: head.incarnation };
    const shared = this.#shared;
    const open = (): OpenSession => {
      shared.assertOpen();
      shared.cache.touched();
      return shared.cache.open(ref);
    };
    const home: SessionHome = {
      maxMessageBytes: shared.options.maxMessageBytes,
      open,
      openTurn: (request) => this.openTurn(head.id, { agent: head.info.agentName, ...request }),
      onClose: (listener) => shared.onClose(listener),
      createFork: (options, { id, incarnation, info }, at, lines) => {
        assertOwnKey(options.key);
        const key = options.key ?? (options.onKey === "take" ? keyToTake(info, options) : undefined);
        const inherited: CreateOptions = {
          metadata: info.metadata,
          ...(info.userId === undefined ? undefined : { userId: info.userId }),
          ...options,
          ...(key === undefined ? undefined : { key }),
        };
        return this.#create(info.agentName, inherited, {
          origin: { id, incarnation, seq: at.headSeq, hash: at.headHash },
          tenantId: info.tenantId,
          lines,
        });
      },
    };
    return new StoredSession(home, head);
  }
}

/** What a fork starts with. */
interface Fork {
  readonly origin: NonNullable<HeaderData["origin"]>;
  readonly tenantId: string | undefined;
  readonly lines: ForkLines;
}

/** The key that a fork takes over from the session it comes from. A key of `getOrCreate` stays with its user. */
function keyToTake({ id, key, userId }: SessionInfo, options: CreateOptions): string | undefined {
  if (key === undefined) throw new AixgoError("INVALID_OPTION", `onKey "take": session ${id} has no key to take over; name one with key`);
  if (key !== userKey(userId ?? "") || (options.userId ?? userId) === userId) return key;
  throw new AixgoError("INVALID_OPTION", `onKey "take": the key of session ${id} belongs to its user, and the fork is another user's`);
}

function belongsTo(info: SessionInfo, principal: Principal): boolean {
  return info.userId === principal.id && info.tenantId === principal.tenantId;
}

function notFound(id: string): AixgoError {
  return new AixgoError("SESSION_NOT_FOUND", `there is no session ${id}`);
}
