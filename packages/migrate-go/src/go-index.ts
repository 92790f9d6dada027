import { type GoIndexEntry, isLater, isObject, timeOf } from "./go-format.ts";
import { parseForeign } from "./go-json.ts";
import { Notes } from "./notes.ts";

export interface GoIndex {
  readonly entries: ReadonlyMap<string, GoIndexEntry>;
  /** Undefined: the index was whole. */
  readonly damage?: string;
}

/**
 * Reads `sessions.json`. The Go release rewrites it in place at each append, so it may be cut off, or hold the end of a longer one
 * behind a shorter one: then each session that stands in it whole is taken, of two the one that was updated later.
 */
export function readGoIndex(bytes: Buffer): GoIndex {
  const entries = new Map<string, GoIndexEntry>();
  let whole: unknown;
  try {
    whole = parseForeign(bytes, "the index", new Notes());
  } catch {
    whole = undefined;
  }
  if (isObject(whole)) {
    let odd = 0;
    for (const [id, value] of Object.entries(whole)) {
      const entry = indexEntryOf(id, value);
      if (entry === undefined) odd += 1;
      else entries.set(id, entry);
    }
    return odd === 0 ? { entries } : { entries, damage: `${odd} of its entries say nothing that can be read` };
  }
  for (const text of objectsIn(bytes.toString("utf8"))) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      continue;
    }
    const id = isObject(value) ? value["id"] : undefined;
    const entry = typeof id === "string" ? indexEntryOf(id, value) : undefined;
    if (entry === undefined) continue;
    const known = entries.get(entry.id);
    if (known === undefined || isNewer(entry, known)) entries.set(entry.id, entry);
  }
  return { entries, damage: `it is torn; ${entries.size} of its sessions could be read` };
}

function isNewer(entry: GoIndexEntry, known: GoIndexEntry): boolean {
  return entry.updatedAt !== undefined && (known.updatedAt === undefined || isLater(entry.updatedAt, known.updatedAt));
}

function indexEntryOf(id: string, value: unknown): GoIndexEntry | undefined {
  if (!isObject(value)) return undefined;
  const { agentName, userId, createdAt, updatedAt, messageCount, currentLeaf } = value;
  return {
    id,
    agentName: typeof agentName === "string" ? agentName : "",
    ...(typeof userId === "string" && userId !== "" ? { userId } : undefined),
    ...(timeOf(createdAt) === undefined ? undefined : { createdAt: createdAt as string }),
    ...(timeOf(updatedAt) === undefined ? undefined : { updatedAt: updatedAt as string }),
    ...(typeof messageCount === "number" ? { messageCount } : undefined),
    ...(typeof currentLeaf === "string" && currentLeaf !== "" ? { currentLeaf } : undefined),
  };
}

const ENTRY_BEGINS = /^ {2}"(?:[^"\\]|\\.){1,1024}": \{$/;
const ENTRY_ENDS = /^ {2}\},?$/;
/** Lines of one entry; a longer one is none. */
const MAX_ENTRY_LINES = 32;

/** The entries of an indented index that need not be whole. A line of it never begins or ends inside a text. */
function* objectsIn(text: string): Generator<string> {
  let lines: string[] | undefined;
  for (const line of text.split("\n")) {
    if (ENTRY_BEGINS.test(line)) lines = ["{"];
    else if (lines !== undefined && ENTRY_ENDS.test(line)) {
      yield `${lines.join("\n")}}`;
      lines = undefined;
    } else if (lines !== undefined && lines.length < MAX_ENTRY_LINES) lines.push(line);
    else lines = undefined;
  }
}
