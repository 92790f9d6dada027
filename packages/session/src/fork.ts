import { digestsIn } from "./attachment-address.ts";
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

/** What a fork begins with behind its header. */
export interface ForkLines {
  behind(header: Tip): AsyncIterable<Uint8Array>;
  /** Of the attachments that the lines drawn so far name. */
  readonly digests: ReadonlySet<string>;
}

/**
 * The lines of a fork behind its header: the messages and states of the path to `at`, with the same ids and times, no turns.
 * The path is remembered by seq and its entries are read as a stream, so a long session is not held in memory.
 */
export function forkLines(log: SessionLog, head: Head, at: number): ForkLines {
  const digests = new Set<string>();
  return {
    digests,
    async *behind(header) {
      const wanted = new Set<number>();
      await log.walk(head, at, () => (entry) => {
        if (entry.type === "message" || entry.type === "state") wanted.add(entry.seq);
      });
      let tip = header;
      for await (const entry of log.scan(0, at)) {
        if (!wanted.has(entry.seq)) continue;
        const placed = placeLine(tip, copyOf(entry), 0, 1, entry.timestamp);
        tip = placed.tip;
        for (const digest of digestsIn(placed.line)) digests.add(digest);
        yield placed.line;
      }
    },
  };
}

function copyOf(entry: Entry): Draft {
  let unknown = "";
  for (const [name, value] of Object.entries(entry)) if (!KNOWN.has(name)) unknown += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  return { id: entry.id, type: entry.type as Draft["type"], data: JSON.stringify(entry.data), timestamp: entry.timestamp, unknown };
}
