import fs, { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Head } from "@aixgo/session/backend";
import { createLayout, type Layout } from "../src/layout.ts";
import {
  cancelled,
  completeHead,
  holds,
  isLive,
  LeaseFile,
  type LeaseRecord,
  prolonged,
  remainingMs,
  removeLease,
  shownLease,
  taken,
} from "../src/lease.ts";
import { ownIdentity, sharedNowMs } from "../src/process-identity.ts";
import { encodeRecord } from "../src/record.ts";
import { temporaryStore } from "./support/writer.ts";

const ask = { fence: 3, token: "secret", holder: "me", ttlMs: 60_000 };
const record = (more: Partial<LeaseRecord> = {}): LeaseRecord => ({ ...taken("life", ask), ...more });

describe("the record of a lease", () => {
  it("says who holds it, until when, and which process that is", () => {
    const before = sharedNowMs();
    const { expiresAt, ...rest } = taken("life", ask);
    expect(rest).toEqual({ incarnation: "life", fence: 3, token: "secret", holder: "me", process: ownIdentity() });
    expect(expiresAt).toBeGreaterThanOrEqual(before + 60_000);
    expect(expiresAt).toBeLessThanOrEqual(sharedNowMs() + 60_000);
  });

  it("is prolonged from now on, by whoever does it, and keeps the rest", () => {
    const other = { ...ownIdentity(), pid: 1 };
    const { expiresAt, process, ...rest } = prolonged(record({ expiresAt: 5, process: other, cancelRequested: "stop" }), 30_000);
    expect(rest).toEqual({ incarnation: "life", fence: 3, token: "secret", holder: "me", cancelRequested: "stop" });
    expect(process).toEqual(ownIdentity());
    expect(expiresAt - sharedNowMs()).toBeGreaterThan(20_000);
    expect(expiresAt - sharedNowMs()).toBeLessThanOrEqual(30_000);
  });

  it("takes a reason to stop, and no more of it than a thousand letters", () => {
    const base = record();
    expect(cancelled(base, "stop")).toEqual({ ...base, cancelRequested: "stop" });
    expect(cancelled(base, "x".repeat(1001)).cancelRequested).toBe("x".repeat(1000));
  });

  it("is live while it has time left, is not given up, and its process may live", () => {
    const now = sharedNowMs();
    expect(isLive(undefined)).toBe(false);
    expect(isLive(record())).toBe(true);
    expect(isLive(record({ released: true }))).toBe(false);
    expect(isLive(record({ expiresAt: now - 1 }))).toBe(false);
    const dead = record({ process: { ...ownIdentity(), boot: "before" } });
    expect([isLive(dead), remainingMs(dead)]).toEqual([false, 0]);
    // What ran out before its process died still says since when.
    expect(remainingMs({ ...dead, expiresAt: now - 500 })).toBeLessThanOrEqual(-500);
    expect(remainingMs(record())).toBeGreaterThan(50_000);
  });

  it("is held by its fence and token together, until it is given up, also when it ran out", () => {
    const lease = { fence: 3, token: "secret" };
    expect(holds(record({ expiresAt: 0 }), lease)).toBe(true);
    expect(holds(undefined, lease)).toBe(false);
    expect(holds(record({ released: true }), lease)).toBe(false);
    expect(holds(record(), { ...lease, fence: 2 })).toBe(false);
    expect(holds(record(), { ...lease, token: "guessed" })).toBe(false);
  });

  it("is shown without its token", () => {
    expect(shownLease(record())).toEqual({ fence: 3, holder: "me", expiresInMs: expect.any(Number) as number });
    expect(shownLease(record({ cancelRequested: "stop" }))).toMatchObject({ cancelRequested: "stop" });
  });

  it("completes a head: the higher fence, the lease unless given up, the keys", () => {
    const head = { id: "s", fence: 2, seq: 1 } as unknown as Head;
    expect(completeHead(head, undefined, undefined)).toBe(head);
    const keys = Uint8Array.of(1);
    expect(completeHead(head, undefined, keys)).toEqual({ ...head, keys });
    expect(completeHead(head, record(), undefined)).toStrictEqual({
      ...head,
      fence: 3,
      lease: { fence: 3, holder: "me", expiresInMs: expect.any(Number) as number },
    });
    expect(completeHead(head, record({ released: true }), undefined)).toEqual({ ...head, fence: 3 });
    expect(completeHead({ ...head, fence: 9 }, record({ released: true }), keys)).toEqual({ ...head, fence: 9, keys });
  });
});

describe("the file of a lease", () => {
  let store: string;
  let layout: Layout;
  let file: LeaseFile;
  let path: string;
  beforeEach(() => {
    store = temporaryStore();
    layout = createLayout(store, store);
    path = layout.own("leases", "id");
    mkdirSync(dirname(path), { recursive: true });
    file = new LeaseFile(layout, "id");
  });
  afterEach(() => {
    file.close();
    rmSync(store, { recursive: true, force: true });
  });

  it("is not there until it is needed: reading makes none", () => {
    expect(file.read("life")).toBeUndefined();
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
    file.prepare();
    expect(statSync(path)).toMatchObject({ size: 512 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    // Room, but no record.
    expect(file.read("life")).toBe("torn");
  });

  it("is given room once, and none where it has some", () => {
    file.write(record());
    const before = readFileSync(path);
    file.prepare();
    expect(readFileSync(path)).toEqual(before);
    expect(file.read("life")).toEqual(record({ expiresAt: (file.read("life") as LeaseRecord).expiresAt }));
    writeFileSync(path, "");
    file.prepare();
    expect(statSync(path).size).toBe(0);
    file.close();
    file.prepare();
    expect(statSync(path).size).toBe(512);
  });

  it("holds what was written last, whatever was longer before", () => {
    const long = record({ holder: "x".repeat(2000) });
    file.write(long);
    expect(file.read("life")).toEqual(long);
    const short = record();
    file.write(short);
    expect(file.read("life")).toEqual(short);
    const other = new LeaseFile(layout, "id");
    expect(other.read("life")).toEqual(short);
    other.close();
  });

  it("says nothing of another life of the session, nor of another boot", () => {
    file.write(record());
    expect(file.read("another life")).toBeUndefined();
    file.write(record({ process: { ...ownIdentity(), boot: "before" } }));
    expect(file.read("life")).toBeUndefined();
  });

  it("that is empty has no record; one that is half written is torn", () => {
    writeFileSync(path, "", { mode: 0o600 });
    expect(file.read("life")).toBeUndefined();
    writeFileSync(path, encodeRecord(record()).subarray(0, 60));
    expect(file.read("life")).toBe("torn");
  });

  it("is opened anew after a close, and closing is idempotent", () => {
    file.write(record());
    file.close();
    file.close();
    removeLease(layout, "id");
    expect(file.read("life")).toBeUndefined();
    removeLease(layout, "id");
    file.write(record());
    expect(file.read("life")).toMatchObject({ fence: 3 });
  });

  it("is kept open once, however often it is used, until it is closed", () => {
    const handles = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === path;
        } catch {
          return false;
        }
      }).length;
    file.write(record());
    file.prepare();
    for (let count = 0; count < 3; count += 1) file.read("life");
    expect(handles()).toBe(1);
    file.close();
    expect(handles()).toBe(0);
  });

  it("that is removed between the look and the opening is an absent lease", () => {
    file.write(record());
    file.close();
    const { openSync } = fs;
    Object.assign(fs, {
      openSync: (...args: Parameters<typeof openSync>) => {
        rmSync(path, { force: true });
        return openSync(...args);
      },
    });
    syncBuiltinESMExports();
    try {
      expect(file.read("life")).toBeUndefined();
    } finally {
      Object.assign(fs, { openSync });
      syncBuiltinESMExports();
    }
  });

  it("that cannot be opened is an error, not an absent lease", () => {
    mkdirSync(path);
    expect(() => file.read("life")).toThrow();
    expect(() => file.prepare()).toThrow();
    const nowhere = new LeaseFile(createLayout(`${store}/missing`, store), "id");
    expect(nowhere.read("life")).toBeUndefined();
    expect(() => nowhere.write(record())).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  });
});
