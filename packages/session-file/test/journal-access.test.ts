import { appendFileSync, copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newEntryId } from "@aixgo/security";
import { emptyTip, placeLine, type SessionBackend } from "@aixgo/session/backend";
import { createCatalog } from "../src/catalog.ts";
import { createJournal, type Journal } from "../src/journal.ts";
import { createLayout, type Layout } from "../src/layout.ts";
import type { OpenLog } from "../src/open-log.ts";
import { createOpenLogs, type OpenLogs } from "../src/open-logs.ts";
import { createSessionIndex } from "../src/session-index.ts";
import { createStripes, type Stripes } from "../src/stripes.ts";
import { createTombstones } from "../src/tombstones.ts";
import { append, createWith, LineWriter, open, temporaryStore } from "./support/writer.ts";

const MEGABYTE = 1024 * 1024;
const LIMIT = 16 * MEGABYTE;
let store: string;
/** Another hand on the same store. */
let other: SessionBackend;
let writer: LineWriter;
let layout: Layout;
let stripes: Stripes;
let logs: OpenLogs;
let journal: Journal;
/** The same over a disk that has to confirm. */
let durable: Journal;
beforeEach(async () => {
  store = temporaryStore();
  other = open(store);
  writer = await createWith(other, 2);
  layout = createLayout(store, store);
  stripes = createStripes(layout.part("locks"), { lockTimeoutMs: 20_000, singleProcess: false, maxOpen: 8 });
  const tombstones = createTombstones(layout);
  const index = createSessionIndex(layout, stripes);
  const catalog = createCatalog(layout, stripes, tombstones, []);
  logs = createOpenLogs({ layout, stripes, index, tombstones, durable: false, maxLineBytes: LIMIT, maxOpen: 8 });
  journal = createJournal({ layout, stripes, logs, catalog, durable: false, maxLineBytes: LIMIT });
  durable = createJournal({ layout, stripes, logs, catalog, durable: true, maxLineBytes: LIMIT });
});
afterEach(async () => {
  logs.close();
  stripes.close();
  await other.close();
  rmSync(store, { recursive: true, force: true });
});

const pathOf = (): string => join(store, "writer", `${writer.ref.id}.jsonl`);
const opened = async (): Promise<OpenLog> => journal.withLog(writer.ref.id, (log) => log);
const line = (text: string): Buffer => LineWriter.after(writer.ref, writer.position, writer.n).message(text);
/** More than is read at once, by another hand. */
async function growLong(): Promise<void> {
  for (let count = 0; count < 3; count += 1) await append(other, writer, "x".repeat(MEGABYTE / 2));
}
/** The same bytes in another file, as a restored backup is. */
function replaceFile(): void {
  copyFileSync(pathOf(), `${pathOf()}.copy`);
  renameSync(`${pathOf()}.copy`, pathOf());
}

describe("a log that is open, idle and whole", () => {
  it("is written to in the same turn of the event loop, one call behind the other", async () => {
    const log = await opened();
    const seen: string[] = [];
    const calls = ["one", "two"].map((name) =>
      journal.withLock(writer.ref, "testing", () => {
        seen.push(name);
        return name;
      }),
    );
    expect(seen).toEqual(["one", "two"]);
    expect(log.isIdle).toBe(true);
    expect(await Promise.all(calls)).toEqual(["one", "two"]);
  });

  it("has its lines verified before the lock is taken", async () => {
    await opened();
    const hold = vi.spyOn(stripes, "hold");
    const tryHold = vi.spyOn(stripes, "tryHold");
    const wrong = LineWriter.after(writer.ref, { seq: writer.seq + 1, hash: writer.hash }).message("gap");
    await expect(journal.append(writer.ref, { expect: writer.position, lines: [wrong] })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect([hold.mock.calls, tryHold.mock.calls]).toEqual([[], []]);
  });

  it("waits for its lock if that is taken, and then for what ends the call", async () => {
    await opened();
    vi.spyOn(stripes, "tryHold").mockReturnValueOnce(undefined);
    const ended: unknown[] = [];
    const finish = async (_: OpenLog, value: string): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(value);
    };
    expect(await journal.withLock(writer.ref, "testing", () => "done", { finish })).toBe("done");
    expect(ended).toEqual(["done"]);
  });

  it("is opened anew after a body, or a call before, has put its descriptor in doubt", async () => {
    const first = await opened();
    await journal.withLock(writer.ref, "testing", (log) => void (log.distrusted = true));
    expect([logs.cached(writer.ref.id), first.closed]).toEqual([undefined, true]);
    const second = await opened();
    second.distrusted = true;
    const third = await journal.withLock(writer.ref, "testing", (log) => log);
    expect([third === second, second.closed, third.closed]).toEqual([false, true, false]);
  });
});

describe("lines that were stored", () => {
  it.each(["built here", "as bytes"])("(%s) are known by their ids without reading them, each once", async (how) => {
    const log = await opened();
    const seen = vi.spyOn(log.marks, "seen");
    let tip = { ...emptyTip(writer.ref.incarnation), ...writer.position, headSeq: writer.seq, n: writer.n };
    const ids = [newEntryId(), newEntryId()];
    const built = ids.map((id, index) => {
      const data = JSON.stringify({ role: "user", parts: [{ type: "text", text: id }] });
      const placed = placeLine(tip, { id, type: "message", data }, index, 2, new Date().toISOString());
      ({ tip } = placed as { tip: typeof tip });
      return placed.line;
    });
    const lines = how === "built here" ? built : built.map((each) => Buffer.from(each));
    expect(await journal.append(writer.ref, { expect: writer.position, lines })).toMatchObject({ head: { seq: 4, hash: tip.hash } });
    expect(ids.map((id) => log.marks.seqOfId(id))).toEqual([3, 4]);
    expect(seen).toHaveBeenCalledTimes(2);
  });
});

describe("a log that another hand has changed", () => {
  it.each(["read", "written"])("by more than is read at once is read on before it is %s", async (how) => {
    const log = await opened();
    await growLong();
    if (how === "read") expect(await journal.withLog(writer.ref.id, ({ state }) => state.head.seq)).toBe(5);
    else expect(await journal.append(writer.ref, { expect: writer.position, lines: [line("behind")] })).toHaveProperty("head.seq", 6);
    expect(log.closed, "it need not be opened again").toBe(false);
  });

  it.each(["read", "written"])("by replacing the file is opened anew, and not read on, before it is %s", async (how) => {
    const log = await opened();
    const catchUp = vi.spyOn(log, "catchUp");
    replaceFile();
    if (how === "read") expect(await journal.withLog(writer.ref.id, (now) => now === log)).toBe(false);
    else expect(await journal.withLock(writer.ref, "testing", (now) => now === log)).toBe(false);
    expect([log.closed, catchUp.mock.calls.length]).toEqual([true, 0]);
  });

  it("without end is given up after a hundred looks", async () => {
    let looks = 0;
    const use = logs.use.bind(logs);
    vi.spyOn(logs, "use").mockImplementation((id, body) => {
      looks += 1;
      if (looks > 1_000) throw new Error("it looks for ever");
      return use(id, (log) => body(Object.assign(log, { refresh: () => "replaced" }), false));
    });
    await expect(journal.withLog(writer.ref.id, () => "never")).rejects.toMatchObject({ code: "STORE_BUSY" });
    expect(looks).toBe(100);
  });

  it("by a line takes an append behind that line, of which it has not heard", async () => {
    await opened();
    await append(other, writer, "unheard");
    expect(await journal.append(writer.ref, { expect: writer.position, lines: [line("behind")] })).toHaveProperty("head.seq", 4);
  });
});

describe("making durable what is there", () => {
  const synced = (): number | undefined => logs.cached(writer.ref.id)?.syncedTo;
  const sizeOf = (): number => statSync(pathOf()).size;

  it("opens a log that is not open", async () => {
    await durable.confirm(writer.ref, "testing");
    expect(synced()).toBe(sizeOf());
  });

  it("covers what another hand has written since, little or much, also into another file", async () => {
    for (const change of [async () => append(other, writer, "more"), growLong, async () => replaceFile()]) {
      await durable.confirm(writer.ref, "testing");
      await change();
      await durable.confirm(writer.ref, "testing");
      expect(synced()).toBe(sizeOf());
    }
  });

  it("is nothing to do where nobody asked for it", async () => {
    await opened();
    await journal.confirm(writer.ref, "testing");
    expect(synced()).toBe(-1);
  });
});

describe("a damaged log", () => {
  const damage = (): void => writeFileSync(pathOf(), readFileSync(pathOf(), "latin1").replace("message 0", "massage 0"), "latin1");
  const restore = (): void => writeFileSync(pathOf(), readFileSync(pathOf(), "latin1").replace("massage 0", "message 0"), "latin1");

  it("is refused before anything is done for an append", async () => {
    damage();
    const ahead = vi.fn<() => void>();
    await expect(journal.withLock(writer.ref, "testing", () => "never", { ahead })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect(ahead).not.toHaveBeenCalled();
    expect(await journal.withLock(writer.ref, "testing", (log) => log.state.head.seq, { ahead, evenDamaged: true })).toBe(0);
    expect(ahead).toHaveBeenCalled();
  });

  it("that was put back in place is whole to the next call, read or written", async () => {
    for (const call of [() => opened(), () => journal.withLock(writer.ref, "testing", (log) => log)]) {
      // What is open and whole is not read again.
      logs.drop(await opened());
      damage();
      expect((await opened()).damage).toMatchObject({ code: "ENTRY_CORRUPT" });
      restore();
      expect((await call()).damage).toBeUndefined();
    }
  });
});

describe("a lease record that is met half written", () => {
  const recordPath = (): string => join(store, ".aixgo", "leases", writer.ref.id);
  async function leased(): Promise<Buffer> {
    const mine = LineWriter.after(writer.ref, writer.position, writer.n);
    const acquire = { fence: 1, token: "t", holder: "me", ttlMs: 60_000 };
    await other.append(writer.ref, { expect: writer.position, lines: [mine.message("turn", { fence: 1 })], acquire });
    Object.assign(writer, { seq: mine.seq, hash: mine.hash, n: mine.n });
    return readFileSync(recordPath());
  }

  it("is read again when its writer has left the lock, a whole one without any lock", async () => {
    const whole = await leased();
    const real = stripes.hold.bind(stripes);
    const hold = vi.spyOn(stripes, "hold").mockImplementation((...args) => {
      writeFileSync(recordPath(), whole);
      return real(...args);
    });
    writeFileSync(recordPath(), whole.subarray(0, 40));
    expect(await journal.head(writer.ref.id)).toMatchObject({ fence: 1, lease: { fence: 1, holder: "me" } });
    expect(hold).toHaveBeenCalledTimes(1);
    expect(await journal.head(writer.ref.id)).toMatchObject({ lease: { fence: 1 } });
    expect(hold).toHaveBeenCalledTimes(1);
  });

  it("and stays so counts as none in an append's answer, whatever that is", async () => {
    const whole = await leased();
    writeFileSync(recordPath(), whole.subarray(0, 40));
    const lines = [line("next")];
    const conflict = await journal.append(writer.ref, { expect: { seq: 1, hash: writer.hash }, lines });
    expect(conflict).toMatchObject({ conflict: { seq: 3, fence: 1 } });
    expect(conflict).not.toHaveProperty("conflict.lease");
    const stored = await journal.append(writer.ref, { expect: writer.position, lines });
    expect(stored).toMatchObject({ head: { seq: 4, fence: 1 } });
    expect(stored).not.toHaveProperty("head.lease");
  });

  it("is neither made nor changed by an append that names no lease", async () => {
    await journal.append(writer.ref, { expect: writer.position, lines: [line("free")] });
    expect(existsSync(recordPath())).toBe(false);
    Object.assign(writer, await other.head(writer.ref.id));
    const whole = await leased();
    await journal.append(writer.ref, { expect: writer.position, lines: [line("free")], release: true });
    expect(readFileSync(recordPath())).toEqual(whole);
  });
});

describe("the lines of a conflict", () => {
  it("are none, where the log is at the expected place but leased", async () => {
    const acquire = (fence: number): object => ({ fence, token: "t", holder: "me", ttlMs: 60_000 });
    const answer = await journal.append(writer.ref, { expect: writer.position, lines: [line("turn")], acquire: acquire(2) as never });
    expect(answer).toMatchObject({ conflict: { seq: 2 }, since: { length: 0 } });
  });

  it("come up to a megabyte, and are left out behind it by a byte", async () => {
    const bare = line("").length + 1;
    const at = writer.position;
    for (const [length, comes] of [
      [MEGABYTE, true],
      [MEGABYTE + 1, false],
    ] as const) {
      const mine = await createWith(other, 0);
      const expectAt = mine.position;
      // The first message of a session: its seq and count have as many digits.
      await append(other, mine, "x".repeat(length - bare));
      const late = LineWriter.after(mine.ref, expectAt).message("late");
      const answer = await journal.append(mine.ref, { expect: expectAt, lines: [late] });
      expect("since" in answer ? answer.since?.length : undefined).toBe(comes ? MEGABYTE : undefined);
      expect("since" in answer).toBe(comes);
    }
    expect(writer.position).toEqual(at);
  });

  it("are left out if the log was damaged or cut meanwhile", async () => {
    const { head } = (await opened()).state;
    const bytes = readFileSync(pathOf(), "latin1");
    const { hash } = JSON.parse(bytes.split("\n")[1] as string) as { hash: string };
    const since = async (): Promise<unknown> => journal.conflict(await opened(), head, { seq: 1, hash });
    expect(await since()).toMatchObject({ conflict: head, since: { length: line("").length + 10 } });
    truncateSync(pathOf(), bytes.length - 5);
    expect(await journal.conflict(logs.cached(writer.ref.id) as OpenLog, head, { seq: 1, hash })).toEqual({ conflict: head });
    writeFileSync(pathOf(), bytes.replace("message 1", "massage 1"), "latin1");
    logs.drop(await opened());
    expect(await since()).toEqual({ conflict: head });
  });

  it("are left out if the file does not hold them any more", async () => {
    const log = await opened();
    const { head } = log.state;
    const longer = { ...head, seq: head.seq + 1, bytes: head.bytes + 50 };
    expect(await journal.conflict(log, head, writer.position)).toMatchObject({ since: { length: 0 } });
    expect(await journal.conflict(log, longer, writer.position)).toEqual({ conflict: longer });
    appendFileSync(pathOf(), "x".repeat(20));
    expect(await journal.conflict(log, longer, writer.position)).toEqual({ conflict: longer });
  });
});

describe("what is refused", () => {
  it("names what it was in its details", async () => {
    const expectAt = writer.position;
    const { id } = writer.ref;
    const refused = (lines: readonly Buffer[], more: object = {}): Promise<unknown> =>
      journal.append(writer.ref, { expect: expectAt, lines, ...more }).catch((error: unknown) => error);
    expect(await refused([Buffer.alloc(LIMIT + 1, "x")])).toMatchObject({
      code: "LIMIT_EXCEEDED",
      details: { bytes: LIMIT + 1, maxLineBytes: LIMIT },
    });
    expect(await refused([line("x")], { lease: { fence: 3, token: "t" } })).toMatchObject({
      code: "FENCED",
      details: { session: id, fence: 3 },
    });
    await expect(journal.append({ id, incarnation: "another" }, { expect: expectAt, lines: [line("x")] })).rejects.toMatchObject({
      code: "INCARNATION_CHANGED",
      details: { session: id },
    });
    expect(await refused([Buffer.from("\n{}")])).toMatchObject({ code: "INVALID_INPUT" });
  });
});
