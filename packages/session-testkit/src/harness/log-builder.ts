import { randomBytes } from "node:crypto";
import type { Json } from "@aixgo/core";
import { type CreateRequest, type Head, type Position, type Ref, sealLine, type SessionBackend } from "@aixgo/session/backend";

const START = Date.UTC(2026, 0, 1);

/** An entry to be written; what is left out follows from the log. */
export interface Draft {
  readonly type?: string;
  readonly data?: Json;
  /** JSON text of the data, written as it stands. */
  readonly rawData?: string;
  readonly id?: string;
  readonly op?: string;
  /** Seq of the head after the entry. Side entries keep it where it is. */
  readonly head?: number;
  /** Messages on the path to that head. */
  readonly n?: number;
  readonly turn?: number;
  readonly fence?: number;
  readonly timestamp?: string;
  /** Members that no version knows. */
  readonly unknown?: { readonly [name: string]: Json };
}

export interface LogOptions extends Partial<Ref> {
  readonly agentName?: string;
  readonly userId?: string;
  readonly tenantId?: string;
  readonly key?: string;
  readonly metadata?: { readonly [key: string]: Json };
  /** Time of the header, in milliseconds since 1970; each entry is a second later. */
  readonly startedAt?: number;
  /** Names in each group the seq before it, as logs of `disk` stores do. */
  readonly sync?: boolean;
}

/** Builds the lines of one session as the session layer does, chain included. It believes that all it built was written. */
export interface LogBuilder {
  readonly ref: Ref;
  readonly info: CreateRequest["info"];
  /** Of the last line built. */
  readonly position: Position;
  readonly lines: readonly Buffer[];
  /** The lines of one batch. */
  add(...drafts: readonly Draft[]): Buffer[];
  /** The lines of several batches that leave as one group. */
  group(batches: readonly (readonly Draft[])[]): Buffer[];
  /** A builder at the same place that goes its own way: for the loser of a race. */
  branch(): LogBuilder;
}

interface State {
  readonly ref: Ref;
  readonly info: CreateRequest["info"];
  readonly sync: boolean;
  readonly lines: Buffer[];
  readonly ids: Map<number, string>;
  seq: number;
  hash: string;
  headSeq: number;
  n: number;
  time: number;
}

/** A builder whose first line, the header, is built. */
export function createLog(options: LogOptions = {}): LogBuilder {
  const {
    id = randomBytes(16).toString("hex"),
    incarnation = randomBytes(12).toString("base64url"),
    agentName = "agent",
    startedAt = START,
    sync = false,
  } = options;
  const given = {
    ...(options.userId === undefined ? undefined : { userId: options.userId }),
    ...(options.tenantId === undefined ? undefined : { tenantId: options.tenantId }),
    ...(options.key === undefined ? undefined : { key: options.key }),
  };
  const { metadata } = options;
  const time = new Date(startedAt).toISOString();
  const info = { id, agentName, ...given, version: 0, messageCount: 0, createdAt: time, updatedAt: time, metadata: metadata ?? {} };
  const state: State = {
    ref: { id, incarnation },
    info,
    sync,
    lines: [],
    ids: new Map(),
    seq: -1,
    hash: incarnation,
    headSeq: -1,
    n: 0,
    time: startedAt,
  };
  const data = { id, incarnation, agentName, ...given, ...(metadata === undefined ? undefined : { metadata }) };
  build(state, [[{ type: "session", data, timestamp: time }]]);
  return builderOf(state);
}

/** A builder that goes on from a head whose last line is the head of the path. */
export function continueLog(head: Head, sync = false): LogBuilder {
  if (head.headSeq !== head.seq)
    throw new Error(`log builder: session ${head.id} ends with a side entry; build from its first line instead`);
  const { id, incarnation, seq, hash, headSeq, info } = head;
  return builderOf({
    ref: { id, incarnation },
    info,
    sync,
    lines: [],
    ids: new Map(),
    seq,
    hash,
    headSeq,
    n: info.messageCount,
    time: Date.parse(info.updatedAt) + 1000,
  });
}

/** Whether logs of this store name what was durable before each group. */
export function namesSync(backend: SessionBackend): boolean {
  return backend.capabilities.durability === "disk";
}

/** A message of the user. */
export function message(text: string, more: Draft = {}): Draft {
  return { type: "message", data: { role: "user", parts: [{ type: "text", text }] }, ...more };
}

/** The start or the end of a turn, written under the lease with this fence. */
export function turn(phase: "start" | "end", fence: number, startSeq: number): Draft {
  const data =
    phase === "start" ? { phase, inputDigest: "digest", attempt: 1 } : { phase, inputDigest: "digest", attempt: 1, status: "completed" };
  return { type: "turn", data, turn: startSeq, fence };
}

function builderOf(state: State): LogBuilder {
  return {
    ref: state.ref,
    info: state.info,
    get position() {
      return { seq: state.seq, hash: state.hash };
    },
    get lines() {
      return state.lines;
    },
    add: (...drafts) => build(state, [drafts]),
    group: (batches) => build(state, batches),
    branch: () => builderOf({ ...state, lines: [...state.lines], ids: new Map(state.ids) }),
  };
}

const SIDE = new Set(["checkpoint", "restore", "metadata"]);

function build(state: State, batches: readonly (readonly Draft[])[]): Buffer[] {
  const lines: Buffer[] = [];
  const before = state.seq;
  for (const drafts of batches) {
    for (const [index, draft] of drafts.entries()) {
      const { type = "message", rawData } = draft;
      const seq = state.seq + 1;
      const head = draft.head ?? (SIDE.has(type) ? state.headSeq : seq);
      const n = draft.n ?? (type === "message" ? state.n + 1 : state.n);
      const id = draft.id ?? randomBytes(12).toString("base64url");
      const parent =
        head === seq && state.headSeq !== state.seq ? { parentId: state.ids.get(state.headSeq), parentSeq: state.headSeq } : undefined;
      const envelope = {
        v: 1,
        seq,
        id,
        ...parent,
        timestamp: draft.timestamp ?? new Date(state.time).toISOString(),
        type,
        op: draft.op,
        batch: drafts.length === 1 ? undefined : [index, drafts.length],
        sync: state.sync && lines.length === 0 && before >= 0 ? before : undefined,
        head: head === seq ? undefined : head,
        n,
        turn: draft.turn,
        fence: draft.fence,
        ...draft.unknown,
      };
      const body = `${JSON.stringify(envelope).slice(0, -1)},"data":${rawData ?? JSON.stringify(draft.data ?? {})}`;
      const { line, hash } = sealLine(state.hash, body);
      Object.assign(state, { seq, hash, headSeq: head, n, time: state.time + 1000 });
      state.ids.set(seq, id);
      state.lines.push(line);
      lines.push(line);
    }
  }
  return lines;
}
