import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { readChain } from "../chain.ts";
import { createRandom, type Random } from "../random.ts";
import { openStore } from "../store.ts";

/** Damages one log in many ways, and reads it each time. Says what went wrong, then how often it tried. */
interface DamageTask {
  readonly kind: "truncate" | "flip" | "smear";
  /** How often; `truncate`: of the offsets, one in so many. */
  readonly count: number;
  readonly seed: number;
}

export interface DamageReport {
  readonly tried: number;
  readonly failures: readonly string[];
  readonly bytes: number;
}

interface Sample {
  readonly id: string;
  readonly incarnation: string;
  readonly path: string;
  readonly bytes: Buffer;
  /** Where each line begins, and the end. */
  readonly starts: readonly number[];
  /** Where each batch ends. */
  readonly commits: readonly number[];
}

const MAX_FAILURES = 20;
const AGENT = "damaged";

/** Written with syncs, as by a store on a disk. */
async function makeSample(store: string, rounds: number): Promise<Sample> {
  const sessions = createSessionManager({ backend: await openStore({ kind: "file", store }) });
  const session = await sessions.create(AGENT);
  for (let i = 0; i < rounds; i++) {
    await session.append(`alone ${i} ${"é".repeat(i % 40)}`);
    await session.append([`batch ${i}`, `of ${i}`, `three ${i}`]);
    await Promise.all([session.append(`group ${i}`), session.append([`a ${i}`, `b ${i}`]), session.append(`end ${i}`)]);
    const checkpoint = await session.checkpoint();
    await session.turn(`question ${i}`, async () => `answer ${i}`);
    if (i % 2 === 1) await session.restore(checkpoint.id);
  }
  await session.append(["the last", "group"]);
  const { id } = session;
  await sessions.close();
  const path = join(store, AGENT, `${id}.jsonl`);
  const bytes = readFileSync(path);
  const lines = readChain(bytes, undefined);
  const starts = [0];
  const commits: number[] = [];
  for (const { batch } of lines) {
    const end = bytes.indexOf(0x0a, starts.at(-1)) + 1;
    starts.push(end);
    if (batch[0] + 1 === batch[1]) commits.push(end);
  }
  const incarnation = String(lines[0]?.data["incarnation"]);
  return { id, incarnation, path, bytes, starts, commits };
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : "no error";
}

/** Another file in the log's place: nothing of it is known. */
function put({ path }: Sample, bytes: Uint8Array): void {
  rmSync(path.replace(".jsonl", ".damaged"), { force: true });
  writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What a reader gets, before an error and with it. */
async function readLines(backend: SessionBackend, sample: Sample, reverse = false): Promise<{ bytes: Buffer; error: unknown }> {
  const pages: Uint8Array[] = [];
  try {
    for await (const page of backend.read(sample, { reverse })) pages.push(page);
  } catch (error) {
    return { bytes: Buffer.concat(pages), error };
  }
  return { bytes: Buffer.concat(pages), error: undefined };
}

async function truncated(backend: SessionBackend, sample: Sample, cut: number): Promise<string | undefined> {
  put(sample, sample.bytes.subarray(0, cut));
  const kept = sample.commits.filter((commit) => commit <= cut).at(-1) ?? 0;
  const { bytes, error } = await readLines(backend, sample);
  if (kept === 0) {
    const code = cut === 0 ? "SESSION_NOT_FOUND" : "ENTRY_CORRUPT";
    return isAixgoError(error, code) ? undefined : `${code} is due, there is ${said(error)}`;
  }
  if (error !== undefined) return said(error);
  if (!bytes.equals(sample.bytes.subarray(0, kept))) return `${bytes.length} bytes are read, ${kept} are whole`;
  if (readFileSync(sample.path).length !== cut) return "reading has changed the file";
  // A session handle of its own: what a manager remembers of a log is that of the file before.
  const sessions = createSessionManager({ backend });
  await (await sessions.get(sample.id)).append("goes on");
  const after = readFileSync(sample.path);
  if (!after.subarray(0, kept).equals(bytes)) return "the append has changed what stood before it";
  const [line, more] = readChain(after.subarray(kept), readChain(bytes, undefined).at(-1));
  if (line === undefined || more !== undefined) return "the append is not the one line that follows";
  return undefined;
}

/** Undefined: the damage was reported as it must be. Else what is wrong. */
async function damaged(backend: SessionBackend, sample: Sample, { bytes, from }: Spoiled, reverse: boolean): Promise<string | undefined> {
  put(sample, bytes);
  const { bytes: read, error } = await readLines(backend, sample, reverse);
  if (!isPart(read, sample, reverse)) return "a wrong entry was returned";
  if (error === undefined) {
    if (read.length === sample.bytes.length) return "the damage was not noticed";
    return `only ${read.length} bytes were returned, and no damage reported`;
  }
  if (!isAixgoError(error, "ENTRY_CORRUPT")) return `ENTRY_CORRUPT is due, there is ${said(error)}`;
  const { file, offset } = (error.details ?? {}) as { file?: unknown; offset?: unknown };
  if (file !== `${AGENT}/${sample.id}.jsonl`) return `the damage is said to be in ${String(file)}`;
  // Where the damaged line begins, or its batch.
  const line = sample.starts.filter((start) => start <= from).at(-1) as number;
  const batch = [0, ...sample.commits].filter((commit) => commit <= from).at(-1) as number;
  if (typeof offset !== "number" || offset > line || offset < batch)
    return `the damage at byte ${from} is said to be at ${String(offset)}, its line begins at ${line}`;
  return undefined;
}

/** Whether these are lines of the sample: from its start, or in reverse from its end. */
function isPart(read: Buffer, sample: Sample, reverse: boolean): boolean {
  if (!reverse) return read.equals(sample.bytes.subarray(0, read.length)) && (sample.starts.includes(read.length) || read.length === 0);
  const lines = read.toString("latin1").split("\n").slice(0, -1).toReversed();
  const text = lines.map((line) => `${line}\n`).join("");
  return lines.length === 0 || sample.commits.some((end) => sample.bytes.toString("latin1", end - text.length, end) === text);
}

/** A log with changed bytes, the first at `from`. */
interface Spoiled {
  readonly bytes: Buffer;
  readonly from: number;
}

function spoil(kind: "flip" | "smear", sample: Sample, random: Random): Spoiled {
  const bytes = Buffer.from(sample.bytes);
  const length = kind === "flip" ? 1 : 1 + random.below(8);
  const from = random.below(bytes.length - length + 1);
  if (kind === "flip") bytes[from] = (bytes[from] as number) ^ (1 << random.below(8));
  else for (let i = 0; i < length; i++) bytes[from + i] = random.below(256);
  const first = Array.from({ length }, (_, i) => from + i).find((at) => bytes[at] !== sample.bytes[at]);
  // Random bytes may be those that were there.
  return first === undefined ? spoil(kind, sample, random) : { bytes, from: first };
}

const { kind, count, seed } = JSON.parse(process.argv[2] as string) as DamageTask;
const store = mkdtempSync(join(tmpdir(), "aixgo-damage-"));
const failures: string[] = [];
let tried = 0;
let bytes = 0;
try {
  const random = createRandom(seed);
  const sample = await makeSample(store, kind === "truncate" ? 2 : 12);
  bytes = sample.bytes.length;
  const name = { kind: "file", store, options: { durability: "os" } } as const;
  let backend = await openStore(name);
  const offsets = kind === "truncate" ? Array.from({ length: bytes + 1 }, (_, i) => i).filter((i) => (i + seed) % count === 0) : [];
  for (; tried < (kind === "truncate" ? offsets.length : count) && failures.length < MAX_FAILURES; tried++) {
    if (tried % 1000 === 999) {
      await backend.close();
      backend = await openStore(name);
    }
    if (kind === "truncate") {
      const problem = await truncated(backend, sample, offsets[tried] as number).catch(String);
      if (problem !== undefined) failures.push(`cut at byte ${offsets[tried]}: ${problem}`);
      continue;
    }
    const spoiled = spoil(kind, sample, random);
    const problem = await damaged(backend, sample, spoiled, random.next() < 0.25).catch(String);
    if (problem !== undefined) failures.push(`${kind} ${tried} from byte ${spoiled.from} on: ${problem}`);
  }
  await backend.close();
} finally {
  rmSync(store, { recursive: true, force: true });
}
const report: DamageReport = { tried, failures, bytes };
process.stdout.write(`${JSON.stringify(report)}\n`);
