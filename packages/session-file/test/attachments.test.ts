import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileBackend, type FileBackendOptions } from "../src/index.ts";
import { TYPESCRIPT } from "./support/fixtures.ts";
import { temporaryStore } from "./support/writer.ts";

let baseDir: string;
beforeEach(() => {
  baseDir = temporaryStore();
});
afterEach(() => rmSync(baseDir, { recursive: true, force: true }));

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
const open = (options: FileBackendOptions = {}): SessionManager =>
  createSessionManager({ backend: createFileBackend({ baseDir, ...options }) });
const folderOf = ({ id }: Session): string => join(baseDir, "x", `${id}.blobs`);
const pathOf = (session: Session, url: string): string => join(folderOf(session), url.slice("attachment:".length));
const drafts = (): string[] => readdirSync(join(baseDir, ".aixgo", "drafts"));
async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

/** A child that has said something, about to be killed. */
async function child(session: Session, task: "attach" | "upload"): Promise<{ said: string; kill(): Promise<void> }> {
  const worker = spawn(process.execPath, [...TYPESCRIPT, join(import.meta.dirname, "support/feed-worker.ts"), baseDir, session.id, task], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(worker, "exit");
  let said = "";
  worker.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  while (!said.includes("\n") && worker.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
  return {
    said: said.trim(),
    async kill() {
      worker.kill("SIGKILL");
      await exit;
    },
  };
}

describe.each([{ durability: "disk" }, { durability: "os" }] as const)("attachments on $durability", (options) => {
  it("are private files beside the log, kept once, and gone with the session", async () => {
    await using sessions = open(options);
    for (const mode of ["remove", "erase"] as const) {
      const session = await sessions.create("x");
      const bytes = randomBytes(400_000);
      const { url } = await session.attach(bytes, { mediaType: "image/png" });
      await session.append({
        role: "user",
        parts: [{ type: "file", mediaType: "image/png", url: `data:image/png;base64,${bytes.toString("base64")}` }],
      });
      expect((await session.messages())[0]?.parts).toEqual([{ type: "file", mediaType: "image/png", url }]);
      expect(readdirSync(folderOf(session))).toEqual([url.slice("attachment:".length)]);
      expect(readFileSync(pathOf(session, url)).equals(bytes)).toBe(true);
      expect(statSync(folderOf(session)).mode & 0o777).toBe(0o700);
      expect(statSync(pathOf(session, url)).mode & 0o777).toBe(0o600);
      expect(statSync(join(baseDir, "x", `${session.id}.jsonl`)).size).toBeLessThan(2000);
      expect(await sessions.delete(session.id, { mode })).toBe(true);
      expect(existsSync(folderOf(session))).toBe(false);
      expect(drafts()).toEqual([]);
    }
  });
});

describe("a process that is killed", () => {
  it("between put and append leaves an attachment that no entry names: it can be named, or is collected when it is old", async () => {
    await using sessions = open();
    const session = await sessions.create("x");
    const { said: url, kill } = await child(session, "attach");
    await kill();
    expect((await bytesOf(session.attachment(url))).length).toBe(1024 * 1024);
    expect(await session.collectAttachments()).toEqual({ removed: 0 });
    const yesterday = new Date(Date.now() - 25 * 3_600_000);
    utimesSync(pathOf(session, url), yesterday, yesterday);
    // Naming it begins its age anew, so that nobody collects it before its entry is there.
    const part = { type: "file", mediaType: "a/b", url } as const;
    await session.append({ role: "user", parts: [part] });
    expect(await session.collectAttachments()).toEqual({ removed: 0 });
    utimesSync(pathOf(session, url), yesterday, yesterday);
    expect(await session.collectAttachments()).toEqual({ removed: 0 });

    const other = await sessions.create("x");
    const { url: unnamed } = await other.attach(Buffer.from("unnamed"), { mediaType: "a/b" });
    utimesSync(pathOf(other, unnamed), yesterday, yesterday);
    expect(await other.collectAttachments()).toEqual({ removed: 1 });
    expect(readdirSync(folderOf(other))).toEqual([]);
  }, 30_000);

  it("in the middle of its bytes leaves no attachment, and nothing that a later start does not sweep", async () => {
    const sessions = open();
    const session = await sessions.create("x");
    const { said, kill } = await child(session, "upload");
    expect(said).toBe("uploading");
    await kill();
    expect(existsSync(folderOf(session))).toBe(false);
    expect(drafts()).toHaveLength(1);
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (const name of drafts()) utimesSync(join(baseDir, ".aixgo", "drafts", name), old, old);
    await sessions.close();
    await using again = open();
    await again.get(session.id);
    expect(drafts()).toEqual([]);
  }, 30_000);
});

describe("damage", () => {
  it.each([
    [
      "a flipped bit",
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[70_000] = (bytes[70_000] as number) ^ 4;
        writeFileSync(path, bytes);
      },
      "ENTRY_CORRUPT",
    ],
    ["a cut file", (path: string) => truncateSync(path, 99_999), "ENTRY_CORRUPT"],
    ["an empty file", (path: string) => truncateSync(path, 0), "ENTRY_CORRUPT"],
    ["a longer file", (path: string) => truncateSync(path, 100_001), "ENTRY_CORRUPT"],
    ["a lost file", (path: string) => rmSync(path), "ENTRY_NOT_FOUND"],
    ["a file that others can read", (path: string) => chmodSync(path, 0o644), "PERMISSION_DENIED"],
  ])("%s is told, and the session lives on", async (_, damage, code) => {
    await using sessions = open({ durability: "os" });
    const session = await sessions.create("x");
    const part = await session.attach(randomBytes(100_000), { mediaType: "a/b" });
    await session.append({ role: "user", parts: [part] });
    damage(pathOf(session, part.url));
    const error = await bytesOf(session.attachment(part.url)).catch((thrown: unknown) => thrown);
    expect(error).toEqual(withCode(code));
    expect(String(error)).not.toContain(baseDir);
    if (code !== "PERMISSION_DENIED") expect((await session.verify()).problems).toMatchObject([{ seq: 1, code }]);
    await session.append("and on");
    expect(await session.messages()).toHaveLength(2);
  });
});

describe("a fork", () => {
  it("has the attachments of its path, without a copy of their bytes, and keeps them when its origin is erased", async () => {
    await using sessions = open();
    const session = await sessions.create("x");
    const kept = await session.attach(randomBytes(300_000), { mediaType: "a/b" });
    const { messages } = await session.append({ role: "user", parts: [kept] });
    const left = await session.attach(randomBytes(300_000), { mediaType: "a/b" });
    await session.append({ role: "user", parts: [left] });
    const fork = await session.fork({ at: messages[0]?.id as string });
    expect(readdirSync(folderOf(fork))).toEqual([kept.url.slice("attachment:".length)]);
    expect(statSync(pathOf(fork, kept.url)).ino).toBe(statSync(pathOf(session, kept.url)).ino);
    expect(drafts()).toEqual([]);
    await sessions.delete(session.id, { mode: "erase" });
    expect((await fork.verify()).problems).toEqual([]);
    expect((await bytesOf(fork.attachment(kept.url))).length).toBe(300_000);
  });
});

it("20 MiB pass through without being held, and closing ends a reader in the middle", async () => {
  const sessions = open();
  const session = await sessions.create("x");
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 80; i += 1) yield Buffer.alloc(256 * 1024, i);
  }
  const part = await session.attach(stream(), { mediaType: "a/b" });
  let bytes = 0;
  for await (const chunk of session.attachment(part.url)) bytes += chunk.length;
  expect(bytes).toBe(20 * 1024 * 1024);
  const reading = session.attachment(part.url)[Symbol.asyncIterator]();
  await reading.next();
  await sessions.close();
  await expect(reading.next()).rejects.toEqual(withCode("BACKEND_CLOSED"));
});

it("a source that stalls keeps neither who gave up nor a backend that closes", async () => {
  const sessions = open();
  const session = await sessions.create("x");
  const started: (() => void)[] = [];
  const stalling = (): AsyncIterable<Uint8Array> =>
    (async function* () {
      yield Buffer.from("1");
      started.pop()?.();
      await new Promise(() => undefined);
    })();
  const controller = new AbortController();
  const first = new Promise<void>((resolve) => started.push(resolve));
  const given = session.attach(stalling(), { mediaType: "a/b", signal: controller.signal });
  await first;
  controller.abort();
  await expect(given).rejects.toEqual(withCode("CANCELLED"));
  const second = new Promise<void>((resolve) => started.push(resolve));
  const pending = session.attach(stalling(), { mediaType: "a/b" });
  pending.catch(() => undefined);
  await second;
  await sessions.close();
  await expect(pending).rejects.toEqual(withCode("BACKEND_CLOSED"));
  expect(drafts()).toEqual([]);
});

it("a name that leads out of the store's folder is never made of an address", async () => {
  await using sessions = open();
  const session = await sessions.create("x");
  for (const url of ["attachment:../../etc/passwd", "attachment:sha256-..", `attachment:sha256-${"A".repeat(64)}`, "file:///etc/passwd"])
    await expect(bytesOf(session.attachment(url))).rejects.toEqual(withCode("INVALID_INPUT"));
});
