import { closeSync, constants, lstatSync, readdirSync, type Stats } from "node:fs";
import { encodeSegment } from "@aixgo/security";
import { openPrivate, replaceNow, writeAll } from "./durable.ts";
import { isMissing } from "./fs-errors.ts";
import type { Layout } from "./layout.ts";
import { ownIdentity } from "./process-identity.ts";
import { readRecord, readSmallFile, encodeRecord } from "./record.ts";
import { STRIPE_COUNT, type Stripes } from "./stripes.ts";

/** Where a session lies. `settled`: its name in the agent's folder is known to be durable. */
export interface Place {
  readonly folder: string;
  readonly settled: boolean;
}

export interface BegunNote {
  /** The name is durable. */
  settle(): void;
  /** Idempotent. */
  end(): void;
}

/**
 * Finds a session without its agent: one append-only file per stripe with lines `<id> <agent folder>[ ?]`.
 *
 * A line is written before the log gets its name, marked `?`, and again without the mark once that name is durable. So
 * within one boot the index holds every session of the store; after a boot it is completed from the folders once.
 */
export interface SessionIndex {
  /** Also of a session that the index has lost: then all folders are looked through. */
  find(id: string): Place | undefined;
  /** Of a session that has, or is about to get, a log. At the same cost in a store of any size. */
  listed(id: string): Place | undefined;
  /** The same, without looking whether the log is there. */
  noted(id: string): Place | undefined;
  note(id: string, folder: string, settled: boolean): void;
  /** Notes a place that is not settled, with the file kept open so that the second line costs little. Must be ended. */
  begin(id: string, folder: string): BegunNote;
  /** Its name is about to stand for another file: not settled any more. Under the session's lock. */
  doubt(id: string, folder: string): void;
  /** Under the session's lock. */
  forget(id: string): void;
  /** Adds what the folders hold and the index does not, once a boot. */
  complete(): Promise<void>;
}

const BOOT = "boot";
/** What is remembered of the index files, in bytes. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;
/** What `encodeSegment` makes. */
const FOLDER = /^[a-z0-9_%][a-z0-9_%~.-]*$/;

export function createSessionIndex(layout: Layout, stripes: Stripes): SessionIndex {
  const pathOf = (id: string): string => layout.own("index", stripes.of(id));

  const kept = new Map<string, { readonly stat: Stats; readonly text: string }>();
  let keptBytes = 0;

  /** Read anew when another process, or this one, has written to it. */
  function textOf(stripe: string): string {
    const path = layout.own("index", stripe);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return "";
    const known = kept.get(stripe);
    if (known !== undefined && isSame(known.stat, stat)) return known.text;
    const text = readSmallFile(path)?.toString("latin1") ?? "";
    keptBytes += text.length - (known?.text.length ?? 0);
    if (keptBytes > MAX_KEPT_BYTES) {
      kept.clear();
      keptBytes = text.length;
    }
    // What is longer than it was when it was looked at does not pass for what was looked at.
    kept.set(stripe, { stat, text });
    return text;
  }

  function noted(id: string): Place | undefined {
    return placeIn(textOf(stripes.of(id)), encodeSegment(id));
  }

  function listed(id: string): Place | undefined {
    const place = noted(id);
    return place !== undefined && isThere(layout.log(place.folder, id)) ? place : undefined;
  }

  function find(id: string): Place | undefined {
    const place = listed(id);
    if (place !== undefined) return place;
    for (const folder of agentFolders(layout)) {
      if (isThere(layout.log(folder, id))) return { folder, settled: false };
    }
    return undefined;
  }

  /** Puts something else in the place of all lines of a session. */
  function replace(id: string, own: readonly string[]): void {
    const path = pathOf(id);
    const name = `${encodeSegment(id)} `;
    const others = (readSmallFile(path)?.toString("latin1") ?? "").split("\n").filter((one) => one !== "" && !one.startsWith(name));
    const text = [...others.map((one) => `${one}\n`), ...own].join("");
    replaceNow(layout.part("drafts"), path, Buffer.from(text, "latin1"));
  }

  return {
    find,
    listed,
    noted,
    note: (id, folder, settled) => write(pathOf(id), [line(encodeSegment(id), folder, settled)]),
    doubt: (id, folder) => replace(id, [line(encodeSegment(id), folder, false)]),
    forget: (id) => replace(id, []),
    begin(id, folder) {
      const name = encodeSegment(id);
      let fd: number | undefined = openForAppend(pathOf(id));
      const end = (): void => {
        if (fd !== undefined) closeSync(fd);
        fd = undefined;
      };
      try {
        writeLines(fd, [line(name, folder, false)]);
      } catch (error) {
        end();
        throw error;
      }
      return {
        settle() {
          if (fd !== undefined) writeLines(fd, [line(name, folder, true)]);
        },
        end,
      };
    },
    async complete() {
      const { boot } = ownIdentity();
      const path = layout.own("index", BOOT);
      const last = readRecord(path) as { boot?: unknown } | undefined;
      if (last !== undefined && boot !== "" && last.boot === boot) return;
      const missing = new Map<string, Array<readonly [name: string, folder: string]>>();
      for (const folder of agentFolders(layout)) {
        for (const file of readdirSync(layout.agentFolder(folder))) {
          if (!file.endsWith(".jsonl")) continue;
          const name = file.slice(0, -".jsonl".length);
          // Encoded names of ids that were kept as they are; others are found by probing.
          const stripe = stripes.of(name);
          if (encodeSegment(name) !== name) continue;
          const list = missing.get(stripe);
          if (list === undefined) missing.set(stripe, [[name, folder]]);
          else list.push([name, folder]);
        }
      }
      for (let i = 0; i < STRIPE_COUNT; i++) {
        const stripe = i.toString(16).padStart(2, "0");
        const found = missing.get(stripe);
        if (found === undefined) continue;
        await stripes.hold(stripe, "completing the session index", () => {
          const file = layout.own("index", stripe);
          const text = readSmallFile(file)?.toString("latin1") ?? "";
          const known = new Set(text.split("\n").map((one) => one.slice(0, one.indexOf(" "))));
          const lines = found.filter(([name]) => !known.has(name)).map(([name, folder]) => line(name, folder, false));
          if (lines.length > 0) write(file, lines);
        });
      }
      replaceNow(layout.part("drafts"), path, encodeRecord({ boot }));
    },
  };
}

/** Folders that may be an agent's. */
export function agentFolders(layout: Layout): string[] {
  return readdirSync(layout.baseDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name);
}

function line(name: string, folder: string, settled: boolean): string {
  return `${name} ${folder}${settled ? "" : " ?"}\n`;
}

/** The latest line counts, a settled one above others. */
function placeIn(text: string, name: string): Place | undefined {
  const wanted = `${name} `;
  let place: Place | undefined;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    if (at > 0 && text[at - 1] !== "\n") continue;
    const end = text.indexOf("\n", at);
    if (end < 0) break;
    const [folder, mark] = text.slice(at + wanted.length, end).split(" ");
    // A name that a damaged index made up must not lead out of the store.
    if (folder === undefined || !FOLDER.test(folder)) continue;
    const settled = mark === undefined;
    if (place === undefined || place.folder !== folder || settled) place = { folder, settled };
  }
  return place;
}

function write(path: string, lines: readonly string[]): void {
  const fd = openForAppend(path);
  try {
    writeLines(fd, lines);
  } finally {
    closeSync(fd);
  }
}

function openForAppend(path: string): number {
  return openPrivate(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
}

/** A line end comes first: a line that a crash cut off is ended by it, and an empty line means nothing. */
function writeLines(fd: number, lines: readonly string[]): void {
  writeAll(fd, Buffer.from(`\n${lines.join("")}`, "latin1"), null);
}

/** Files of the index only grow, or are replaced. */
function isSame(a: Stats, b: Stats): boolean {
  return a.size === b.size && a.ino === b.ino && a.ctimeMs === b.ctimeMs;
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
