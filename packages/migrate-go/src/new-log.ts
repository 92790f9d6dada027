import type { FileHandle } from "node:fs/promises";
import { AixgoError, type Json, type Role } from "@aixgo/core";
import { assertJson, newEntryId } from "@aixgo/security";
import { type Draft, emptyTip, type HeaderData, placeLine, type Tip } from "@aixgo/session/backend";
import { GoLineReader } from "./go-lines.ts";
import { fromGoMessage, type RoleOf } from "./go-message.ts";
import type { Notes } from "./notes.ts";
import type { Plan, Step } from "./plan.ts";

export interface LogSource {
  readonly plan: Plan;
  /** Undefined: the session has no entries. */
  readonly handle: FileHandle | undefined;
  /** Of what is read of it. */
  readonly size: number;
  readonly roleOf: RoleOf | undefined;
  readonly maxLineBytes: number;
  readonly notes: Notes;
  readonly signal: AbortSignal | undefined;
}

/** What lies in the header's metadata of every imported session. */
export const ORIGIN = "importedFrom";

const ROOT = -1;
/** What the session layer takes. */
const MAX_DEPTH = 200;
const MAX_METADATA_BYTES = 64 * 1024;

/**
 * The lines of the new log: the header, then one for each step of the plan. Contents are read from the source as they are due,
 * so a long session is not held in memory. Throws what makes the session impossible to import; nothing is created then.
 */
export async function* newLog(source: LogSource, header: HeaderData): AsyncGenerator<Uint8Array> {
  const { plan } = source;
  const first = placeLine(
    emptyTip(header.incarnation),
    { id: newEntryId(), type: "session", data: JSON.stringify(header) },
    0,
    1,
    plan.createdAt,
  );
  yield first.line;
  const reader = source.handle === undefined ? undefined : new GoLineReader(source.handle, source.size, source.signal);
  try {
    yield* steps(source, reader, first.tip, header);
  } finally {
    await reader?.close();
  }
}

async function* steps(source: LogSource, reader: GoLineReader | undefined, first: Tip, header: HeaderData): AsyncGenerator<Uint8Array> {
  const { plan } = source;
  const places = new Map<number, Tip>([[ROOT, first]]);
  const roles = new Map<number, Role>();
  let tip = first;
  let metadata = header.metadata ?? {};
  for (const step of plan.steps) {
    const content = "line" in step ? ((await reader?.at(step.line))?.data ?? {}) : {};
    if (step.kind === "metadata") metadata = { ...content, [ORIGIN]: header.metadata?.[ORIGIN] as Json };
    const draft = draftOf(source, step, content, places, roles, metadata);
    const placed = placeLine(tip, draft, 0, 1, step.timestamp);
    if (placed.line.length > source.maxLineBytes) {
      throw new AixgoError(
        "LIMIT_EXCEEDED",
        `${placeOf(step)} becomes an entry of ${placed.line.length} bytes, and the store takes ${source.maxLineBytes}: give it a larger maxLineBytes`,
      );
    }
    tip = placed.tip;
    if ((step.kind === "message" || step.kind === "state") && plan.targets.has(step.node)) places.set(step.node, tip);
    yield placed.line;
  }
}

function draftOf(
  source: LogSource,
  step: Step,
  content: { readonly [key: string]: Json },
  places: ReadonlyMap<number, Tip>,
  roles: Map<number, Role>,
  metadata: HeaderData["metadata"],
): Draft {
  switch (step.kind) {
    case "message": {
      const { node, parent, id } = step;
      const { role, json } = fromGoMessage(content, roles.get(parent), source.roleOf, placeOf(step), source.notes);
      roles.set(node, role);
      return { id, type: "message", data: json };
    }
    case "state": {
      const role = roles.get(step.parent);
      if (role !== undefined) roles.set(step.node, role);
      const value = content["value"] ?? null;
      assertJson(value, { maxBytes: source.maxLineBytes, maxDepth: MAX_DEPTH }, placeOf(step));
      return { id: step.id, type: "state", data: JSON.stringify(value) };
    }
    case "metadata":
      assertJson(metadata, { maxBytes: MAX_METADATA_BYTES, maxDepth: MAX_DEPTH }, placeOf(step));
      return { id: step.id, type: "metadata", data: JSON.stringify(metadata), side: {} };
    case "checkpoint": {
      const label = step.label === undefined ? "" : `,"label":${JSON.stringify(step.label)}`;
      return { id: step.id, type: "checkpoint", data: (tip) => `{"seq":${tip.headSeq},"hash":"${tip.headHash}"${label}}`, side: {} };
    }
    case "restore": {
      const to = places.get(step.to) as Tip;
      const data = JSON.stringify({ target: to.headId, seq: to.headSeq, hash: to.headHash, reason: step.reason });
      return { id: newEntryId(), type: "restore", data, side: { to } };
    }
  }
}

function placeOf(step: Step): string {
  return "line" in step ? `line ${step.line.number}` : `a ${step.kind}`;
}
