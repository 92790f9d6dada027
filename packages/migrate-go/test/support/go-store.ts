import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** Written by the Go release itself: see test/go. */
export const FIXTURE: string = fileURLToPath(new URL("../fixtures/v0.3.3", import.meta.url));

export interface GoMessage {
  readonly ID: string;
  readonly Type: string;
  readonly Payload: string;
  readonly Timestamp: string;
  readonly Metadata: Record<string, unknown> | null;
}

export interface GoMeta {
  readonly id: string;
  readonly agentName: string;
  readonly userId?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly messageCount: number;
  readonly currentLeaf?: string;
}

/** What the Go release said of its own store, when it was opened anew. */
export const SAID: {
  readonly names: Readonly<Record<string, string>>;
  readonly sessions: Readonly<Record<string, { readonly meta: GoMeta; readonly messages: readonly GoMessage[]; readonly error?: string }>>;
} = JSON.parse(readFileSync(`${FIXTURE}.json`, "utf8"));

/** The Go id of a session or checkpoint of the fixture. */
export function goId(name: string): string {
  const id = SAID.names[name];
  if (id === undefined) throw new Error(`the fixture has no ${name}`);
  return id;
}

/** Its id here. */
export function ourId(name: string): string {
  return goId(name).replaceAll("-", "");
}

/** A folder that is removed after the test. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-migrate-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A copy of the fixture, to be damaged. Git keeps no modes: the Go release makes folders 0700 and files 0600. */
export function fixtureCopy(): string {
  const folder = join(tempFolder(), "sessions");
  cpSync(FIXTURE, folder, { recursive: true });
  for (const path of [folder, ...paths(folder)]) chmodSync(path, statSync(path).isFile() ? 0o600 : 0o700);
  return folder;
}

/** Every file with its content: to see that nothing was changed. */
export function contentsOf(folder: string): Record<string, string> {
  const contents: Record<string, string> = {};
  for (const path of paths(folder))
    if (statSync(path).isFile()) contents[path.slice(folder.length + 1)] = createHash("sha256").update(readFileSync(path)).digest("hex");
  return contents;
}

function paths(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
}

let serial = 0;
/** A UUID that says what it is for. */
export function uuid(): string {
  serial += 1;
  return `00000000-0000-4000-8000-${serial.toString(16).padStart(12, "0")}`;
}

/** A time of the Go release, some seconds after a fixed one. */
export function goTime(seconds: number): string {
  return new Date(Date.UTC(2026, 0, 2, 3, 4, 5) + seconds * 1000).toISOString().replace("Z", "000001Z");
}

export interface GoLineSpec {
  readonly id?: string;
  readonly parentId?: string;
  readonly timestamp?: string;
  readonly type?: string;
  readonly data?: unknown;
  /** Short for a message of a user's. */
  readonly text?: string;
}

/** A line as encoding/json writes it. */
export function goLine(spec: GoLineSpec): string {
  const { id = uuid(), parentId, timestamp = goTime(1), type = "message", text = "hello" } = spec;
  const data = spec.data ?? {
    id: uuid(),
    metadata: {},
    payload: JSON.stringify({ content: text }),
    timestamp: "2026-01-02T03:04:05Z",
    type: "user",
  };
  return JSON.stringify({ id, ...(parentId === undefined ? undefined : { parentId }), timestamp, type, data });
}

/** Writes one session of a Go store by hand. */
export function writeGoSession(
  base: string,
  agent: string,
  { id = uuid(), meta, body }: { readonly id?: string; readonly meta?: Partial<GoMeta> | null; readonly body?: string | Buffer },
): string {
  const folder = join(base, agent);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (meta !== null) {
    const path = join(folder, "sessions.json");
    let index: Record<string, unknown> = {};
    try {
      index = JSON.parse(readFileSync(path, "utf8"));
    } catch {
      // The first.
    }
    index[id] = { id, agentName: agent, createdAt: goTime(0), updatedAt: goTime(100), messageCount: 1, ...meta };
    writeFileSync(path, JSON.stringify(index, undefined, 2), { mode: 0o600 });
  }
  if (body !== undefined) writeFileSync(join(folder, `${id}.jsonl`), body, { mode: 0o600 });
  return id;
}

export interface ReadAsGo {
  readonly meta: GoMeta;
  readonly messages?: readonly GoMessage[];
  readonly error?: string;
  /** By checkpoint: what a restore shows. */
  readonly checkpoints: Readonly<Record<string, { readonly messages: readonly GoMessage[]; readonly isChecksumOfFile: boolean }>>;
}

/**
 * Reads a store by the rules of the Go release: what is in the index, lines of 64 KiB at most, all messages in the order of the file.
 * A test holds it against what the Go release itself said of the fixture.
 */
export function readAsGo(base: string): Record<string, ReadAsGo> {
  const found: Record<string, ReadAsGo> = {};
  for (const agent of readdirSync(base, { withFileTypes: true })) {
    if (!agent.isDirectory()) continue;
    const folder = join(base, agent.name);
    let index: Record<string, GoMeta>;
    try {
      index = JSON.parse(readFileSync(join(folder, "sessions.json"), "utf8"));
    } catch {
      continue;
    }
    for (const [id, meta] of Object.entries(index)) {
      const lines = linesOf(join(folder, `${id}.jsonl`));
      if (lines === undefined) found[id] = { meta, error: "load entries: scan entries: bufio.Scanner: token too long", checkpoints: {} };
      else found[id] = { meta, messages: messagesIn(lines), checkpoints: checkpointsOf(folder, id, lines) };
    }
  }
  return found;
}

interface Line {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown> | null;
}

function linesOf(path: string): readonly Line[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return [];
  }
  const lines: Line[] = [];
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    if (end - start > 65_535) return undefined;
    const line = JSON.parse(bytes.toString("utf8", start, end)) as Line;
    for (const name of ["id", "type", "timestamp"])
      if (typeof (line as unknown as Record<string, unknown>)[name] !== "string") throw new Error(`${name} is no text`);
    lines.push(line);
    start = end + 1;
  }
  return lines;
}

function messagesIn(lines: readonly Line[]): GoMessage[] {
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return lines
    .filter(({ type, data }) => type === "message" && data !== null)
    .map(({ data }) => ({
      ID: text(data?.["id"]),
      Type: text(data?.["type"]),
      Payload: text(data?.["payload"]),
      Timestamp: text(data?.["timestamp"]),
      Metadata: (data?.["metadata"] as Record<string, unknown> | undefined) ?? {},
    }));
}

function checkpointsOf(folder: string, sessionId: string, lines: readonly Line[]): ReadAsGo["checkpoints"] {
  const found: Record<string, ReadAsGo["checkpoints"][string]> = {};
  let names: string[] = [];
  try {
    names = readdirSync(join(folder, "checkpoints"));
  } catch {
    return found;
  }
  for (const name of names) {
    const checkpoint = JSON.parse(readFileSync(join(folder, "checkpoints", name), "utf8")) as Record<string, string>;
    if (checkpoint["sessionId"] !== sessionId) continue;
    const at = lines.findIndex(({ id }) => id === checkpoint["entryId"]);
    if (at < 0 && checkpoint["entryId"] !== "") throw new Error("checkpoint entry not found");
    const kept = lines.slice(0, at + 1);
    const checksum = createHash("sha256");
    for (const { id } of kept) checksum.update(id);
    found[name.replace(/\.json$/, "")] = {
      messages: messagesIn(kept),
      isChecksumOfFile: checksum.digest("hex") === checkpoint["checksum"],
    };
  }
  return found;
}
