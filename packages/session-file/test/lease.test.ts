import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Appended, Head, SessionBackend } from "@aixgo/session/backend";
import { createStripes } from "../src/stripes.ts";
import { decodeRecord, encodeRecord } from "../src/record.ts";
import { createWith, LineWriter, open, temporaryStore } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;
let writer: LineWriter;

beforeEach(async () => {
  store = temporaryStore();
  backend = open(store);
  writer = await createWith(backend, 1);
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const recordPath = (): string => join(store, ".aixgo", "leases", writer.ref.id);

async function acquire(at: SessionBackend, fence: number, ttlMs = 30_000, token = `token-${fence}`): Promise<Appended> {
  const expectAt = writer.position;
  const mine = LineWriter.after(writer.ref, expectAt, writer.n);
  const answer = await at.append(writer.ref, {
    expect: expectAt,
    lines: [mine.message(`turn ${fence}`, { fence })],
    acquire: { fence, token, holder: "me", ttlMs },
  });
  if ("head" in answer) Object.assign(writer, { seq: mine.seq, hash: mine.hash, n: mine.n });
  return answer;
}

async function under(at: SessionBackend, fence: number, release = false, token = `token-${fence}`): Promise<Head> {
  const expectAt = writer.position;
  const mine = LineWriter.after(writer.ref, expectAt, writer.n);
  const answer = await at.append(writer.ref, {
    expect: expectAt,
    lines: [mine.message("step", { fence })],
    lease: { fence, token },
    release,
  });
  Object.assign(writer, { seq: mine.seq, hash: mine.hash, n: mine.n });
  return (answer as { head: Head }).head;
}

describe("a lease", () => {
  it("is taken with the next fence only, and shown without its token", async () => {
    expect(await acquire(backend, 2)).toHaveProperty("conflict");
    expect(await acquire(backend, 1)).toMatchObject({ head: { fence: 1, lease: { fence: 1, holder: "me" } } });
    expect(JSON.stringify((await backend.head(writer.ref.id)).lease)).not.toContain("token");
    expect(await acquire(backend, 2)).toMatchObject({ conflict: { lease: { fence: 1 } } });
    await under(backend, 1);
    const released = await under(backend, 1, true);
    expect(released).not.toHaveProperty("lease");
    expect(released.fence).toBe(1);
    await expect(under(backend, 1)).rejects.toMatchObject({ code: "FENCED" });
    expect(await acquire(backend, 2)).toHaveProperty("head");
  });

  it("with a stale fence or another token writes nothing", async () => {
    await acquire(backend, 1);
    const log = join(store, "writer", `${writer.ref.id}.jsonl`);
    const before = readFileSync(log);
    await expect(under(backend, 1, false, "other")).rejects.toMatchObject({ code: "FENCED" });
    await expect(under(backend, 0)).rejects.toMatchObject({ code: "FENCED" });
    await expect(backend.renew(writer.ref, { fence: 1, token: "other" }, 1000)).rejects.toMatchObject({ code: "FENCED" });
    expect(readFileSync(log)).toEqual(before);
  });

  it("that has expired may still write and be renewed until somebody takes it", async () => {
    await acquire(backend, 1, 0);
    expect((await backend.head(writer.ref.id)).lease?.expiresInMs).toBeLessThanOrEqual(0);
    await under(backend, 1);
    expect((await backend.renew(writer.ref, { fence: 1, token: "token-1" }, 0)).expiresInMs).toBeLessThanOrEqual(0);
    expect(await acquire(backend, 2)).toHaveProperty("head");
    await expect(under(backend, 1)).rejects.toMatchObject({ code: "FENCED" });
    await expect(backend.renew(writer.ref, { fence: 1, token: "token-1" }, 1000)).rejects.toMatchObject({ code: "FENCED" });
  });

  it("of an earlier boot is void, and its fence is not used again", async () => {
    await acquire(backend, 1);
    const record = decodeRecord(readFileSync(recordPath())) as { process: object };
    writeFileSync(recordPath(), encodeRecord({ ...record, process: { ...record.process, boot: "another" } }));
    await expect(under(backend, 1)).rejects.toMatchObject({ code: "FENCED" });
    expect(await acquire(backend, 1)).toHaveProperty("conflict");
    expect(await acquire(backend, 2)).toHaveProperty("head");
  });

  it("of a process that has died is taken over at once", async () => {
    await acquire(backend, 1);
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    const record = decodeRecord(readFileSync(recordPath())) as { process: object };
    writeFileSync(recordPath(), encodeRecord({ ...record, process: { ...record.process, pid: child.pid, start: "1" } }));
    expect(await acquire(backend, 2)).toHaveProperty("head");
  });

  it("whose record is garbage counts as none", async () => {
    await acquire(backend, 1);
    writeFileSync(recordPath(), "garbage\n");
    expect((await backend.head(writer.ref.id)).fence).toBe(1);
    expect(await acquire(backend, 2)).toHaveProperty("head");
  });

  it("is asked to stop through its next renewal", async () => {
    expect(await backend.cancel(writer.ref, "nobody there")).toBe(false);
    await acquire(backend, 1);
    const other = open(store);
    expect(await other.cancel(writer.ref, "the user left")).toBe(true);
    expect((await backend.head(writer.ref.id)).lease?.cancelRequested).toBe("the user left");
    expect(await backend.renew(writer.ref, { fence: 1, token: "token-1" }, 1000)).toMatchObject({
      cancelRequested: "the user left",
      fence: 1,
      token: "token-1",
    });
    await under(backend, 1, true);
    expect(await other.cancel(writer.ref, "too late")).toBe(false);
    await acquire(other, 2);
    expect((await backend.head(writer.ref.id)).lease).not.toHaveProperty("cancelRequested");
    await other.close();
  });

  it("and a torn tail: taking it cuts the tail first", async () => {
    const log = join(store, "writer", `${writer.ref.id}.jsonl`);
    writeFileSync(log, Buffer.concat([readFileSync(log), Buffer.from("torn")]));
    expect(await acquire(backend, 1)).toHaveProperty("head");
  });

  it("goes with its incarnation", async () => {
    await acquire(backend, 1);
    await under(backend, 1, true);
    const next = new LineWriter({ id: writer.ref.id });
    const answer = await backend.rewrite(writer.ref, {
      expect: writer.position,
      next: next.ref,
      lines: (async function* () {
        yield next.header();
      })(),
    });
    expect(answer).toMatchObject({ head: { fence: 0, incarnation: next.ref.incarnation } });
    Object.assign(writer, { ref: next.ref, seq: next.seq, hash: next.hash, n: 0 });
    expect(await acquire(backend, 1)).toHaveProperty("head");
  });
});

it("a process that is stopped inside the lock makes others STORE_BUSY with its pid; nothing is broken", async () => {
  const path = join(store, ".aixgo", "locks");
  const stripe = createStripes(path, { lockTimeoutMs: 10, singleProcess: false, maxOpen: 4 }).of(writer.ref.id);
  const program = `
    const { openSync } = require("node:fs");
    const native = require(${JSON.stringify(join(import.meta.dirname, "../node_modules/fs-native-extensions"))});
    console.log(native.tryLock(openSync(${JSON.stringify(join(path, stripe))}, "r+")));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    expect(String(await once(child.stdout, "data").then(([text]) => text))).toBe("true\n");
    child.kill("SIGSTOP");
    const impatient = open(store, { lockTimeoutMs: 50 });
    await expect(
      impatient.append(writer.ref, { expect: writer.position, lines: [LineWriter.after(writer.ref, writer.position).message("late")] }),
    ).rejects.toMatchObject({
      code: "STORE_BUSY",
      details: { pid: child.pid },
      message: expect.stringContaining(`process ${child.pid}`),
    });
    const other = await createWith(impatient, 0, { id: otherStripe(stripe) });
    expect((await impatient.head(other.ref.id)).seq).toBe(0);
    await impatient.close();
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  expect((await backend.head(writer.ref.id)).seq).toBe(1);
  expect(await acquire(backend, 1)).toHaveProperty("head");
});

function otherStripe(stripe: string): string {
  const stripes = createStripes("unused", { lockTimeoutMs: 1, singleProcess: true, maxOpen: 2 });
  for (let i = 0; i < 1000; i++) if (stripes.of(`id-${i}`) !== stripe) return `id-${i}`;
  throw new Error("unreachable");
}
