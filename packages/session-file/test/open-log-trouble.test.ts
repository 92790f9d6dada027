import fs, { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { createLayout, type Layout } from "../src/layout.ts";
import { openLog, type OpenLog } from "../src/open-log.ts";
import { createStripes, type Stripes } from "../src/stripes.ts";
import { createWith, LineWriter, open, temporaryStore } from "./support/writer.ts";

const PAGE = 64 * 1024;
const MEGABYTE = 1024 * 1024;
const LIMITS = { maxLineBytes: 16 * MEGABYTE };

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
const sizeOf = (writer: LineWriter): number => statSync(pathOf(writer)).size;
async function logOf(writer: LineWriter): Promise<OpenLog> {
  const log = (await openLog(layout, stripes, writer.ref.id, "writer", LIMITS.maxLineBytes)) as OpenLog;
  opened.push(log);
  return log;
}
/** Written by somebody else, whole lines or not. */
const grow = (writer: LineWriter, bytes: string): void => appendFileSync(pathOf(writer), bytes);
/** One line of so many bytes, its end included. */
function lineOf(writer: LineWriter, bytes: number): string {
  const bare = LineWriter.after(writer.ref, writer.position, writer.n).message("").length + 1;
  return `${writer.message("x".repeat(bytes - bare)).toString()}\n`;
}
/** The same length, and another text in the first message. */
const spoil = (bytes: Buffer): string => bytes.toString().replace("message 0", "massage 0");

describe("a log to which others write while it is opened", () => {
  /** What others do while the lock is waited for. */
  function meanwhile(then: () => void): void {
    const real = stripes.hold.bind(stripes);
    vi.spyOn(stripes, "hold").mockImplementation((...args) => {
      then();
      return real(...args);
    });
  }

  it("is called damaged only after a look with the lock held, and the look before it counts for nothing", async () => {
    const writer = await createWith(backend, 3);
    const bytes = readFileSync(pathOf(writer));
    writeFileSync(pathOf(writer), spoil(bytes));
    meanwhile(() => writeFileSync(pathOf(writer), bytes));
    const log = await logOf(writer);
    // What it had read before is not handed out as what was verified.
    expect(log.wholeUpTo(bytes.length)).toBeUndefined();
    expect([log.damage, log.state.head.seq, log.tornSize]).toEqual([undefined, 3, -1]);
  });

  it("has as its unfinished end what the last look found", async () => {
    const writer = await createWith(backend, 3);
    const bytes = readFileSync(pathOf(writer));
    writeFileSync(pathOf(writer), spoil(bytes));
    meanwhile(() => writeFileSync(pathOf(writer), Buffer.concat([bytes, Buffer.from("torn")])));
    expect(await logOf(writer)).toMatchObject({ damage: undefined, state: { head: { seq: 3 } }, tornSize: bytes.length + 4 });
  });

  it("is damaged from its beginning on if it was emptied", async () => {
    const writer = await createWith(backend, 1);
    grow(writer, "no line\n");
    writeFileSync(pathOf(writer), readFileSync(pathOf(writer), "utf8").replace('"agentName"', '"agentNeme"'));
    meanwhile(() => truncateSync(pathOf(writer)));
    await expect(logOf(writer)).rejects.toMatchObject({ code: "ENTRY_CORRUPT", details: { seq: 0, offset: 0 } });
  });

  it("needs no lock if it is whole, or ends with an unfinished line", async () => {
    const writer = await createWith(backend, 1);
    const hold = vi.spyOn(stripes, "hold");
    await logOf(writer);
    grow(writer, "torn");
    await logOf(writer);
    expect(hold).not.toHaveBeenCalled();
  });

  it("is read on behind an end that was unfinished then, however much has come since", async () => {
    const writer = await createWith(backend, 1);
    const line = lineOf(writer, 300);
    grow(writer, line.slice(0, 50));
    const opening = logOf(writer);
    grow(writer, line.slice(50) + lineOf(writer, MEGABYTE));
    const log = await opening;
    expect([log.state.head.seq, log.refresh(undefined)]).toEqual([1, "behind"]);
    await log.catchUp();
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 3]);
  });
});

describe("looking again at an open log", () => {
  it("says that it was replaced where another file system has a file of the same number there", async () => {
    const log = await logOf(await createWith(backend, 1));
    const { lstatSync } = fs;
    Object.assign(fs, {
      lstatSync: (path: string, options: object) => {
        const stat = lstatSync(path, options);
        return stat === undefined ? undefined : Object.assign(stat, { dev: Number(stat.dev) + 1 });
      },
    });
    syncBuiltinESMExports();
    try {
      expect(log.refresh(undefined)).toBe("replaced");
    } finally {
      Object.assign(fs, { lstatSync });
      syncBuiltinESMExports();
    }
    expect(log.refresh(undefined)).toBe("current");
  });

  it("reads a megabyte at once, and not a byte more", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    grow(writer, lineOf(writer, MEGABYTE));
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["current", 2]);
    grow(writer, lineOf(writer, MEGABYTE + 1));
    expect([log.refresh(undefined), log.state.head.seq]).toEqual(["behind", 2]);
  });

  it("knows a long unfinished end that it has read, and cuts it all the same with the lock held", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    const size = sizeOf(writer);
    const end = "x".repeat(MEGABYTE + 10);
    grow(writer, end);
    expect(log.refresh(undefined)).toBe("behind");
    await log.catchUp();
    expect([log.refresh(undefined), sizeOf(writer)]).toEqual(["current", size + end.length]);
    expect([log.refresh(LIMITS), sizeOf(writer), log.tornSize]).toEqual(["current", size, -1]);
    expect(readFileSync(layout.damaged("writer", writer.ref.id), "utf8")).toBe(end);
  });

  it("has a damaged one opened anew as soon as it has another length", async () => {
    const writer = await createWith(backend, 3);
    writeFileSync(pathOf(writer), spoil(readFileSync(pathOf(writer))));
    const log = await logOf(writer);
    expect(log.refresh(undefined)).toBe("current");
    grow(writer, lineOf(writer, 300));
    expect(log.refresh(undefined)).toBe("replaced");
  });

  it("does not go back behind what was written while it was reading on", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    grow(writer, lineOf(writer, MEGABYTE) + lineOf(writer, MEGABYTE));
    const reading = log.catchUp();
    const further = { ...log.state, head: { ...log.state.head, seq: 9 } };
    log.wrote(further);
    await reading;
    expect(log.state).toBe(further);
  });
});

describe("the sidecar of a log", () => {
  it("is written as soon as a megabyte was read or written since the last one, and no sooner", async () => {
    const writer = await createWith(backend, 1);
    const log = await logOf(writer);
    grow(writer, lineOf(writer, MEGABYTE - sizeOf(writer)));
    expect([log.refresh(undefined), existsSync(sidecarOf(writer))]).toEqual(["current", true]);
    rmSync(sidecarOf(writer));
    const again = await logOf(writer);
    const saved = readFileSync(sidecarOf(writer));
    grow(writer, lineOf(writer, 300));
    expect((await logOf(writer)).state.head.seq).toBe(3);
    expect([again.refresh(undefined), again.state.head.seq]).toEqual(["current", 3]);
    again.wrote({ ...again.state, head: { ...again.state.head, bytes: again.state.head.bytes + 300 } });
    expect(readFileSync(sidecarOf(writer))).toEqual(saved);
  });

  it("spares reading what lies before it, of a log of more than a page; a shorter one is read whole", async () => {
    const writer = await createWith(backend, 2);
    grow(writer, lineOf(writer, PAGE - sizeOf(writer)));
    const remembered = async (): Promise<boolean> => {
      const bytes = readFileSync(pathOf(writer));
      (await logOf(writer)).saveSidecar();
      expect(existsSync(sidecarOf(writer))).toBe(true);
      writeFileSync(pathOf(writer), spoil(bytes));
      const { damage, state } = await logOf(writer);
      writeFileSync(pathOf(writer), bytes);
      expect(state.head.seq).toBe(damage === undefined ? writer.seq : 0);
      return damage === undefined;
    };
    const log = await logOf(writer);
    log.saveSidecarIfLong();
    expect([sizeOf(writer), existsSync(sidecarOf(writer)), await remembered()]).toEqual([PAGE, false, false]);
    grow(writer, lineOf(writer, 300));
    expect(await remembered()).toBe(true);
  });
});

describe("the users of a log", () => {
  it("that come while others wait come behind them, and one alone leaves it idle", async () => {
    const log = await logOf(await createWith(backend, 1));
    const order: string[] = [];
    const run = (name: string): Promise<void> =>
      log.serial(async () => {
        order.push(`${name} in`);
        for (let turn = 0; turn < 3; turn += 1) await nextTurn();
        order.push(`${name} out`);
      });
    await run("a");
    expect(log.isIdle).toBe(true);
    const [first, second] = [run("b"), run("c")];
    await first;
    expect(log.isIdle).toBe(false);
    await Promise.all([second, run("d")]);
    expect(order).toEqual(["a", "b", "c", "d"].flatMap((name) => [`${name} in`, `${name} out`]));
    expect(log.isIdle).toBe(true);
  });
});
