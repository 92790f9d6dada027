import fs, { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Append, Appended, SessionBackend } from "@aixgo/session/backend";
import { append, createWith, LineWriter, open, temporaryStore } from "./support/writer.ts";

const CALLS = ["writeSync", "ftruncateSync", "fdatasync"] as const;
type Call = (typeof CALLS)[number];

const original = { ...fs };
let store: string;
let backend: SessionBackend;
let writer: LineWriter;
beforeEach(async () => {
  store = temporaryStore();
  backend = open(store, { durability: "disk" });
  writer = await createWith(backend, 2);
});
afterEach(async () => {
  mend();
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

function mend(): void {
  for (const call of CALLS) fs[call] = original[call] as never;
  syncBuiltinESMExports();
}

/** Shows every such call on a file of the store to `look`, which may throw in its place. */
function watch(call: Call, look: (path: string, ...args: unknown[]) => void): void {
  const real = original[call] as (...args: unknown[]) => unknown;
  Object.assign(fs, {
    [call]: (...args: unknown[]) => {
      const path = readlinkSync(`/proc/self/fd/${String(args[0])}`);
      if (path.startsWith(store)) look(path, ...args);
      return real(...args);
    },
  });
  syncBuiltinESMExports();
}
const refuse = (code: string): never => {
  throw Object.assign(new Error(code), { code, syscall: "write" });
};
const failing = (call: Call, code: string): void => watch(call, (path) => void (path.endsWith(".jsonl") && refuse(code)));

const recordPath = (): string => join(store, ".aixgo", "leases", writer.ref.id);
const logPath = (): string => join(store, "writer", `${writer.ref.id}.jsonl`);
const acquire = (fence: number, ttlMs = 60_000): NonNullable<Append["acquire"]> => ({ fence, token: `t${fence}`, holder: "me", ttlMs });
async function send(more: Partial<Append> = {}): Promise<Appended> {
  const mine = LineWriter.after(writer.ref, writer.position, writer.n);
  const lines = [mine.message("x", more.acquire === undefined ? {} : { fence: more.acquire.fence })];
  const answer = await backend.append(writer.ref, { expect: writer.position, lines, ...more });
  if ("head" in answer) Object.assign(writer, { seq: mine.seq, hash: mine.hash, n: mine.n });
  return answer;
}
/** An append that the disk has no room for. */
async function sendInVain(more: Partial<Append> = {}): Promise<void> {
  failing("writeSync", "ENOSPC");
  await expect(send(more)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", details: { errno: "ENOSPC" } });
  mend();
}

describe("lines and lease", () => {
  it("are written so that no line of a turn stands there without its lease", async () => {
    const written: string[] = [];
    await send({ acquire: acquire(1) });
    await send({ lease: { fence: 1, token: "t1" }, release: true });
    watch("writeSync", (path) => void (path === recordPath() ? written.push("lease") : path === logPath() && written.push("line")));
    await send({ acquire: acquire(2) });
    expect(written.splice(0)).toEqual(["lease", "line"]);
    await send({ lease: { fence: 2, token: "t2" } });
    expect(written.splice(0)).toEqual(["line"]);
    await send({ lease: { fence: 2, token: "t2" }, release: true });
    expect(written).toEqual(["line", "lease"]);
  });

  it("are taken back together: the first lease of a session stands as released, and its fence is used up", async () => {
    await sendInVain({ acquire: acquire(1) });
    const other = open(store);
    for (const each of [backend, other]) {
      const head = await each.head(writer.ref.id);
      expect(head).toMatchObject({ seq: 2, fence: 1 });
      expect(head).not.toHaveProperty("lease");
    }
    await other.close();
    expect(await send({ acquire: acquire(1) })).toHaveProperty("conflict.fence", 1);
    expect(await send({ acquire: acquire(2) })).toHaveProperty("head.lease.fence", 2);
  });

  it("are taken back together: a later lease gives its place to the one before", async () => {
    await send({ acquire: acquire(1, 0) });
    const before = readFileSync(recordPath()).toString().trim();
    await sendInVain({ acquire: acquire(2) });
    expect(readFileSync(recordPath()).toString().trim().startsWith(before)).toBe(true);
    expect(await send({ lease: { fence: 1, token: "t1" } })).toHaveProperty("head.fence", 1);
  });

  it("no record is made by an append that names no lease and fails", async () => {
    await sendInVain();
    expect(existsSync(recordPath())).toBe(false);
  });
});

it("wrapped keys are taken back with the lines that were to bring them", async () => {
  const keysOf = async (): Promise<unknown> => {
    const other = open(store);
    const { keys } = await other.head(writer.ref.id);
    await other.close();
    return keys === undefined ? undefined : [...keys];
  };
  await sendInVain({ keys: Uint8Array.of(1) });
  expect(await keysOf()).toBeUndefined();
  await send({ keys: Uint8Array.of(2) });
  await sendInVain({ keys: Uint8Array.of(3) });
  expect(await keysOf()).toEqual([2]);
  await sendInVain();
  expect(await keysOf()).toEqual([2]);
  // With no room for anything: what brought no keys has none to take back.
  watch("writeSync", () => refuse("ENOSPC"));
  await expect(send()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  mend();
  expect([...((await backend.head(writer.ref.id)).keys as Uint8Array)]).toEqual([2]);
});

describe("a write that fails", () => {
  it("needs no cut where it has left nothing, so that what cannot be cut is no trouble", async () => {
    failing("writeSync", "EIO");
    failing("ftruncateSync", "EIO");
    await expect(send()).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringContaining("nothing was written") as string,
    });
    mend();
    expect(await send()).toHaveProperty("head.seq", 3);
  });

  /** Writes less than it was asked to, as a disk without room does. */
  function short(): void {
    watch("ftruncateSync", () => undefined);
    Object.assign(fs, {
      writeSync: (fd: number, bytes: Buffer, offset: number, length: number, position: number) => {
        const isLog = readlinkSync(`/proc/self/fd/${fd}`) === logPath();
        return original.writeSync(fd, bytes, offset, isLog ? length - 5 : length, position);
      },
    });
    syncBuiltinESMExports();
  }

  it("by being short is one of a full disk, which is not tried again by itself", async () => {
    const { size } = statSync(logPath());
    short();
    await expect(send()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", details: { errno: "ENOSPC" }, retryable: false });
    mend();
    expect(statSync(logPath()).size).toBe(size);
  });

  it("and cannot be taken back says what failed, and why it stays", async () => {
    short();
    failing("ftruncateSync", "EROFS");
    await expect(send()).rejects.toMatchObject({
      code: "OUTCOME_UNKNOWN",
      message: expect.stringContaining("(ENOSPC)") as string,
      cause: { code: "EROFS" },
    });
    // The descriptor is in doubt: whoever looks next is the last to use it.
    const handles = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => existsSync(`/proc/self/fd/${fd}`) && readlinkSync(`/proc/self/fd/${fd}`) === logPath())
        .length;
    expect(handles()).toBe(1);
    mend();
    expect(await backend.head(writer.ref.id)).toMatchObject({ seq: 2 });
    expect(handles()).toBe(0);
  });
});

it("a sync that fails names the disk's reason", async () => {
  Object.assign(fs, {
    fdatasync: (_: number, done: (error: Error) => void) => setImmediate(() => done(Object.assign(new Error("EIO"), { code: "EIO" }))),
  });
  syncBuiltinESMExports();
  await expect(send()).rejects.toMatchObject({
    code: "OUTCOME_UNKNOWN",
    message: expect.stringContaining("(EIO)") as string,
    cause: { code: "BACKEND_UNAVAILABLE", details: { errno: "EIO" } },
  });
});

describe("an append that finds another head, and may have been sent before", () => {
  /** What a handle that has synced nothing yet does to the log for this append. */
  async function done(request: Append, durability: "disk" | "os" = "disk"): Promise<{ answer: Appended; calls: string[] }> {
    const fresh = open(store, { durability });
    await fresh.head(writer.ref.id);
    const calls: string[] = [];
    watch("fdatasync", () => void calls.push("sync"));
    watch("writeSync", (path) => void (path === logPath() && calls.push("write")));
    const answer = await fresh.append(writer.ref, request);
    mend();
    await fresh.close();
    return { answer, calls };
  }
  const late = (): { request: Append; line: Buffer } => {
    const line = LineWriter.after(writer.ref, writer.position, writer.n).message("sent twice");
    return { line, request: { expect: writer.position, lines: [line] } };
  };
  let killed: SessionBackend;
  beforeEach(() => (killed = open(store)));
  afterEach(() => killed.close());

  it("is made durable if its line is there, without writing anything", async () => {
    const { request } = late();
    await killed.append(writer.ref, request);
    const { answer, calls } = await done(request);
    expect(answer).toMatchObject({ conflict: { seq: 3 } });
    expect(calls).toEqual(["sync"]);
    expect((await done(request, "os")).calls, "nobody has asked for that").toEqual([]);
  });

  it("is so as well with other lines behind it, few or many", async () => {
    const { request } = late();
    await killed.append(writer.ref, request);
    const rest = LineWriter.after(writer.ref, await killed.head(writer.ref.id), 3);
    await append(killed, rest, "short");
    expect((await done(request)).calls).toEqual(["sync"]);
    for (let count = 0; count < 3; count += 1) await append(killed, rest, "x".repeat(512 * 1024));
    const { answer, calls } = await done(request);
    expect(answer).not.toHaveProperty("since");
    expect(calls).toEqual(["sync"]);
  });

  it("costs no sync if another line is there, or none can be", async () => {
    const { request } = late();
    const { seq, hash } = writer.position;
    await append(killed, writer, "another");
    expect((await done(request)).calls).toEqual([]);
    for (const nowhere of [
      { seq: seq + 1, hash },
      { seq: seq + 5, hash },
    ])
      expect((await done({ ...request, expect: nowhere })).calls).toEqual([]);
  });

  it("is made durable again if the log has grown since it was", async () => {
    const { request } = late();
    const fresh = open(store, { durability: "disk" });
    let syncs = 0;
    await fresh.append(writer.ref, request);
    watch("fdatasync", () => void (syncs += 1));
    expect(await fresh.append(writer.ref, request)).toHaveProperty("conflict");
    expect(syncs).toBe(0);
    await append(killed, LineWriter.after(writer.ref, await killed.head(writer.ref.id), 3), "by another hand");
    expect(await fresh.append(writer.ref, request)).toHaveProperty("conflict");
    expect(syncs).toBe(1);
    mend();
    await fresh.close();
  });
});
