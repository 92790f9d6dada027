import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileEngine, createLockEngine, createNativeEngine, type LockEngine } from "../src/lock-engine.ts";
import { ownIdentity } from "../src/process-identity.ts";
import { decodeRecord, encodeRecord } from "../src/record.ts";
import { createStripes, STRIPE_COUNT, type Stripes } from "../src/stripes.ts";
import { temporaryStore } from "./support/writer.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryStore();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lock files of the folder that this process has open. */
const opened = (): string[] =>
  readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        return path.startsWith(folder) ? [path.slice(folder.length + 1)] : [];
      } catch {
        return [];
      }
    })
    .toSorted();

/** An engine that refuses so many times, and writes down what it was asked. */
function refusing(times: number, holder?: number): LockEngine & { readonly asked: string[] } {
  let left = times;
  const asked: string[] = [];
  const name = (path: string): string => path.slice(folder.length + 1);
  return {
    asked,
    tryLock: (fd, path) => {
      expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe(path);
      asked.push(`lock ${name(path)}`);
      return (left -= 1) < 0;
    },
    unlock: (_, path) => void asked.push(`unlock ${name(path)}`),
    holder: (path) => (asked.push(`holder ${name(path)}`), holder),
    close: () => void asked.push("close"),
  };
}
const stripesWith = (engine: LockEngine, more: Partial<Parameters<typeof createStripes>[1]> = {}): Stripes =>
  createStripes(folder, { lockTimeoutMs: 5000, singleProcess: false, maxOpen: 3, engine, ...more });

describe("the stripe of a name", () => {
  it("is one of 256, always the same, and names differ", () => {
    const stripes = stripesWith(refusing(0));
    const seen = new Set(Array.from({ length: 5000 }, (_, index) => stripes.of(`session ${index}`)));
    expect([seen.size, STRIPE_COUNT]).toEqual([256, 256]);
    for (const each of seen) expect(each).toMatch(/^[0-9a-f]{2}$/);
    expect(stripes.of("session 1")).toBe(stripesWith(refusing(0)).of("session 1"));
  });
});

describe("a stripe that is free", () => {
  it("is locked around the body, and unlocked also where the body throws", async () => {
    const engine = refusing(0);
    const stripes = stripesWith(engine);
    expect(stripes.tryHold("00", () => (engine.asked.push("body"), 7))).toEqual({ value: 7 });
    expect(engine.asked).toEqual(["lock 00", "body", "unlock 00"]);
    expect(() =>
      stripes.tryHold("00", () => {
        throw new Error("body");
      }),
    ).toThrow("body");
    expect(engine.asked.slice(3)).toEqual(["lock 00", "unlock 00"]);
    expect(await stripes.hold("01", "testing", () => undefined)).toBeUndefined();
    expect(engine.asked.slice(5)).toEqual(["lock 01", "unlock 01"]);
    stripes.close();
  });

  it("keeps its file open, the last used ones of as many as allowed", () => {
    const stripes = stripesWith(refusing(0), { maxOpen: 2 });
    const use = (...names: string[]): string[] => {
      for (const name of names) stripes.tryHold(name, () => undefined);
      return opened();
    };
    expect(use("00")).toEqual(["00"]);
    expect(use("01", "00", "02")).toEqual(["00", "02"]);
    expect(use("02", "00", "03")).toEqual(["00", "03"]);
    expect(use("01")).toEqual(["01", "03"]);
    stripes.close();
    expect(opened()).toEqual([]);
    expect(readdirSync(folder).toSorted()).toEqual(["00", "01", "02", "03"]);
    expect(statSync(join(folder, "00")).mode & 0o777).toBe(0o600);
  });

  it("can be used again after a close", () => {
    const engine = refusing(0);
    const stripes = stripesWith(engine);
    stripes.close();
    expect(stripes.tryHold("00", () => 1)).toEqual({ value: 1 });
    stripes.close();
    expect(engine.asked).toEqual(["close", "lock 00", "unlock 00", "close"]);
    const own = createStripes(folder, { lockTimeoutMs: 40, singleProcess: true, maxOpen: 3 });
    own.close();
    expect(own.tryHold("00", () => own.tryHold("00", () => "inner"))).toEqual({ value: { value: "inner" } });
    own.close();
    expect(own.tryHold("00", () => "again")).toEqual({ value: "again" });
    own.close();
    expect(opened()).toEqual([]);
  });
});

describe("a stripe that the system refuses to unlock", () => {
  it("is free all the same, and the body's answer stands", async () => {
    const native = createRequire(import.meta.url)("fs-native-extensions") as { tryLock(fd: number): boolean };
    const engine = createNativeEngine({
      tryLock: (fd) => native.tryLock(fd),
      unlock: () => {
        throw Object.assign(new Error("no locks available"), { code: "ENOLCK" });
      },
    });
    const stripes = stripesWith(engine);
    const other = createStripes(folder, { lockTimeoutMs: 5000, singleProcess: false, maxOpen: 3 });
    for (let round = 0; round < 3; round += 1) {
      expect(await stripes.hold("00", "testing", () => round)).toBe(round);
      expect(other.tryHold("00", () => "free")).toEqual({ value: "free" });
    }
    stripes.close();
    other.close();
    expect(opened()).toEqual([]);
  });
});

describe("a stripe that is taken", () => {
  it("is not waited for by who only tries, and the body does not run", () => {
    const engine = refusing(1);
    const stripes = stripesWith(engine);
    expect(
      stripes.tryHold("00", () => {
        throw new Error("must not run");
      }),
    ).toBeUndefined();
    expect(engine.asked).toEqual(["lock 00"]);
    stripes.close();
  });

  it.each([1, 3, 4, 8])("is waited for: tried again until it is free, %i times", async (times) => {
    const engine = refusing(times);
    const stripes = stripesWith(engine);
    let ran = 0;
    expect(await stripes.hold("00", "testing", () => (ran += 1))).toBe(1);
    expect(engine.asked).toEqual([...Array<string>(times + 1).fill("lock 00"), "unlock 00"]);
    stripes.close();
  });

  it.each([
    [4711, "process 4711", { waitedMs: 30, pid: 4711 }],
    [undefined, "another process", { waitedMs: 30 }],
  ])("for too long is STORE_BUSY with its holder, if that is known: %s", async (pid, who, details) => {
    const engine = refusing(Number.POSITIVE_INFINITY, pid);
    const stripes = stripesWith(engine, { lockTimeoutMs: 30 });
    await expect(stripes.hold("0a", "testing", () => "never")).rejects.toThrow(
      expect.objectContaining({
        code: "STORE_BUSY",
        message: expect.stringContaining(`testing: ${who} has held the lock for 30 ms`) as string,
        details,
      }) as Error,
    );
    const error = await stripes.hold("0a", "testing", () => "never").catch((thrown: unknown) => thrown as { details: object });
    expect(Object.keys((error as { details: object }).details)).toEqual(Object.keys(details));
    expect(engine.asked.filter((each) => each !== "lock 0a")).toEqual(["holder 0a", "holder 0a"]);
    expect(engine.asked.length).toBeGreaterThan(4);
    stripes.close();
  });

  it("is not waited for any more by who has left; who gets it at once need not have stayed", async () => {
    const stripes = stripesWith(refusing(1));
    await expect(stripes.hold("00", "testing", () => "never", AbortSignal.abort())).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await stripes.hold("00", "testing", () => "free", AbortSignal.abort())).toBe("free");
    const signal = new AbortController();
    const patient = stripesWith(refusing(2));
    expect(await patient.hold("00", "testing", () => "free", signal.signal)).toBe("free");
    stripes.close();
    patient.close();
  });
});

describe("the engine", () => {
  const path = (): string => join(folder, "00");
  const openLock = (): number => openSync(path(), "a+");

  it("of a single process locks nothing", () => {
    const engine = createLockEngine(folder, true);
    const [one, two] = [openLock(), openLock()];
    expect([engine.tryLock(one, path()), engine.tryLock(two, path()), engine.holder(path())]).toEqual([true, true, undefined]);
    engine.unlock(one, path());
    engine.close();
    for (const fd of [one, two]) closeSync(fd);
    expect(readdirSync(folder)).toEqual(["00"]);
  });

  it("of the kernel keeps two descriptors apart, and finds who holds the lock", () => {
    const engine = createLockEngine(folder, false);
    const [one, two] = [openLock(), openLock()];
    expect(engine.holder(path())).toBeUndefined();
    expect([engine.tryLock(one, path()), engine.tryLock(two, path())]).toEqual([true, false]);
    expect(engine.holder(path())).toBe(process.pid);
    expect(engine.holder(join(folder, "01"))).toBeUndefined();
    expect(readdirSync(folder)).toEqual(["00"]);
    engine.unlock(one, path());
    expect(engine.holder(path())).toBeUndefined();
    expect(engine.tryLock(two, path())).toBe(true);
    engine.unlock(two, path());
    engine.close();
    for (const fd of [one, two]) closeSync(fd);
    expect(readdirSync(folder)).toEqual(["00"]);
  });

  it.each([
    [Object.assign(new Error("no"), { code: "ENOLCK" }), "(ENOLCK)"],
    [new Error("no"), "(unknown reason)"],
  ])("of the kernel says that the file system has no locks: %s", (cause, reason) => {
    const engine = createNativeEngine({
      tryLock: () => {
        throw cause;
      },
      unlock: () => undefined,
    });
    expect(() => engine.tryLock(1, path())).toThrow(
      expect.objectContaining({ code: "LOCK_UNAVAILABLE", cause, message: expect.stringContaining(reason) as string }) as Error,
    );
  });
});

describe("links that stand for locks", () => {
  const path = (): string => join(folder, "00");
  const held = (): string => `${path()}.held`;
  const dead = (): Buffer => encodeRecord({ ...ownIdentity(), boot: "before" });

  it("name their owner, and are gone when they are given back", () => {
    const engine = createFileEngine(folder);
    expect(engine.tryLock(0, path())).toBe(true);
    expect(decodeRecord(readFileSync(held()))).toEqual(ownIdentity());
    expect(opened()).toEqual([]);
    const [, owner] = readdirSync(folder).toSorted() as [string, string];
    expect(owner).toMatch(new RegExp(`^owner-${process.pid}-`));
    expect(statSync(join(folder, owner)).mode & 0o777).toBe(0o600);
    expect(engine.holder(path())).toBe(process.pid);
    engine.unlock(0, path());
    expect([existsSync(held()), engine.holder(path())]).toEqual([false, undefined]);
    expect(engine.tryLock(0, path())).toBe(true);
    engine.unlock(0, path());
    engine.close();
    engine.close();
    expect(readdirSync(folder)).toEqual([]);
    // And again, with a file of its own made anew.
    expect(engine.tryLock(0, path())).toBe(true);
    expect(decodeRecord(readFileSync(held()))).toEqual(ownIdentity());
    engine.unlock(0, path());
    engine.close();
    expect(readdirSync(folder)).toEqual([]);
    createFileEngine(folder).close();
  });

  it("of processes that were killed leave no files behind; those of the living, and of who cannot be told, stay", () => {
    const record = (more: object): Buffer => encodeRecord({ ...ownIdentity(), ...more });
    const files = {
      "owner-1-killed": record({ start: "0" }),
      "owner-1-of-another-boot": dead(),
      "owner-1-alive": record({}),
      "owner-1-in-another-container": record({ start: "0", space: "pid:[1]" }),
      "owner-1-being-written": Buffer.alloc(0),
      "other-killed": dead(),
    };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    // Killed with the lock in its hands: the record stays readable through the link until it is broken.
    fs.linkSync(join(folder, "owner-1-killed"), held());
    const engine = createFileEngine(folder);
    expect(engine.tryLock(0, path())).toBe(true);
    expect(decodeRecord(readFileSync(held()))).toEqual(ownIdentity());
    engine.unlock(0, path());
    engine.close();
    expect(readdirSync(folder).toSorted()).toEqual([
      "other-killed",
      "owner-1-alive",
      "owner-1-being-written",
      "owner-1-in-another-container",
    ]);
  });

  it("share a record that is written once: while it was being written again, they would be nobody's", () => {
    const engine = createFileEngine(folder);
    expect(engine.tryLock(0, path())).toBe(true);
    utimesSync(held(), 1, 1);
    const { mtimeMs } = statSync(held());
    expect(engine.tryLock(0, join(folder, "01"))).toBe(true);
    expect(statSync(held()).mtimeMs).toBe(mtimeMs);
    for (const each of [path(), join(folder, "01")]) engine.unlock(0, each);
    engine.close();
  });

  it("that could not be given back are taken again by whoever has them, and by nobody else", () => {
    const [one, two] = [createFileEngine(folder), createFileEngine(folder)];
    expect(one.tryLock(0, path())).toBe(true);
    // The system refuses to remove the link: there is no unlock.
    expect([two.tryLock(0, path()), one.tryLock(0, path())]).toEqual([false, true]);
    one.unlock(0, path());
    expect([two.tryLock(0, path()), one.tryLock(0, path())]).toEqual([true, false]);
    two.unlock(0, path());
    one.close();
    two.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  const { linkSync } = fs;
  const setLinkSync = (how: typeof linkSync): void => {
    Object.assign(fs, { linkSync: how });
    syncBuiltinESMExports();
  };
  afterEach(() => setLinkSync(linkSync));
  /** What happens in the place of the next attempt to make a link of this name. */
  const atLink = (name: string, then: (make: () => void) => void): void =>
    setLinkSync((from, to) => {
      if (to !== name) return linkSync(from, to);
      setLinkSync(linkSync);
      then(() => linkSync(from, to));
    });

  it("and are given back between the attempt and the look at who has them are missed, not broken", () => {
    const [one, two] = [createFileEngine(folder), createFileEngine(folder)];
    expect(one.tryLock(0, path())).toBe(true);
    atLink(held(), (make) => {
      try {
        make();
      } finally {
        one.unlock(0, path());
      }
    });
    expect(two.tryLock(0, path())).toBe(false);
    expect(two.tryLock(0, path())).toBe(true);
    two.unlock(0, path());
    one.close();
    two.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("of the dead that somebody else has broken and taken meanwhile stay with whoever that is", () => {
    const [one, two] = [createFileEngine(folder), createFileEngine(folder)];
    writeFileSync(held(), dead());
    atLink(`${path()}.break`, (make) => {
      // Found dead by both; the other was faster.
      expect(one.tryLock(0, path())).toBe(true);
      make();
    });
    expect(two.tryLock(0, path())).toBe(false);
    expect(existsSync(`${path()}.break`)).toBe(false);
    expect([two.tryLock(0, path()), existsSync(held())]).toEqual([false, true]);
    one.unlock(0, path());
    expect(two.tryLock(0, path())).toBe(true);
    two.unlock(0, path());
    one.close();
    two.close();
  });

  it("of the dead are broken by one at a time: under a second link, which nobody breaks", async () => {
    const engine = createFileEngine(folder);
    writeFileSync(held(), dead());
    writeFileSync(`${path()}.break`, dead());
    expect(engine.tryLock(0, path())).toBe(false);
    expect(readFileSync(held())).toEqual(dead());
    expect(existsSync(`${path()}.break`)).toBe(true);
    rmSync(`${path()}.break`);
    expect(engine.tryLock(0, path())).toBe(true);
    expect(decodeRecord(readFileSync(held()))).toEqual(ownIdentity());
    expect(existsSync(`${path()}.break`)).toBe(false);
    engine.unlock(0, path());
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    writeFileSync(held(), encodeRecord({ ...ownIdentity(), pid: child.pid, start: "1" }));
    expect([engine.holder(path()), engine.tryLock(0, path())]).toEqual([child.pid, true]);
    engine.unlock(0, path());
    engine.close();
  });

  it("of the living stay, and nothing is left of the attempt", () => {
    const engine = createFileEngine(folder);
    writeFileSync(held(), encodeRecord(ownIdentity()));
    expect(engine.tryLock(0, path())).toBe(false);
    expect(existsSync(`${path()}.break`)).toBe(false);
    expect(decodeRecord(readFileSync(held()))).toEqual(ownIdentity());
    engine.close();
  });

  it("of nobody who can be told are broken, and have no holder", () => {
    const engine = createFileEngine(folder);
    writeFileSync(held(), "half a rec");
    expect(engine.holder(path())).toBeUndefined();
    expect(engine.tryLock(0, path())).toBe(true);
    engine.unlock(0, path());
    engine.close();
  });

  it("that cannot be made are an error, not a lock that is taken", () => {
    const engine = createFileEngine(folder);
    expect(() => engine.tryLock(0, join(folder, "missing", "00"))).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
    expect(() => createFileEngine(join(folder, "missing")).tryLock(0, path())).toThrow();
    engine.close();
  });
});
