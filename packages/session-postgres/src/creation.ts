import { createHash } from "node:crypto";
import { AixgoError } from "@aixgo/core";
import { type CreateRequest, fold, type Head, type Ref, type SessionInfo } from "@aixgo/session/backend";
import { columnText, type Field, fitsIndex, rowLiteral } from "./column-text.ts";
import { millisecondsOf } from "./delta.ts";
import { headOfRow } from "./head-row.ts";
import { labelsOf } from "./labels.ts";
import { type PackedLines, packLines, refuseLongLine } from "./lines.ts";
import { purgeLog } from "./loose-logs.ts";
import { stateOf } from "./postgres-errors.ts";
import { currentHead, headOf, incarnationChanged, type Store } from "./store.ts";

/** What is gathered before it is sent: most logs are created whole, by one statement. */
const CHUNK_BYTES = 1024 * 1024;
const CHUNK_LINES = 1024;
/** The session that has a key may be deleted while it is looked at: asked again, but not for ever. */
const ATTEMPTS = 20;

/** A log whose last lines are not sent yet, and what folds from all of it. */
export interface NewLog {
  readonly head: Head;
  /** Number of the log that holds the lines before `rest`; 0: there are none. */
  readonly log: string;
  readonly rest: PackedLines;
}

export async function createSession(store: Store, request: CreateRequest): Promise<{ readonly head: Head; readonly created: boolean }> {
  const { ref, info, onKey } = request;
  const doing = `create session ${ref.id}`;
  checkInfo(doing, info);
  const digest = info.key === undefined ? undefined : keyDigest(info);
  for (let attempt = 1; ; attempt++) {
    // What is there already is found with one round trip, and no line is built for it.
    const holder = digest === undefined || onKey === "take" ? undefined : await keyHolder(store, doing, digest);
    const taken = holder === undefined ? await create(store, doing, request, digest) : holder;
    if (typeof taken !== "string") return { head: taken, created: true };
    if (onKey !== "get") throw keyTaken(doing, info, taken);
    try {
      return { head: await headOf(store, doing, taken), created: false };
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

/** The new session's head, or the id of the session that has its key. */
async function create(
  store: Store,
  doing: string,
  { ref, onKey, lines, blobs }: CreateRequest,
  digest: Uint8Array | undefined,
): Promise<Head | string> {
  const { connections, statements, lockMs } = store;
  const built = await gather(store, doing, ref, lines(ref.id));
  const start = [startRow(ref, built, digest), onKey ?? "refuse", built.rest.bytes];
  let from: Ref | undefined;
  try {
    const source = blobs?.();
    if (source !== undefined && source.digests.size > 0) from = source.from;
    const [text, values] =
      source === undefined || from === undefined
        ? [statements.create, [...start, lockMs]]
        : [statements.createWithBlobs, [...start, columnText(from.id), columnText(from.incarnation), [...source.digests], lockMs]];
    const [row] = await connections.run({ doing, effect: "write", text, values });
    const [outcome, what] = (row as { readonly answer: readonly [outcome: string, what: string] }).answer;
    if (outcome === "created") return headOfRow(what);
    await purgeLog(store, doing, built.log);
    return what;
  } catch (error) {
    await purgeLog(store, doing, built.log).catch(() => undefined);
    if (from !== undefined && ownState(error) === "AX004") await originGone(store, doing, from);
    throw meaningOf(error, doing, ref.id);
  }
}

/** The session that a fork takes its attachments from was deleted or rewritten meanwhile. */
async function originGone(store: Store, doing: string, from: Ref): Promise<never> {
  await currentHead(store, `${doing} as a fork of session ${from.id}`, from);
  // Made again between the two statements.
  throw incarnationChanged(doing);
}

async function keyHolder({ connections, statements }: Store, doing: string, digest: Uint8Array): Promise<string | undefined> {
  const [row] = await connections.run({ doing, effect: "read", text: statements.keyHolder, values: [digest] });
  return row?.["holder"] as string | undefined;
}

/**
 * Reads all lines of a new log. Those that are too many for one statement are stored as they come, in a log that no session
 * names: no transaction and no connection is held while the source, which may be read from this very store, is waited for.
 */
export async function gather(store: Store, doing: string, ref: Ref, lines: AsyncIterable<Uint8Array>): Promise<NewLog> {
  let head: Head | undefined;
  let log = "0";
  let chunk: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const line of lines) {
      refuseLongLine(doing, ref.id, line, store.options.capabilities.maxLineBytes);
      if (chunk.length === CHUNK_LINES || (chunk.length > 0 && bytes + line.length > CHUNK_BYTES)) {
        log = await stage(store, doing, head as Head, log, chunk);
        chunk = [];
        bytes = 0;
      }
      // The source may use its buffer again.
      const copy = Uint8Array.from(line);
      head = fold(head, copy);
      chunk.push(copy);
      bytes += copy.length;
    }
    if (head?.id !== ref.id || head.incarnation !== ref.incarnation)
      throw new AixgoError("INVALID_INPUT", `${doing}: the lines do not begin with the header of this life of the session`);
    return { head, log, rest: packLines(chunk) };
  } catch (error) {
    await purgeLog(store, doing, log).catch(() => undefined);
    throw error;
  }
}

/** Stores lines; `head` is the fold up to the last of them. */
export async function stage(
  { connections, statements, lockMs }: Store,
  doing: string,
  head: Head,
  log: string,
  lines: readonly Uint8Array[] | PackedLines,
): Promise<string> {
  const { bytes, entryIds, ops, starts, sizes } = "bytes" in lines ? lines : packLines(lines);
  const values = [log, tenantColumn(head.info), head.seq - sizes.length + 1, bytes, entryIds, ops, starts, sizes, lockMs];
  const [row] = await connections.run({ doing, effect: "write", text: statements.stage, values });
  const number = row?.["log"];
  if (typeof number === "string") return number;
  throw stagedGone(doing);
}

/** The literal of a new session; `rest` are the lines that are sent with it. */
export function startRow(ref: Ref, { head, log, rest }: NewLog, digest: Uint8Array | undefined): string {
  const { info } = head;
  const text = (value: string | undefined): string | null => (value === undefined ? null : columnText(value));
  const fields: readonly Field[] = [
    columnText(ref.id),
    columnText(ref.incarnation),
    log,
    head.seq,
    columnText(head.hash),
    head.headSeq,
    info.messageCount,
    head.fence,
    head.bytes,
    columnText(info.agentName),
    text(info.tenantId),
    text(info.userId),
    text(info.key),
    digest,
    columnText(info.createdAt),
    columnText(info.updatedAt),
    millisecondsOf(info.updatedAt),
    JSON.stringify(info.metadata),
    labelsOf(info.metadata),
    text(head.unsupported),
    rest.entryIds,
    rest.ops,
    rest.starts,
    rest.sizes,
  ];
  return rowLiteral(fields);
}

/** What our own SQLSTATEs mean. */
export function meaningOf(error: unknown, doing: string, id: string): unknown {
  const sqlstate = ownState(error);
  if (sqlstate === "AX001")
    return new AixgoError("KEY_EXISTS", `${doing}: a session with this id exists already`, { details: { session: id } });
  if (sqlstate === "AX002") return new AixgoError("SESSION_DELETED", `${doing}: a session with this id has been deleted`);
  return sqlstate === "AX003" ? stagedGone(doing) : error;
}

function ownState(error: unknown): string | undefined {
  return stateOf((error as { cause?: unknown } | null)?.cause).sqlstate;
}

function stagedGone(doing: string): AixgoError {
  return new AixgoError(
    "BACKEND_UNAVAILABLE",
    `${doing}: its lines came so slowly that those before have been cleared away; nothing was written`,
  );
}

function keyDigest({ tenantId, agentName, key }: SessionInfo): Uint8Array {
  return createHash("sha256")
    .update(JSON.stringify([tenantId ?? null, agentName, key]))
    .digest();
}

function keyTaken(doing: string, { agentName }: SessionInfo, holder: string): AixgoError {
  return new AixgoError("KEY_EXISTS", `${doing}: agent ${agentName} has a session with this key already. Use onKey: "get" or "take"`, {
    details: { session: holder },
  });
}

function tenantColumn({ tenantId }: SessionInfo): string | null {
  return tenantId === undefined ? null : columnText(tenantId);
}

/** What goes into an index has a limit there. */
export function checkInfo(doing: string, { id, agentName, tenantId, userId }: SessionInfo): void {
  for (const [name, text] of Object.entries({ id, agentName, tenantId, userId })) {
    if (text !== undefined && !fitsIndex(text)) throw new AixgoError("LIMIT_EXCEEDED", `${doing}: ${name} is too long for this store`);
  }
}
