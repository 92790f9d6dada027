import { closeSync, constants, fstatSync, readdirSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { isAixgoError } from "@aixgo/core";
import { dataOf, envelopeOf, fold } from "@aixgo/session/backend";
import type { Envelope, Head, SessionInfo } from "@aixgo/session/backend";
import type { Listed } from "./catalog-order.ts";
import { openPrivate } from "./durable.ts";
import { codeOf } from "./fs-errors.ts";
import type { Layout } from "./layout.ts";
import { PAGE_BYTES, readNow, SYNC_BYTES, type Reading } from "./reading.ts";
import { JOINT_BYTES } from "./scan.ts";
import { agentFolders } from "./session-index.ts";
import { readSidecar } from "./sidecar.ts";
import type { Tombstones } from "./tombstones.ts";

const NEWLINE = 0x0a;
const METADATA = Buffer.from(',"type":"metadata"');
const BREATH_MS = 8;
const FIRST_BYTES = 16 * 1024;

export interface Summary {
  readonly found: Map<string, Listed>;
  /** Sessions whose logs are there and could not be read, and their folders. */
  readonly unread: ReadonlyMap<string, string>;
}

/** What `list` shows of every session of the store, read from the logs themselves: header, last batch, latest metadata. Lets other work run meanwhile. */
export async function summarizeStore(layout: Layout, tombstones: Tombstones): Promise<Summary> {
  const unread = new Map<string, string>();
  const found = new Map<string, Listed>();
  const deleted = new Set(readdirSync(layout.part("tombstones")));
  let breathed = performance.now();
  for (const folder of agentFolders(layout)) {
    const path = layout.agentFolder(folder);
    for (const file of readdirSync(path)) {
      if (!file.endsWith(".jsonl")) continue;
      const name = file.slice(0, -".jsonl".length);
      const listed = summarizeFile(layout, `${path}/${file}`);
      // An id that is no plain name cannot be told from its file's; such ids are rare, and found again at the next boot.
      if (listed === "unread") unread.set(name, folder);
      else if (listed !== undefined && !(deleted.has(name) && tombstones.read(listed.info.id) !== undefined))
        found.set(listed.info.id, listed);
      if (performance.now() - breathed < BREATH_MS) continue;
      await turn();
      breathed = performance.now();
    }
  }
  return { found, unread };
}

/** The same of one session; undefined if it has no log. */
export function summarizeLog(layout: Layout, folder: string, id: string): Listed | "unread" | undefined {
  return summarizeFile(layout, layout.log(folder, id));
}

/**
 * A log that is damaged, or is none, is not listed; opening it by its id says why. One that the system did not let us read, which
 * the next time it may, is not forgotten: "unread". Throws if nothing can be read because no descriptor is free.
 */
function summarizeFile(layout: Layout, path: string): Listed | "unread" | undefined {
  let fd: number | undefined;
  try {
    fd = openPrivate(path, constants.O_RDONLY);
    return readNow(fd, summarize(layout, fstatSync(fd).size));
  } catch (error) {
    const code = isAixgoError(error) ? undefined : codeOf(error);
    if (code === "EMFILE" || code === "ENFILE") throw error;
    return code === undefined || code === "ENOENT" ? undefined : "unread";
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function* summarize(layout: Layout, size: number): Reading<Listed | undefined> {
  if (size > FIRST_BYTES) return yield* summarizeParts(layout, size);
  // Most logs are read by one call.
  const bytes = yield { offset: 0, length: size };
  const parts = summarizeParts(layout, bytes.length);
  let step = parts.next();
  while (step.done !== true) step = parts.next(bytes.subarray(step.value.offset, step.value.offset + step.value.length));
  return step.value;
}

function* summarizeParts(layout: Layout, size: number): Reading<Listed | undefined> {
  const header = yield* headerOf(size);
  if (header === undefined) return undefined;
  const remembered = size > PAGE_BYTES ? yield* readSidecar(layout, header.id, size) : undefined;
  const base = remembered?.head ?? header;
  const last = yield* lastCommitted(base.bytes, size);
  if (last === undefined) return { info: base.info, incarnation: base.incarnation };
  const { envelope } = last;
  const metadata = yield* latestMetadata(base.bytes, last.end);
  const info: SessionInfo = {
    ...base.info,
    version: envelope.seq,
    messageCount: envelope.n,
    updatedAt: envelope.timestamp > base.info.updatedAt ? envelope.timestamp : base.info.updatedAt,
    ...(metadata === undefined ? undefined : { metadata }),
  };
  return { info, incarnation: base.incarnation };
}

function* headerOf(size: number): Reading<Head | undefined> {
  for (let length = Math.min(size, FIRST_BYTES); ; length = Math.min(size, length * 4)) {
    const bytes = yield { offset: 0, length };
    const end = bytes.indexOf(NEWLINE);
    if (end >= 0) return fold(undefined, bytes.subarray(0, end));
    if (length === size) return undefined;
  }
}

/** The last line that ends a batch, between `from` and `size`. */
function* lastCommitted(from: number, size: number): Reading<{ envelope: Envelope; end: number } | undefined> {
  for (let length = Math.min(FIRST_BYTES, size - from); length > 0; length = Math.min(length * 4, size - from)) {
    const start = size - length;
    const bytes = yield { offset: start, length };
    let end = bytes.lastIndexOf(NEWLINE);
    while (end > 0) {
      const newline = bytes.lastIndexOf(NEWLINE, end - 1);
      if (newline < 0 && start > from) break;
      const envelope = envelopeOf(bytes.subarray(newline + 1, end));
      const [index, of] = envelope.batch ?? [0, 1];
      if (index + 1 === of) return { envelope, end: start + end + 1 };
      end = newline;
    }
    if (start === from) return undefined;
  }
  return undefined;
}

/** Searched from the end, in pieces that overlap by more than an envelope's length. */
function* latestMetadata(from: number, to: number): Reading<SessionInfo["metadata"] | undefined> {
  for (let end = to; end > from;) {
    const start = Math.max(from, end - SYNC_BYTES);
    const bytes = yield { offset: start, length: end - start };
    for (let at = bytes.lastIndexOf(METADATA); at > 0; at = bytes.lastIndexOf(METADATA, at - 1)) {
      const line = yield* lineAround(start + at, from, to);
      if (envelopeOf(line).type === "metadata") return dataOf(line) as SessionInfo["metadata"];
    }
    end = start === from ? from : start + METADATA.length;
    if (end - from < METADATA.length + JOINT_BYTES) return undefined;
  }
  return undefined;
}

function* lineAround(at: number, from: number, to: number): Reading<Buffer> {
  for (let reach = 4 * 1024; ; reach *= 4) {
    const start = Math.max(from, at - reach);
    const stop = Math.min(to, at + reach);
    const bytes = yield { offset: start, length: stop - start };
    const before = bytes.lastIndexOf(NEWLINE, at - start);
    const end = bytes.indexOf(NEWLINE, at - start);
    if (end >= 0 && (before >= 0 || start === from)) return bytes.subarray(before + 1, end);
    if (start === from && stop === to) return bytes.subarray(before + 1, end < 0 ? bytes.length : end);
  }
}
