import { existsSync, readFileSync } from "node:fs";
import { createLog, message, verifyLog } from "@aixgo/session-testkit";
import Database from "libsql";
import { describe, expect, it, vi } from "vitest";
import { append, codeOf, count, creating, newFile, open, start } from "./support/stores.ts";

describe("logs that do not fit into memory at once", () => {
  const big = (): ReturnType<typeof createLog> => {
    const log = createLog({ key: "big" });
    for (let i = 0; i < 24; i++) log.add(message(`${i}`.repeat(100_000)));
    return log;
  };

  it("are created whole, and rewritten whole", async () => {
    const file = newFile();
    const backend = open(file);
    const log = big();
    await backend.create(creating(log));
    expect(Buffer.concat((await verifyLog(backend, log.ref)).lines).equals(Buffer.concat(log.lines))).toBe(true);
    const next = createLog({ id: log.ref.id, key: "big" });
    for (let i = 0; i < 20; i++) next.add(message(`${i}`.repeat(90_000)));
    await backend.rewrite(log.ref, { expect: log.position, next: next.ref, lines: creating(next).lines(next.ref.id) });
    expect(Buffer.concat((await verifyLog(backend, next.ref)).lines).equals(Buffer.concat(next.lines))).toBe(true);
    expect(count(file, "SELECT count(*) FROM lines")).toBe(next.lines.length);
    expect(count(file, "SELECT count(*) FROM logs")).toBe(1);
  });

  it("leave nothing when their source fails late", async () => {
    const file = newFile();
    const backend = open(file);
    const log = big();
    const failure = new Error("the source failed");
    async function* lines(): AsyncGenerator<Uint8Array> {
      yield* log.lines;
      expect(count(file, "SELECT count(*) FROM lines")).toBeGreaterThan(0);
      throw failure;
    }
    await expect(backend.create({ ...creating(log), lines })).rejects.toBe(failure);
    expect(count(file, "SELECT count(*) FROM lines")).toBe(0);
    expect(count(file, "SELECT count(*) FROM logs")).toBe(0);
  });

  it("of a creator that died are cleared a day later, those of a slow one are not", async () => {
    const file = newFile();
    await start(open(file));
    const database = new Database(file);
    const day = 24 * 60 * 60 * 1000;
    for (const age of [2 * day, day / 2]) {
      database.prepare("INSERT INTO logs (draft_ms) VALUES (?)").run([Date.now() - age]);
      database.exec("INSERT INTO lines (log, seq, entry, line) SELECT max(log), 0, '\"e\"', x'00' FROM logs");
    }
    database.close();
    await open(file).list({});
    expect(count(file, "SELECT count(*) FROM logs WHERE draft_ms IS NOT NULL")).toBe(1);
    expect(count(file, "SELECT count(*) FROM lines")).toBe(2);
  });
});

describe("attachments", () => {
  async function* bytes(size: number, fill: string): AsyncGenerator<Uint8Array> {
    for (let left = size; left > 0; left -= 700_000) yield Buffer.alloc(Math.min(left, 700_000), fill);
  }

  it("are kept once for a session and its forks, and go with the last of them", async () => {
    const file = newFile();
    const backend = open(file);
    const { blobs } = backend;
    const log = await start(backend);
    const digest = (await blobs?.put(log.ref, undefined, bytes(2_500_000, "x"))) ?? "";
    expect(count(file, "SELECT count(*) FROM chunks")).toBe(3);
    const fork = createLog();
    await backend.create({ ...creating(fork), blobs: () => ({ from: log.ref, digests: new Set([digest]) }) });
    expect(count(file, "SELECT count(*) FROM bodies")).toBe(1);
    await backend.delete(log.ref);
    expect(count(file, "SELECT count(*) FROM chunks")).toBe(3);
    await backend.delete(fork.ref, { erase: true });
    expect(count(file, "SELECT count(*) FROM chunks")).toBe(0);
    expect(count(file, "SELECT count(*) FROM bodies")).toBe(0);
  });

  it("leave nothing when their source fails late, and what a dead process left is cleared a day later", async () => {
    const file = newFile();
    const backend = open(file);
    const { ref } = await start(backend);
    const failure = new Error("the source failed");
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* bytes(2_500_000, "x");
      expect(count(file, "SELECT count(*) FROM chunks")).toBe(2);
      throw failure;
    }
    await expect(backend.blobs?.put(ref, undefined, failing())).rejects.toBe(failure);
    expect(count(file, "SELECT count(*) FROM bodies")).toBe(0);
    const database = new Database(file);
    for (const age of [2, 0.5])
      database.prepare("INSERT INTO bodies (draft_ms) VALUES (?)").run([Math.round(Date.now() - age * 86_400_000)]);
    database.close();
    await open(file).list({});
    expect(count(file, "SELECT count(*) FROM bodies")).toBe(1);
  });
});

describe("deleted content", () => {
  it("is nowhere in the files after an erase", async () => {
    const file = newFile();
    const backend = open(file);
    const log = await start(backend, { metadata: { note: "marker-in-metadata" } });
    await start(backend);
    await append(backend, log, `marker-in-a-message ${"x".repeat(20_000)}`);
    const everything = (): string => [file, `${file}-wal`].map((each) => (existsSync(each) ? readFileSync(each, "latin1") : "")).join("");
    expect(everything()).toContain("marker-in-a-message");
    await backend.delete(log.ref, { erase: true });
    expect(everything()).not.toContain("marker-in");
  });

  it("is refused for thirty days, and unknown afterwards", async () => {
    const backend = open(newFile());
    const log = await start(backend);
    await backend.delete(log.ref);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 29 * 86_400_000 });
    try {
      expect(await codeOf(backend.head(log.ref.id))).toBe("SESSION_DELETED");
      vi.setSystemTime(Date.now() + 2 * 86_400_000);
      expect(await codeOf(backend.head(log.ref.id))).toBe("SESSION_NOT_FOUND");
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a rewrite", () => {
  it("keeps the wrapped keys, which lie outside the log", async () => {
    const backend = open(newFile());
    const log = await start(backend);
    const keys = Uint8Array.from([1, 0, 255]);
    const expect0 = log.position;
    await backend.append(log.ref, { expect: expect0, lines: log.add(message("one")), keys });
    const next = createLog({ id: log.ref.id });
    const answer = await backend.rewrite(log.ref, { expect: log.position, next: next.ref, lines: creating(next).lines(next.ref.id) });
    expect("head" in answer && answer.head.keys).toEqual(keys);
    expect((await backend.head(log.ref.id)).keys).toEqual(keys);
  });
});
