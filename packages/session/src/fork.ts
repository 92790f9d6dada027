import type { Head } from "./contract.ts";
import type { Entry } from "./entry.ts";
import { type Draft, placeLine, type Tip } from "./line.ts";
import type { SessionLog } from "./log.ts";

/** Members that `placeLine` writes itself. */
const KNOWN: ReadonlySet<string> = new Set([
  "v",
  "seq",
  "id",
  "parentId",
  "parentSeq",
  "timestamp",
  "type",
  "op",
  "batch",
  "sync",
  "head",
  "n",
  "turn",
  "fence",
  "opt",
  "enc",
  "data",
  "hash",
]);

/**
 * The lines of a fork behind its header: the messages and states of the path to `at`, with the same ids and times, no turns.
 * The path is remembered by seq and its entries are read as a stream, so a long session is not held in memory.
 */
export async function* forkLines(log: SessionLog, head: Head, at: number, header: Tip): AsyncGenerator<Uint8Array> {
  const wanted = new Set<number>();
  await log.walk(head, at, () => (entry) => {
    if (entry.type === "message" || entry.type === "state") wanted.add(entry.seq);
  });
  let tip = header;
  for await (const entry of log.scan(0, at)) {
    if (!wanted.has(entry.seq)) continue;
    const placed = placeLine(tip, copyOf(entry), 0, 1, entry.timestamp);
    tip = placed.tip;
    yield placed.line;
  }
}

function copyOf(entry: Entry): Draft {
  let unknown = "";
  for (const [name, value] of Object.entries(entry)) if (!KNOWN.has(name)) unknown += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  return { id: entry.id, type: entry.type as Draft["type"], data: JSON.stringify(entry.data), timestamp: entry.timestamp, unknown };
}
