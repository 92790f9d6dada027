import { readdirSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { freezeJson } from "@aixgo/security";
import { type Head, listQuery, type Page, type Ref, type SessionInfo, type SessionQuery } from "@aixgo/session/backend";
import { CatalogOrder, type Listed } from "./catalog-order.ts";
import { Draft, removeFile } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { readSmallFile } from "./record.ts";
import { shortDigest } from "./scan.ts";
import type { Stripes } from "./stripes.ts";
import { summarizeLog, summarizeStore } from "./summary.ts";
import type { Tombstones } from "./tombstones.ts";
import { TouchJournal } from "./touch-journal.ts";

/** A journal is compacted when it is larger than this, and than the snapshot. */
const COMPACT_BYTES = 16 * 1024 * 1024;
/** At close, less is left for the next start to read. */
const REPLAY_BYTES = 256 * 1024;
const SNAPSHOT = "snapshot-";
const SNAPSHOT_CHUNK = 500;

/** Lines of the journal: a session as a whole, what an append changes, a deletion, and that one of the others is about to follow. */
type Touch =
  | readonly ["s", incarnation: string, info: SessionInfo]
  | readonly ["t", incarnation: string, id: string, version: number, messageCount: number, updatedAt: string]
  | readonly ["d", incarnation: string, id: string]
  | readonly ["?", id: string, folder: string];

/**
 * What `list` reads: a cache of the logs, in memory once `list` was called, kept up to date through the touch journal. It can be
 * rebuilt from the logs at any time and is never trusted for anything else, so its failures fail no append.
 */
export interface Catalog {
  /** Before the store's first session is made. */
  open(): Promise<void>;
  /** Before a session is made, replaced or deleted: until that is told as well, whoever reads looks at the session itself. So a process may be killed between the two. */
  doubt(id: string, folder: string): void;
  /** A session is new, or was replaced. */
  put(head: Head): void;
  /** Lines were appended to a session whose head was `before`. */
  touch(head: Head, before: Head | undefined): void;
  remove(ref: Ref): void;
  list(query: SessionQuery): Promise<Page<SessionInfo>>;
  /** Leaves a snapshot if the next start would have much to read. */
  close(): Promise<void>;
}

export function createCatalog(layout: Layout, stripes: Stripes, tombstones: Tombstones, indexedMetadata: readonly string[]): Catalog {
  const journal = new TouchJournal(layout, stripes);
  let order: CatalogOrder | undefined;
  /** Sessions, and their folders, of which something was begun and its end not told. */
  const doubts = new Map<string, string>();
  let loading: Promise<CatalogOrder> | undefined;
  let compacting: Promise<void> | undefined;
  let snapshotBytes = 0;
  let journalBytes = 0;

  function note(touch: string): void {
    try {
      journalBytes = journal.append(touch);
      if (journalBytes > COMPACT_BYTES && journalBytes > 2 * snapshotBytes)
        compacting ??= compact().finally(() => (compacting = undefined));
    } catch {
      invalidate();
    }
  }

  /** A line that is missing would hide the change for ever; without the journal everybody reads the logs instead. */
  function invalidate(): void {
    try {
      journal.invalidate();
    } catch {
      // Then the folder cannot be written at all, and the next append will say so.
    }
  }

  /** The catalog as it is now. */
  async function current(): Promise<CatalogOrder> {
    if (order !== undefined) {
      const lines = journal.read();
      if (lines !== "lost") {
        follow(order, lines);
        return order;
      }
      order = undefined;
    }
    return (loading ??= load().finally(() => (loading = undefined)));
  }

  async function load(): Promise<CatalogOrder> {
    journal.restart();
    const { base, generation } = journal.opening;
    const trusted = base !== "unknown" && !journal.isOfOtherBoot;
    const snapshot = !trusted ? undefined : base === "empty" ? [] : readSnapshot(generation);
    const loaded = new CatalogOrder();
    if (snapshot === undefined) {
      journal.skipToEnd();
      const { found, unread } = await summarizeStore(layout, tombstones);
      loaded.change(found);
      for (const [id, folder] of unread) note(lineOf(["?", id, folder]));
    } else {
      loaded.change(new Map(snapshot.map((listed) => [listed.info.id, listed])));
    }
    doubts.clear();
    const lines = journal.read();
    if (lines === "lost") return load();
    follow(loaded, lines);
    order = loaded;
    if (snapshot === undefined) await compact();
    return loaded;
  }

  function follow(whole: CatalogOrder, lines: readonly string[]): void {
    apply(whole, lines, doubts);
    if (doubts.size === 0) return;
    const seen = new Map<string, Listed | undefined>();
    for (const [id, folder] of doubts) {
      const listed = tombstones.read(id) === undefined ? summarizeLog(layout, folder, id) : undefined;
      if (listed === "unread") continue;
      const known = whole.get(id);
      if (known?.incarnation !== listed?.incarnation || (known?.info.version ?? -1) < (listed?.info.version ?? -1)) seen.set(id, listed);
    }
    whole.change(seen);
  }

  /** Writes the catalog whole and begins a new journal behind it. */
  async function compact(): Promise<void> {
    const isRead = order !== undefined;
    try {
      const whole = order ?? (await current());
      const lines = journal.read();
      if (lines === "lost") return;
      follow(whole, lines);
      const generation = await journal.rotate((rest) => follow(whole, rest));
      if (generation === undefined) return;
      // What was begun has been looked at, and whoever still is at it will tell the new journal. What could not be looked at stays in doubt.
      for (const [id, folder] of doubts) if (summarizeLog(layout, folder, id) === "unread") note(lineOf(["?", id, folder]));
      doubts.clear();
      await writeSnapshot(generation, whole);
    } catch {
      // Without a snapshot of its generation a journal is not trusted, and the logs are read.
    } finally {
      // A process that does not list keeps no list.
      if (!isRead) {
        order = undefined;
        journal.leave();
      }
    }
  }

  async function writeSnapshot(generation: string, whole: CatalogOrder): Promise<void> {
    const draft = new Draft(layout.part("drafts"));
    try {
      // In the order that is wanted first, so that sorting it again costs nothing.
      const all = [...whole.from("updated", undefined)];
      let at = 0;
      let digest = "";
      for (let i = 0; i < all.length; i += SNAPSHOT_CHUNK) {
        const text = all
          .slice(i, i + SNAPSHOT_CHUNK)
          .map((one) => JSON.stringify([one.incarnation, one.info]))
          .join("\n");
        digest = shortDigest(digest + text);
        const bytes = Buffer.from(`${text}\n`);
        draft.write(bytes, at);
        at += bytes.length;
        await turn();
      }
      const end = Buffer.from(`${JSON.stringify({ sessions: all.length, digest })}\n`);
      draft.write(end, at);
      draft.publish(layout.own("catalog", SNAPSHOT + generation));
      snapshotBytes = at;
      journalBytes = 0;
    } finally {
      draft.discard();
    }
    for (const name of readdirSync(layout.part("catalog"))) {
      if (name.startsWith(SNAPSHOT) && name !== SNAPSHOT + journal.opening.generation && name !== SNAPSHOT + generation)
        removeFile(layout.own("catalog", name));
    }
  }

  function readSnapshot(generation: string): Listed[] | undefined {
    const lines = readSmallFile(layout.own("catalog", SNAPSHOT + generation))
      ?.toString("utf8")
      .split("\n");
    if (lines === undefined || lines.length < 2) return undefined;
    try {
      const end = JSON.parse(lines.at(-2) as string) as { sessions: number; digest: string };
      const sessions = lines.slice(0, -2);
      if (end.sessions !== sessions.length) return undefined;
      let digest = "";
      for (let i = 0; i < sessions.length; i += SNAPSHOT_CHUNK)
        digest = shortDigest(digest + sessions.slice(i, i + SNAPSHOT_CHUNK).join("\n"));
      if (digest !== end.digest) return undefined;
      return (JSON.parse(`[${sessions.join(",")}]`) as Array<[string, SessionInfo]>).map(([incarnation, info]) => ({ incarnation, info }));
    } catch {
      return undefined;
    }
  }

  return {
    open: () => journal.ensure(),
    doubt: (id, folder) => note(lineOf(["?", id, folder])),
    put: ({ incarnation, info }) => note(lineOf(["s", incarnation, info])),
    touch({ id, incarnation, info }, before) {
      if (before !== undefined && before.info.metadata !== info.metadata) note(lineOf(["s", incarnation, info]));
      else note(lineOf(["t", incarnation, id, info.version, info.messageCount, info.updatedAt]));
    },
    remove: ({ id, incarnation }) => note(lineOf(["d", incarnation, id])),
    async list(query) {
      const checked = listQuery(query, { indexedMetadata }, "text");
      const whole = await current();
      const items: SessionInfo[] = [];
      const after = checked.after === undefined ? undefined : { id: checked.after.id, updatedAt: checked.after.rank };
      for (const { info } of whole.from(checked.order, after)) {
        if (!checked.matches(info)) continue;
        if (items.length === checked.limit) {
          const { id, updatedAt } = items.at(-1) as SessionInfo;
          return { items, nextCursor: checked.cursor({ id, rank: updatedAt }) };
        }
        items.push(freezeJson(info as never) as SessionInfo);
      }
      return { items };
    },
    async close() {
      await compacting;
      if (order !== undefined && journalBytes > REPLAY_BYTES) await compact();
      order = undefined;
      journal.close();
    },
  };
}

function lineOf(touch: Touch): string {
  return `${JSON.stringify(touch)}\n`;
}

/** Lines may come twice, and those of two processes in either order: a version never goes back within an incarnation. */
function apply(order: CatalogOrder, lines: readonly string[], doubts: Map<string, string>): void {
  const changes = new Map<string, Listed | undefined>();
  const now = (id: string): Listed | undefined => (changes.has(id) ? changes.get(id) : order.get(id));
  for (const line of lines) {
    const touch = parse(line);
    if (touch === undefined) continue;
    if (touch[0] === "?") doubts.set(touch[1], touch[2]);
    else if (touch[0] === "s") {
      const [, incarnation, info] = touch;
      doubts.delete(info.id);
      const known = now(info.id);
      if (known?.incarnation !== incarnation || known.info.version <= info.version) changes.set(info.id, { incarnation, info });
    } else if (touch[0] === "t") {
      const [, incarnation, id, version, messageCount, updatedAt] = touch;
      const known = now(id);
      if (known?.incarnation === incarnation && known.info.version < version)
        changes.set(id, { incarnation, info: { ...known.info, version, messageCount, updatedAt } });
    } else {
      const [, incarnation, id] = touch;
      doubts.delete(id);
      if (now(id)?.incarnation === incarnation) changes.set(id, undefined);
    }
  }
  order.change(changes);
}

/** A process that was killed while it wrote may have left part of a line, with the next one behind it. */
function parse(line: string): Touch | undefined {
  try {
    return JSON.parse(line) as Touch;
  } catch {
    const next = line.indexOf('["', 1);
    return next < 0 ? undefined : parse(line.slice(next));
  }
}
