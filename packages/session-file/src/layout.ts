import { chmodSync, lstatSync, mkdirSync, statSync, type Stats } from "node:fs";
import { hash } from "node:crypto";
import { dirname, join, sep } from "node:path";
import { AixgoError } from "@aixgo/core";
import { assertSafeName, encodeSegment, safeJoin } from "@aixgo/security";
import { codeOf } from "./fs-errors.ts";

/** The store's own folder; no agent can have it, because encoded names do not begin with a dot. */
const OWN = ".aixgo";
const PARTS = ["locks", "index", "keys", "tombstones", "leases", "heads", "wrapped", "catalog", "drafts"] as const;
type Part = (typeof PARTS)[number];

/**
 * Where things lie. Names become file names through `encodeSegment`, which keeps two names apart on every file system.
 *
 *     <baseDir>/<agent>/<id>.jsonl        the log; <id>.damaged beside it: what recovery cut off
 *     <baseDir>/<agent>/<id>.blobs/…      its attachments, one file each, named by their digest
 *     <baseDir>/.aixgo/locks/<stripe>     lock files, never renamed or removed
 *     <baseDir>/.aixgo/index/<stripe>     `id agent` lines, rebuildable
 *     <baseDir>/.aixgo/keys/<digest>      key records
 *     <baseDir>/.aixgo/tombstones/<id>    of deleted sessions, for 30 days
 *     <baseDir>/.aixgo/leases/<id>        lease records
 *     <baseDir>/.aixgo/heads/<id>         sidecars, rebuildable
 *     <baseDir>/.aixgo/wrapped/<id>       wrapped data keys
 *     <baseDir>/.aixgo/catalog/…          snapshot and touch journal of `list`, rebuildable
 *     <baseDir>/.aixgo/drafts/…           files without a name yet
 */
export interface Layout {
  readonly baseDir: string;
  readonly shown: string;
  part(part: Part): string;
  own(part: Part, name: string): string;
  agentFolder(folder: string): string;
  log(folder: string, id: string): string;
  damaged(folder: string, id: string): string;
  blobs(folder: string, id: string): string;
  blob(folder: string, id: string, digest: string): string;
  /** How a log is named in messages: relative to the store. */
  shownLog(folder: string, id: string): string;
  shownBlobs(folder: string, id: string): string;
}

export function createLayout(baseDir: string, shown: string): Layout {
  const parts = Object.fromEntries(PARTS.map((part) => [part, join(baseDir, OWN, part)])) as Record<Part, string>;
  return {
    baseDir,
    shown,
    part: (part) => parts[part],
    own: (part, name) => within(parts[part], name),
    agentFolder: (folder) => within(baseDir, folder),
    log: (folder, id) => within(within(baseDir, folder), `${encodeSegment(id)}.jsonl`),
    damaged: (folder, id) => within(within(baseDir, folder), `${encodeSegment(id)}.damaged`),
    blobs: (folder, id) => within(within(baseDir, folder), `${encodeSegment(id)}.blobs`),
    blob: (folder, id, digest) => within(within(within(baseDir, folder), `${encodeSegment(id)}.blobs`), digest),
    shownBlobs: (folder, id) => `${folder}/${encodeSegment(id)}.blobs`,
    shownLog: (folder, id) => `${folder}/${encodeSegment(id)}.jsonl`,
  };
}

/** What `encodeSegment` and digests are made of: such a name cannot lead anywhere. */
const PLAIN = /^[a-z0-9_%](?:[a-z0-9_%~.-]*[a-z0-9_%~-])?$/;

/** `safeJoin` of one name. Paths are made many times a call, and nearly all names need no further look. */
function within(folder: string, name: string): string {
  return PLAIN.test(name) ? folder + sep + name : safeJoin(folder, name);
}

/** The folder of an agent. Any text is safe here, because it is encoded; which names are allowed is the session layer's business. */
export function folderOf(agentName: string): string {
  if (typeof agentName !== "string" || agentName === "") throw new AixgoError("INVALID_INPUT", "an agent name must be a text");
  return encodeSegment(agentName);
}

export function assertId(id: string): void {
  assertSafeName("session id", id);
}

/** File name of the record of a unique key. */
export function keyFileOf(tenantId: string | undefined, agentName: string, key: string): string {
  return hash("sha256", JSON.stringify([tenantId ?? null, agentName, key]), "hex");
}

/** Makes the store's folders. Returns those that were made, outermost first, so that they can be made durable. */
export function makeStore(layout: Layout): string[] {
  const made: string[] = [];
  makeBase(layout.baseDir, made);
  assertPrivate(statSync(layout.baseDir), "folder", layout.shown);
  makePrivateFolder(join(layout.baseDir, OWN), `${layout.shown}/${OWN}`, made);
  for (const part of PARTS) makePrivateFolder(layout.part(part), `${layout.shown}/${OWN}/${part}`, made);
  return made;
}

/** Makes a folder with mode 0700 whatever the umask, or checks the one that stands there. */
export function makePrivateFolder(path: string, shown: string, made: string[]): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined) return assertPrivate(stat, "folder", shown);
  try {
    mkdirSync(path, { mode: 0o700 });
    if (process.platform !== "win32") chmodSync(path, 0o700);
    made.push(path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    assertPrivate(lstatSync(path), "folder", shown);
  }
}

/** Refuses what others could read or change, and what is not a plain file or folder. */
export function assertPrivate(stat: Stats, kind: "folder" | "file", shown: string): void {
  if (kind === "folder" ? !stat.isDirectory() : !stat.isFile()) {
    const is = stat.isSymbolicLink() ? "a symbolic link" : stat.isDirectory() ? "a folder" : stat.isFile() ? "a file" : "no plain file";
    throw new AixgoError("PERMISSION_DENIED", `${shown} is ${is}, where a ${kind} of the session store is due. Move it away`);
  }
  if (process.platform !== "win32" && (stat.mode & 0o077) !== 0) {
    const mode = kind === "folder" ? "700" : "600";
    throw new AixgoError(
      "PERMISSION_DENIED",
      `${shown} is open to other users (mode ${(stat.mode & 0o777).toString(8)}). Run: chmod ${mode} "${shown}"`,
    );
  }
}

/** Parents that are missing are ours, too, and private. */
function makeBase(path: string, made: string[]): void {
  try {
    statSync(path);
    return;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
  const parent = dirname(path);
  if (parent !== path) makeBase(parent, made);
  try {
    mkdirSync(path, { mode: 0o700 });
    if (process.platform !== "win32") chmodSync(path, 0o700);
    made.push(path);
  } catch (error) {
    // Another process was faster.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}
