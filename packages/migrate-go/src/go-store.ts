import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { AixgoError } from "@aixgo/core";
import { type GoCheckpoint, GO_CHECKPOINTS, GO_INDEX, type GoIndexEntry, isGoPathComponent, isLater, isObject } from "./go-format.ts";
import { readGoIndex } from "./go-index.ts";
import { parseForeign } from "./go-json.ts";
import { Notes, shown } from "./notes.ts";

/** The folder of one agent. */
export interface GoAgent {
  readonly name: string;
  /** Latest update first, as the Go release lists them; those that the index lacks come last. */
  readonly sessions: readonly GoSession[];
  /** Whether the index has changed since it was read. */
  hasChanged(): Promise<boolean>;
}

export interface GoSession {
  readonly id: string;
  /** Undefined: the index lacks it, or is damaged. */
  readonly meta: GoIndexEntry | undefined;
  /** Oldest first. */
  readonly checkpoints: readonly GoCheckpoint[];
  /** The entries' file, opened for reading. Undefined: there is none, the session has no entries. The caller closes it. */
  open(): Promise<FileHandle | undefined>;
  stat(): Promise<Stats | undefined>;
}

const JSONL = ".jsonl";
const HEX_32 = /^[0-9a-f]{32}$/;
/** A checkpoint of the Go release is a few hundred bytes, an index a few hundred for each session. */
const MAX_CHECKPOINT_BYTES = 16 * 1024 * 1024;
const MAX_INDEX_BYTES = 1024 * 1024 * 1024;

/** Names of the agents that have a store here. Throws `INVALID_INPUT` if there is none. */
export async function listGoAgents(from: string): Promise<readonly string[]> {
  const names = await namesIn(from);
  if (names === undefined)
    throw new AixgoError("INVALID_INPUT", `there is no folder ${shown(from)}: give the folder that the Go release keeps its sessions in`);
  const agents: string[] = [];
  for (const { name, isFolder } of names) {
    if (!isFolder || name.startsWith(".")) continue;
    const inside = await namesIn(join(from, name));
    if (inside?.some((file) => file.name === GO_INDEX || isSessionFile(file.name)) === true) agents.push(name);
  }
  if (agents.length > 0) return agents;
  if (names.some(({ name }) => name === GO_INDEX))
    throw new AixgoError("INVALID_INPUT", `${shown(from)} is the folder of one agent: give the folder above it, and name the agent`);
  throw new AixgoError("INVALID_INPUT", `${shown(from)} holds no sessions of the Go release: no folder in it has a ${GO_INDEX}`);
}

/** Reads index and checkpoints of an agent; sessions are read one by one. */
export async function openGoAgent(from: string, folder: string, notes: Notes): Promise<GoAgent> {
  const path = join(from, folder);
  const indexPath = join(path, GO_INDEX);
  const before = await statOf(indexPath);
  const index = before === undefined ? undefined : await readIndex(indexPath, folder, notes);
  if (index === undefined) notes.add(`agent ${shown(folder)} has no ${GO_INDEX}: the users of its sessions are not known`);
  else if (index.damage !== undefined) notes.add(`${GO_INDEX} of agent ${shown(folder)}: ${index.damage}`);
  const entries = index?.entries ?? new Map<string, GoIndexEntry>();
  const ids = new Set(entries.keys());
  for (const { name } of (await namesIn(path)) ?? []) if (isSessionFile(name)) ids.add(name.slice(0, -JSONL.length));
  const checkpoints = await readCheckpoints(join(path, GO_CHECKPOINTS), folder, ids, notes);
  const sessions = [...ids].map((id) => sessionOf(path, id, entries.get(id), checkpoints.get(id) ?? []));
  const first = sessions.find(({ meta }) => meta !== undefined)?.meta?.agentName;
  return {
    // On a file system that ignores case the folder may be written otherwise than the agent's name.
    name: first !== undefined && first.toLowerCase() === folder.toLowerCase() ? first : folder,
    sessions: sessions.sort(latestFirst),
    async hasChanged() {
      return !isSame(before, await statOf(indexPath));
    },
  };
}

/** Whether a file is as it was. */
export function isSame(a: Stats | undefined, b: Stats | undefined): boolean {
  return a?.size === b?.size && a?.mtimeMs === b?.mtimeMs && a?.ino === b?.ino;
}

function sessionOf(path: string, id: string, meta: GoIndexEntry | undefined, checkpoints: readonly GoCheckpoint[]): GoSession {
  // Checked before any path is made of it: an index may say anything.
  const file = (): string => {
    if (!isGoPathComponent(id)) throw new AixgoError("INVALID_INPUT", `its id ${shown(id)} cannot be the name of a file`);
    return join(path, id + JSONL);
  };
  return {
    id,
    meta,
    checkpoints,
    async open() {
      try {
        return await openFile(file());
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    stat: async () => statOf(file()),
  };
}

function latestFirst(a: GoSession, b: GoSession): number {
  const [timeA, timeB] = [a.meta?.updatedAt, b.meta?.updatedAt];
  if (timeA === undefined || timeB === undefined) return timeA === timeB ? (a.id < b.id ? -1 : 1) : timeA === undefined ? 1 : -1;
  if (isLater(timeA, timeB)) return -1;
  return isLater(timeB, timeA) ? 1 : a.id < b.id ? -1 : 1;
}

/** Our own logs may lie in the same folder: their names are 32 digits without dashes. */
function isSessionFile(name: string): boolean {
  return name.endsWith(JSONL) && !name.startsWith(".") && !HEX_32.test(name.slice(0, -JSONL.length));
}

async function readIndex(path: string, folder: string, notes: Notes): Promise<ReturnType<typeof readGoIndex> | undefined> {
  const bytes = await readWhole(path, MAX_INDEX_BYTES).catch((error: unknown) => {
    notes.add(`${GO_INDEX} of agent ${shown(folder)} cannot be read: ${reasonOf(error)}`);
    return undefined;
  });
  return bytes === undefined ? undefined : readGoIndex(bytes);
}

/** By session. Those of sessions that are gone are counted in a note: deleting a session leaves them behind. */
async function readCheckpoints(
  path: string,
  folder: string,
  ids: ReadonlySet<string>,
  notes: Notes,
): Promise<ReadonlyMap<string, readonly GoCheckpoint[]>> {
  const bySession = new Map<string, GoCheckpoint[]>();
  let orphans = 0;
  for (const { name } of (await namesIn(path)) ?? []) {
    if (!name.endsWith(".json")) continue;
    const checkpoint = await readCheckpoint(join(path, name), name.slice(0, -".json".length)).catch((error: unknown) => reasonOf(error));
    if (typeof checkpoint === "string") notes.add(`checkpoint ${shown(name)} of agent ${shown(folder)} left out: ${checkpoint}`);
    else if (!ids.has(checkpoint.sessionId)) orphans += 1;
    else {
      const list = bySession.get(checkpoint.sessionId);
      if (list === undefined) bySession.set(checkpoint.sessionId, [checkpoint]);
      else list.push(checkpoint);
    }
  }
  if (orphans > 0) notes.add(`agent ${shown(folder)} has ${orphans} checkpoints of sessions that were deleted: left out`);
  for (const list of bySession.values())
    list.sort((a, b) => (a.timestamp ?? "").localeCompare(b.timestamp ?? "") || (a.id < b.id ? -1 : 1));
  return bySession;
}

/** The file's name is the id that the Go release finds it by. */
async function readCheckpoint(path: string, id: string): Promise<GoCheckpoint> {
  const value = parseForeign(await readWhole(path, MAX_CHECKPOINT_BYTES), "it", new Notes());
  if (!isObject(value) || typeof value["sessionId"] !== "string") throw new Error("it names no session");
  const { sessionId, timestamp, entryId, checksum, metadata } = value;
  return {
    id,
    sessionId,
    timestamp: typeof timestamp === "string" ? timestamp : undefined,
    entryId: typeof entryId === "string" ? entryId : "",
    checksum: typeof checksum === "string" ? checksum : "",
    ...(isObject(metadata) ? { metadata } : undefined),
  };
}

async function readWhole(path: string, maxBytes: number): Promise<Buffer> {
  const handle = await openFile(path);
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Only for reading, only plain files, and never through a link. */
async function openFile(path: string): Promise<FileHandle> {
  const stat = await lstat(path);
  if (!stat.isFile()) throw new AixgoError("INVALID_INPUT", "it is no plain file");
  return open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
}

async function statOf(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
}

async function namesIn(path: string): Promise<readonly { readonly name: string; readonly isFolder: boolean }[] | undefined> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() })).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new AixgoError("PERMISSION_DENIED", `the folder ${shown(path)} cannot be read (${String(code)})`, { cause: error });
  }
}

/** Why a file could not be read, without its path. */
export function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof SyntaxError || error instanceof RangeError) return "it is no JSON";
  return typeof code === "string" && code.startsWith("E") && !(error instanceof AixgoError) ? code : (error as Error).message;
}
