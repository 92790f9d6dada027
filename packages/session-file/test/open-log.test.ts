import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { createLayout, type Layout } from "../src/layout.ts";
import { taken } from "../src/lease.ts";
import { openLog, type OpenLog } from "../src/open-log.ts";
import { createStripes, type Stripes } from "../src/stripes.ts";
import { writeWrapped } from "../src/wrapped-keys.ts";
import { append, createWith, type LineWriter, open, temporaryStore } from "./support/writer.ts";

const LIMITS = { maxLineBytes: 16 * 1024 * 1024 };
const corrupt = (details: object): Error =>
  expect.objectContaining({ code: "ENTRY_CORRUPT", details: expect.objectContaining(details) }) as Error;

let store: string;
let backend: SessionBackend;
let layout: Layout;
let stripes: Stripes;
let opened: OpenLog[];
beforeEach(() => {
  store = temporaryStore();
  backend = open(store);
  layout = createLayout(store, store);
  stripes = createStripes(layout.part("locks"), { lockTimeoutMs: 5000, singleProcess: false, maxOpen: 8 });
  opened = [];
});
afterEach(async () => {
  for (const log of opened) log.close();
  stripes.close();
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const pathOf = (writer: LineWriter): string => join(store, "writer", `${writer.ref.id}.jsonl`);
const sidecarOf = (writer: LineWriter): string => join(store, ".aixgo", "heads", writer.ref.id);
async function logOf(writer: LineWriter, folder = "writer"): Promise<OpenLog> {
  const log = (await openLog(layout, stripes, writer.ref.id, folder, LIMITS.maxLineBytes)) as OpenLog;
  opened.push(log);
  return log;
}
/** Written by somebody else, whole lines or not. */
const grow = (writer: LineWriter, bytes: string | Buffer): void => appendFileSync(pathOf(writer), bytes);
const lines = (writer: LineWriter, count: number, length = 10): string =>
  Array.from({ length: count }, () => `${writer.message("x".repeat(length)).toString()}\n`).join("");
const handles = (name: string): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(name);
    } catch {
      return false;
    }
  }).length;

describe("opening a log", () => {
  it("that is missing or empty finds none, and leaves nothing open", async () => {
    const writer = await createWith(backend, 0);
    await backend.close();
    truncateSync(pathOf(writer), 0);
    expect(await openLog(layout, stripes, writer.ref.id, "writer", 1000)).toBeUndefined();
    rmSync(pathOf(writer));
    expect(await openLog(layout, stripes, writer.ref.id, "writer", 1000)).toBeUndefined();
    expect(handles(writer.ref.id)).toBe(0);
  });

  it("reads it to its end, and has it whole for this turn of the event loop", async () => {
    const writer = await createWith(backend, 3);
    const log = await logOf(writer);
    const bytes = readFileSync(pathOf(writer));
    expect(log).toMatchObject({
      id: writer.ref.id,
      damage: undefined,
      tornSize: -1,
      syncedTo: -1,
      closed: false,
      distrusted: false,
      users: 0,
    });
    expect(log.state.head).toMatchObject({ seq: 3, hash: writer.hash, bytes: bytes.length });
    expect(log.wholeUpTo(bytes.length)?.equals(bytes)).toBe(true);
    expect(log.wholeUpTo(bytes.length - 1)).toBeUndefined();
    await nextTurn();
    await nextTurn();
    expect(log.wholeUpTo(bytes.length)).toBeUndefined();
  });

  it("leaves a torn tail out and alone, and remembers it", async () => {
    const writer = await createWith(backend, 2);
    const { length } = readFileSync(pathOf(writer));
    grow(writer, "torn");
    const log = await logOf(writer);
    expect([log.state.head.seq, log.tornSize, statSync(pathOf(writer)).size]).toEqual([2, length + 4, length + 4]);
    for (const end of [length, length + 4]) expect(log.wholeUpTo(end)).toBeUndefined();
  });

  it("of which the middle is damaged goes up to there, and says so", async () => {
    const writer = await createWith(backend, 5);
    const bytes = readFileSync(pathOf(writer));
    writeFileSync(pathOf(writer), bytes.toString().replace("message 2", "massage 2"));
    const log = await logOf(writer);
    expect(log.state.head.seq).toBe(2);
    expect(log.damage).toEqual(corrupt({ seq: 3, session: writer.ref.id }));
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 2]);
    log.saveSidecar();
    expect(existsSync(sidecarOf(writer))).toBe(false);
  });

  it("of which the header is damaged, or another session's, is refused, and nothing is left open", async () => {
    const writer = await createWith(backend, 1);
    const other = await createWith(backend, 1);
    await backend.close();
    const bytes = readFileSync(pathOf(writer));
    copyFileSync(pathOf(other), pathOf(writer));
    await expect(logOf(writer)).rejects.toThrow(/its header names another session or agent/);
    writeFileSync(pathOf(writer), bytes);
    mkdirSync(join(store, "elsewhere"), { mode: 0o700 });
    copyFileSync(pathOf(writer), join(store, "elsewhere", `${writer.ref.id}.jsonl`));
    await expect(logOf(writer, "elsewhere")).rejects.toThrow(corrupt({ seq: 0, offset: 0 }));
    writeFileSync(pathOf(writer), bytes.toString().replace('"agentName"', '"agentNeme"'));
    await expect(logOf(writer)).rejects.toThrow(corrupt({ seq: 0, offset: 0 }));
    expect(handles(`${writer.ref.id}.jsonl`)).toBe(0);
  });

  it("that others may write to, or that is no file, is refused", async () => {
    const writer = await createWith(backend, 1);
    await backend.close();
    chmodSync(pathOf(writer), 0o666);
    await expect(logOf(writer)).rejects.toThrow();
    chmodSync(pathOf(writer), 0o600);
    chmodSync(join(store, "writer"), 0o777);
    await expect(logOf(writer)).rejects.toThrow();
    chmodSync(join(store, "writer"), 0o700);
    rmSync(pathOf(writer));
    mkdirSync(pathOf(writer));
    await expect(logOf(writer)).rejects.toThrow();
    expect(handles(writer.ref.id)).toBe(0);
  });

  it("has the wrapped keys that lie beside it", async () => {
    const writer = await createWith(backend, 1);
    writeWrapped(layout, writer.ref.id, Uint8Array.of(1, 2), false);
    const log = await logOf(writer);
    expect([...(log.keys as Uint8Array)]).toEqual([1, 2]);
    writeWrapped(layout, writer.ref.id, Uint8Array.of(3), false);
    expect([log.refresh(undefined), [...(log.keys as Uint8Array)]]).toEqual(["current", [1, 2]]);
    await append(backend, writer, "with new keys");
    expect([log.refresh(undefined), [...(log.keys as Uint8Array)]]).toEqual(["current", [3]]);
  });
});

describe("looking again at an open log", () => {
  it("finds what was appended, and each entry's id", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    expect(log.refresh(undefined)).toBe("current");
    const before = log.state;
    expect(log.state).toBe(before);
    grow(writer, lines(writer, 3));
    expect([log.refresh(undefined), log.state.head.seq, log.state.head.hash]).toEqual(["current", 4, writer.hash]);
    const last = JSON.parse(readFileSync(pathOf(writer)).toString().trim().split("\n").at(-1) as string) as { id: string };
    expect(log.marks.seqOfId(last.id)).toBe(4);
  });

  it("says that it was replaced: gone, another file, shorter, or with another end", async () => {
    const writer = await createWith(backend, 4);
    const bytes = readFileSync(pathOf(writer));
    const change: (() => void)[] = [
      () => rmSync(pathOf(writer)),
      () => {
        writeFileSync(`${pathOf(writer)}.new`, bytes, { mode: 0o600 });
        renameSync(`${pathOf(writer)}.new`, pathOf(writer));
      },
      () => truncateSync(pathOf(writer), bytes.length - 1),
      () => writeFileSync(pathOf(writer), Buffer.concat([bytes.subarray(0, -2), Buffer.from("x\n")])),
      () => writeFileSync(pathOf(writer), Buffer.concat([bytes.subarray(0, -20), Buffer.alloc(40, "y")])),
    ];
    for (const how of change) {
      const log = await logOf(writer);
      expect(log.refresh(undefined)).toBe("current");
      how();
      expect([log.refresh(undefined), log.refresh(LIMITS)]).toEqual(["replaced", "replaced"]);
      rmSync(pathOf(writer), { force: true });
      writeFileSync(pathOf(writer), bytes, { mode: 0o600 });
    }
  });

  it("leaves more than a megabyte to be read later", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    grow(writer, lines(writer, 12, 100_000));
    expect([log.refresh(undefined), log.refresh(LIMITS), log.state.head.seq]).toEqual(["behind", "behind", 1]);
    grow(writer, "torn");
    await log.catchUp();
    expect([log.state.head.seq, log.tornSize]).toEqual([13, statSync(pathOf(writer)).size]);
    expect([log.refresh(undefined), log.refresh(LIMITS)]).toEqual(["current", "current"]);
    expect(log.tornSize).toBe(-1);
    grow(writer, lines(writer, 1));
    await log.catchUp();
    expect([log.state.head.seq, log.tornSize]).toEqual([14, -1]);
  });

  it("leaves a torn tail to who holds the lock, who cuts it", async () => {
    const writer = await createWith(backend, 2);
    const log = await logOf(writer);
    const { length } = readFileSync(pathOf(writer));
    grow(writer, "torn");
    expect([log.refresh(undefined), log.tornSize]).toEqual(["current", length + 4]);
    expect(log.refresh(undefined)).toBe("current");
    expect(statSync(pathOf(writer)).size).toBe(length + 4);
    expect([log.refresh(LIMITS), statSync(pathOf(writer)).size, log.state.head.seq]).toEqual(["current", length, 2]);
    // An unfinished tail that was finished meanwhile is no tail.
    const rest = lines(writer, 1);
    grow(writer, rest.slice(0, 50));
    expect(log.refresh(undefined)).toBe("current");
    grow(writer, rest.slice(50));
    expect([log.refresh(undefined), log.state.head.seq, log.tornSize]).toEqual(["current", 3, -1]);
  });

  it("finds lines that were written where a torn tail of the same length was cut", async () => {
    const writer = await createWith(backend, 2);
    const log = await logOf(writer);
    const { length } = readFileSync(pathOf(writer));
    const line = lines(writer, 1);
    grow(writer, "x".repeat(line.length));
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 2]);
    truncateSync(pathOf(writer), length);
    grow(writer, line);
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 3]);
    // The same where this handle cut it.
    const next = lines(writer, 1);
    grow(writer, "x".repeat(next.length));
    expect([log.refresh(undefined), log.refresh(LIMITS), log.tornSize]).toEqual(["current", "current", -1]);
    grow(writer, next);
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 4]);
  });

  it("leaves it to who holds the lock whether a line that does not follow is damage", async () => {
    const writer = await createWith(backend, 2);
    const log = await logOf(writer);
    const { length } = readFileSync(pathOf(writer));
    grow(writer, lines(writer, 2).replace("xxxx", "yyyy"));
    expect(log.refresh(undefined)).toBe("replaced");
    expect(() => log.refresh(LIMITS)).toThrow(corrupt({ seq: 3, offset: length }));
    truncateSync(pathOf(writer), length);
    grow(writer, "no line\n");
    expect(log.refresh(undefined)).toBe("replaced");
    expect([log.refresh(LIMITS), statSync(pathOf(writer)).size]).toEqual(["current", length]);
  });
});

describe("the sidecar of a log", () => {
  it("is not believed where the line that it ends with has another content, though that line's hash is the same", async () => {
    const writer = await createWith(backend, 1);
    grow(writer, lines(writer, 8, 100_000));
    (await logOf(writer)).saveSidecarIfLong();
    expect(existsSync(sidecarOf(writer))).toBe(true);
    const bytes = readFileSync(pathOf(writer));
    bytes.write("y", bytes.length - 1_000);
    writeFileSync(pathOf(writer), bytes);
    expect((await logOf(writer)).damage).toMatchObject({ code: "ENTRY_CORRUPT" });
  });

  it("is written for what takes long to read: each megabyte, and at the end above a page", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    log.saveSidecarIfLong();
    expect(existsSync(sidecarOf(writer))).toBe(false);
    grow(writer, lines(writer, 8, 100_000));
    log.refresh(undefined);
    expect(existsSync(sidecarOf(writer))).toBe(false);
    log.saveSidecarIfLong();
    const saved = readFileSync(sidecarOf(writer));
    rmSync(sidecarOf(writer));
    log.saveSidecar();
    expect(existsSync(sidecarOf(writer))).toBe(false);
    grow(writer, lines(writer, 5, 100_000));
    log.refresh(undefined);
    expect(existsSync(sidecarOf(writer))).toBe(false);
    grow(writer, lines(writer, 6, 100_000));
    log.refresh(undefined);
    expect(existsSync(sidecarOf(writer))).toBe(true);
    expect(readFileSync(sidecarOf(writer))).not.toEqual(saved);
    // Whoever opens it now reads only what came since.
    const again = await logOf(writer);
    expect(again.state.head).toMatchObject({ seq: 20, hash: writer.hash });
    expect(again.wholeUpTo(again.state.head.bytes)).toBeUndefined();
    rmSync(sidecarOf(writer));
    again.saveSidecar();
    expect(existsSync(sidecarOf(writer))).toBe(false);
  });

  it("is written by who opens a long log without one, and after own lines", async () => {
    const writer = await createWith(backend, 1);
    grow(writer, lines(writer, 12, 100_000));
    const log = await logOf(writer);
    expect(existsSync(sidecarOf(writer))).toBe(true);
    rmSync(sidecarOf(writer));
    log.tornSize = 5;
    log.wrote(log.state);
    expect([existsSync(sidecarOf(writer)), log.tornSize]).toEqual([false, -1]);
    const { head } = log.state;
    log.wrote({ ...log.state, head: { ...head, bytes: head.bytes + 1024 * 1024 } });
    expect(existsSync(sidecarOf(writer))).toBe(true);
  });
});

describe("the users of a log", () => {
  it("come one after the other, also behind one that fails", async () => {
    const log = await logOf(await createWith(backend, 1));
    const order: string[] = [];
    expect(log.isIdle).toBe(true);
    const body =
      (name: string, fails = false) =>
      async (): Promise<string> => {
        order.push(`${name} in`);
        await nextTurn();
        order.push(`${name} out`);
        if (fails) throw new Error(name);
        return name;
      };
    const outcomes = Promise.allSettled([log.serial(body("a")), log.serial(body("b", true)), log.serial(body("c"))]);
    expect(log.isIdle).toBe(false);
    expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(order).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
    expect(log.isIdle).toBe(true);
    const leave = log.enter();
    const late = log.serial(body("d"));
    await nextTurn();
    expect([order.length, log.isIdle]).toEqual([6, false]);
    leave();
    expect([await late, log.isIdle]).toEqual(["d", true]);
  });

  it("see a lease as others write it, and look no further where there is none without new lines", async () => {
    const writer = await createWith(backend, 1);
    const [log, other] = [await logOf(writer), await logOf(writer)];
    const lease = taken(writer.ref.incarnation, { fence: 1, token: "t", holder: "h", ttlMs: 60_000 });
    expect(log.readLease()).toBeUndefined();
    other.writeLease(lease);
    expect([other.readLease(), log.readLease()]).toEqual([lease, undefined]);
    grow(writer, lines(writer, 1));
    log.refresh(undefined);
    expect(log.readLease()).toEqual(lease);
    other.writeLease({ ...lease, cancelRequested: "stop" });
    expect(log.readLease()).toMatchObject({ cancelRequested: "stop" });
    other.writeLease({ ...lease, released: true });
    expect(log.readLease()).toMatchObject({ released: true });
    other.writeLease({ ...lease, fence: 2 });
    expect(log.readLease()).toMatchObject({ fence: 1, released: true });
    writeFileSync(layout.own("leases", writer.ref.id), "half a rec");
    grow(writer, lines(writer, 1));
    log.refresh(undefined);
    expect([log.readLease(), log.leaseSeen]).toEqual(["torn", undefined]);
  });

  it("leave nothing open when it is closed, however often", async () => {
    const writer = await createWith(backend, 1);
    await backend.close();
    const log = await logOf(writer);
    log.writeLease(taken(writer.ref.incarnation, { fence: 1, token: "t", holder: "h", ttlMs: 1 }));
    expect(handles(writer.ref.id)).toBe(2);
    log.close();
    log.close();
    expect([handles(writer.ref.id), log.closed]).toEqual([0, true]);
  });
});
