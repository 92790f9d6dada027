import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { derivedId, entryIdOf, type GoCheckpoint, isLater, KEPT, timeOf } from "./go-format.ts";
import { type GoLine, readGoLines } from "./go-lines.ts";
import { holdsMessage } from "./go-message.ts";
import type { GoSession } from "./go-store.ts";
import { type Notes, shown } from "./notes.ts";

/** What becomes one line of the new log. Places are numbers of nodes; -1 is the header. */
export type Step =
  | ({ readonly kind: "message" | "state"; readonly node: number } & Node)
  | ({ readonly kind: "metadata" } & Noted)
  | { readonly kind: "checkpoint"; readonly id: string; readonly label?: string; readonly timestamp: string }
  | { readonly kind: "restore"; readonly to: number; readonly timestamp: string; readonly reason: string };

export interface Plan {
  readonly steps: readonly Step[];
  /** The nodes that a restore goes back to. */
  readonly targets: ReadonlySet<number>;
  readonly createdAt: string;
  /** Entries of the Go session that are taken over. */
  readonly entries: number;
  /** Ends of branches that the history does not go through. */
  readonly branches: number;
  /** Messages from the root to the head. */
  readonly messages: number;
}

/** An entry that the path may go through. The content stays in the file. */
interface Node {
  readonly kind: "message" | "state";
  /** Of the new entry. */
  readonly id: string;
  readonly line: GoLine;
  readonly parent: number;
  readonly timestamp: string;
}

/** New metadata of the session, beside the path. */
interface Noted {
  readonly id: string;
  readonly line: GoLine;
  readonly timestamp: string;
}

const ROOT = -1;
const MAX_LABEL_BYTES = 900;
const EPOCH = new Date(0).toISOString();

/**
 * Reads a Go session once and decides what it becomes: the tree that `parentId` tells of, grown in the order of the file, with a
 * restore wherever the next entry does not grow from the last one, and each checkpoint behind its entry.
 */
export async function planSession(
  session: GoSession,
  handle: FileHandle | undefined,
  size: number,
  bornAt: string,
  notes: Notes,
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const reading = new Reading(timeOf(session.meta?.createdAt), new Set(session.checkpoints.map(({ entryId }) => entryId)), notes);
  if (handle !== undefined) for await (const line of readGoLines(handle, size, notes, signal)) reading.take(line);
  const createdAt = reading.createdAt ?? bornAt;
  const checkpoints = reading.place(session.checkpoints, createdAt);
  const head = reading.headOf(session);
  const planned = stepsOf(reading, checkpoints, head, timeOf(session.meta?.updatedAt) ?? reading.lastTime ?? createdAt);
  return { ...planned, createdAt, entries: reading.nodes.length + reading.metadata.size, ...reading.shape(head.node) };
}

type Placed = { readonly id: string; readonly label?: string; readonly timestamp: string };

function stepsOf(
  { nodes, metadata }: Reading,
  checkpoints: ReadonlyMap<number, readonly Placed[]>,
  head: { readonly node: number; readonly reason: string },
  endTime: string,
): Pick<Plan, "steps" | "targets"> {
  const steps: Step[] = [];
  const targets = new Set<number>();
  let at = ROOT;
  const move = (to: number, timestamp: string, reason: string): void => {
    if (to === at) return;
    steps.push({ kind: "restore", to, timestamp, reason });
    targets.add(to);
    at = to;
  };
  const mark = (node: number): void => {
    for (const placed of checkpoints.get(node) ?? []) steps.push({ kind: "checkpoint", ...placed });
    for (const noted of metadata.get(node) ?? []) steps.push({ kind: "metadata", ...noted });
  };
  mark(ROOT);
  nodes.forEach((each, node) => {
    move(each.parent, each.timestamp, "a branch of the Go session begins here");
    steps.push({ ...each, node });
    at = node;
    mark(node);
  });
  move(head.node, endTime, head.reason);
  return { steps, targets };
}

/** What is remembered of every entry. */
interface Seen {
  /** What it is, or stands for. */
  readonly node: number;
  readonly length: number;
  readonly timestamp: string | undefined;
  readonly parentId: string;
}

class Reading {
  readonly nodes: Node[] = [];
  /** By the node that was written before. */
  readonly metadata = new Map<number, Noted[]>();
  createdAt: string | undefined;
  lastTime: string | undefined;
  readonly #notes: Notes;
  readonly #seen = new Map<string, Seen>();
  readonly #kept: { readonly id: string; readonly label?: string; readonly node: number; readonly timestamp: string }[] = [];
  /** Over the ids of all entries so far, as a reopened Go session hashes them. */
  readonly #ids: Hash = createHash("sha256");
  /** What it was behind the entries that checkpoints name. */
  readonly #digests = new Map<string, string>();
  readonly #named: ReadonlySet<string>;
  #last = ROOT;
  #lastGoTime: string | undefined;

  constructor(createdAt: string | undefined, named: ReadonlySet<string>, notes: Notes) {
    this.createdAt = createdAt;
    this.#named = named;
    this.#notes = notes;
  }

  take(line: GoLine): void {
    const { entry, number, length } = line;
    const known = this.#seen.get(entry.id);
    let id = entryIdOf(entry.id);
    if (known !== undefined) {
      const isCopy = known.length === length && known.timestamp === entry.timestamp && known.parentId === entry.parentId;
      if (isCopy) return this.#notes.add(`line ${number} is a copy of an entry before it: left out`);
      this.#notes.add(`line ${number} has the id of another entry before it: it gets an id of its own`);
      id = derivedId(`${entry.id} ${number}`);
    }
    const timestamp = this.#timeOf(line);
    this.#ids.update(entry.id);
    if (this.#named.has(entry.id) && known === undefined) this.#digests.set(entry.id, this.#ids.copy().digest("hex"));
    // The content stays in the file until it is written.
    const node = this.#place({ ...line, entry: { ...entry, data: {} } }, entry.data, id, this.#parentOf(line), timestamp);
    this.#seen.set(entry.id, { node, length, timestamp: entry.timestamp, parentId: entry.parentId });
    this.#last = node;
  }

  #timeOf({ entry, number }: GoLine): string {
    const time = timeOf(entry.timestamp);
    if (time === undefined) this.#notes.add(`line ${number} has no time: that of the entry before it is taken`);
    else this.#lastGoTime = entry.timestamp;
    const timestamp = time ?? this.lastTime ?? this.createdAt ?? EPOCH;
    this.createdAt ??= time;
    this.lastTime = timestamp;
    return timestamp;
  }

  #parentOf({ entry, number }: GoLine): number {
    const parent = this.#nodeOf(entry.parentId);
    if (parent !== undefined) return parent;
    this.#notes.add(`line ${number} names a parent that is not before it: it follows the entry before it`);
    return this.#last;
  }

  #nodeOf(goId: string): number | undefined {
    return goId === "" ? ROOT : this.#seen.get(goId)?.node;
  }

  /** The node that the entry is, or stands for. */
  #place(line: GoLine, data: GoLine["entry"]["data"], id: string, parent: number, timestamp: string): number {
    const { entry, number } = line;
    switch (entry.type) {
      case "message":
        if (holdsMessage(data)) return this.#grow({ kind: "message", id, line, parent, timestamp });
        this.#notes.add(
          Object.keys(data).length === 0
            ? `line ${number} holds no message (a nil message was appended): left out`
            : `line ${number} is of type "message", but its data has no id, type or payload: left out`,
        );
        return parent;
      case KEPT.message:
        return this.#grow({ kind: "message", id, line, parent, timestamp });
      case KEPT.state:
        return this.#grow({ kind: "state", id, line, parent, timestamp });
      case "metadata":
        this.#keepMetadata({ id, line, timestamp });
        return parent;
      case "checkpoint":
      case KEPT.checkpoint:
        this.#kept.push({ id, node: parent, timestamp, ...(typeof data["label"] === "string" ? { label: data["label"] } : undefined) });
        return parent;
      case KEPT.head:
        return parent;
      default:
        this.#notes.add(`line ${number} is of type ${shown(entry.type)}, which is not known: left out`);
        return parent;
    }
  }

  #grow(node: Node): number {
    this.nodes.push(node);
    return this.nodes.length - 1;
  }

  #keepMetadata(noted: Noted): void {
    const before = this.nodes.length - 1;
    const list = this.metadata.get(before);
    if (list === undefined) this.metadata.set(before, [noted]);
    else list.push(noted);
  }

  /** Where each checkpoint belongs. */
  place(files: readonly GoCheckpoint[], createdAt: string): ReadonlyMap<number, readonly Placed[]> {
    const placed = new Map<number, Placed[]>();
    const put = (node: number, checkpoint: Placed): void => {
      const list = placed.get(node);
      if (list === undefined) placed.set(node, [checkpoint]);
      else list.push(checkpoint);
    };
    for (const { node, ...checkpoint } of this.#kept) put(node, checkpoint);
    for (const { id, entryId, timestamp, checksum, metadata } of files) {
      const node = this.#nodeOf(entryId);
      if (node === undefined) {
        this.#notes.add(`checkpoint ${shown(id)} names the entry ${shown(entryId)}, which is not there: left out`);
        continue;
      }
      if (!this.#agrees(entryId, checksum))
        this.#notes.add(`checkpoint ${shown(id)}: its checksum is not that of the entries up to it (some were lost, or changed)`);
      const label = labelOf(metadata);
      put(node, {
        id: entryIdOf(id),
        timestamp: timeOf(timestamp) ?? (node === ROOT ? createdAt : (this.nodes[node] as Node).timestamp),
        ...(label === undefined ? undefined : { label }),
      });
    }
    return placed;
  }

  /** Over the path, as the process that went on had it in memory, or over the file, as a process that opened it anew had it. */
  #agrees(entryId: string, checksum: string): boolean {
    if (entryId === "" && checksum === createHash("sha256").digest("hex")) return true;
    if (checksum === this.#digests.get(entryId)) return true;
    const path: string[] = [];
    for (let node = this.#nodeOf(entryId) ?? ROOT; node !== ROOT; node = (this.nodes[node] as Node).parent)
      path.push((this.nodes[node] as Node).line.entry.id);
    const hash = createHash("sha256");
    for (const id of path.reverse()) hash.update(id);
    return checksum === hash.digest("hex");
  }

  /** Where the session stands: where the index says, unless the index is older than the last entry. */
  headOf({ meta }: GoSession): { readonly node: number; readonly reason: string } {
    const last = { node: this.#last, reason: "the Go session ends here" };
    if (meta === undefined || this.#seen.size === 0) return last;
    const isOld = this.#lastGoTime !== undefined && (meta.updatedAt === undefined || isLater(this.#lastGoTime, meta.updatedAt));
    if (isOld) {
      this.#notes.add("the index is older than the last entry (an append was cut off behind it): the last entry is the head");
      return last;
    }
    // A restore to nothing that was closed: no leaf, no messages.
    if (meta.currentLeaf === undefined)
      return meta.messageCount === 0 ? { node: ROOT, reason: "the Go session was restored to here" } : last;
    const leaf = this.#nodeOf(meta.currentLeaf);
    if (leaf !== undefined) return { node: leaf, reason: "the Go session was restored to here" };
    this.#notes.add(`the index names the entry ${shown(meta.currentLeaf)} as the last one, which is not there: the last entry is the head`);
    return last;
  }

  shape(head: number): { readonly branches: number; readonly messages: number } {
    const onPath = new Set<number>();
    for (let node = head; node !== ROOT; node = (this.nodes[node] as Node).parent) onPath.add(node);
    const isParent = new Set(this.nodes.map(({ parent }) => parent));
    let messages = 0;
    for (const node of onPath) if (this.nodes[node]?.kind === "message") messages += 1;
    return { branches: this.nodes.filter((_, node) => !isParent.has(node) && !onPath.has(node)).length, messages };
  }
}

/** The Go release gives checkpoints no names; what a program put into their metadata serves as one. */
function labelOf(metadata: GoCheckpoint["metadata"]): string | undefined {
  if (metadata === undefined || Object.keys(metadata).length === 0) return undefined;
  const { label } = metadata;
  const text = typeof label === "string" ? label : JSON.stringify(metadata);
  return Buffer.byteLength(text) <= MAX_LABEL_BYTES ? text : `${Buffer.from(text).subarray(0, MAX_LABEL_BYTES).toString("utf8")}…`;
}
