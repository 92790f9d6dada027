import { appendFileSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Append, Appended, Head, SessionBackend } from "@aixgo/session/backend";
import { decodeRecord, encodeRecord } from "../src/record.ts";
import { createWith, LineWriter, open, readAll, temporaryStore } from "./support/writer.ts";

const LIMIT = 64 * 1024;
const MEGABYTE = 1024 * 1024;
let store: string;
let backend: SessionBackend;
let writer: LineWriter;
beforeEach(async () => {
  store = temporaryStore();
  backend = open(store, { maxLineBytes: LIMIT });
  writer = await createWith(backend, 3);
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const log = (): string => join(store, "writer", `${writer.ref.id}.jsonl`);
const recordPath = (): string => join(store, ".aixgo", "leases", writer.ref.id);
const next = (): LineWriter => LineWriter.after(writer.ref, writer.position, writer.n);
/** An append behind the last line; `writer` goes on behind it if it lands. */
async function send(build: (mine: LineWriter) => readonly Buffer[], more: Partial<Append> = {}): Promise<Appended> {
  const mine = next();
  const answer = await backend.append(writer.ref, { expect: writer.position, lines: build(mine), ...more });
  if ("head" in answer) Object.assign(writer, { seq: mine.seq, hash: mine.hash, n: mine.n });
  return answer;
}
const one =
  (text = "x"): ((mine: LineWriter) => readonly Buffer[]) =>
  (mine) => [mine.message(text)];
const acquire = (fence: number): Append["acquire"] => ({ fence, token: `t${fence}`, holder: "me", ttlMs: 60_000 });
const textIn = (answer: Appended): string | undefined =>
  "conflict" in answer && answer.since !== undefined ? Buffer.from(answer.since).toString() : undefined;
/** Nothing of it may be in the file. */
async function refused(call: () => Promise<unknown>, code: string): Promise<void> {
  const before = readFileSync(log());
  await expect(call()).rejects.toMatchObject({ code });
  expect(readFileSync(log())).toEqual(before);
}

describe("lines that no log can take are refused", () => {
  it("none, a line end in one, one that is too long by a byte", async () => {
    await refused(() => send(() => []), "INVALID_INPUT");
    await refused(() => send((mine) => [Buffer.from(`${mine.message("a").toString()}\n`)]), "INVALID_INPUT");
    await refused(() => send((mine) => [mine.message("a"), Buffer.from("a\nb")]), "INVALID_INPUT");
    const { length } = next().message("");
    await refused(() => send(one("x".repeat(LIMIT - length + 1))), "LIMIT_EXCEEDED");
    expect(await send(one("x".repeat(LIMIT - length)))).toHaveProperty("head.seq", 4);
  });

  it("those that do not follow, or end inside a batch", async () => {
    const wrong: ((mine: LineWriter) => readonly Buffer[])[] = [
      (mine) => [mine.message("a"), LineWriter.after(writer.ref, { seq: 4, hash: "x".repeat(43) }).message("b")],
      (mine) => [LineWriter.after(writer.ref, { seq: mine.seq + 1, hash: mine.hash }).message("a")],
      (mine) => mine.batch(["a", "b"]).slice(0, 1),
      (mine) => [mine.message("a"), ...mine.batch(["b", "c"]).slice(0, 1)],
      (mine) => [Buffer.from(mine.message("a").toString().replace('"a"', '"b"'))],
      () => [Buffer.from("{}")],
    ];
    for (const build of wrong) await refused(() => send(build), "ENTRY_CORRUPT");
    await expect(send(wrong[0] as never)).rejects.toMatchObject({ details: { session: writer.ref.id, seq: 4 } });
    expect(await send((mine) => mine.batch(["a", "b"]))).toHaveProperty("head.seq", 5);
  });

  it("those of another life, and those that nobody waits for any more", async () => {
    const mine = next();
    const lines = [mine.message("a")];
    await refused(
      () => backend.append({ ...writer.ref, incarnation: "another" }, { expect: writer.position, lines }),
      "INCARNATION_CHANGED",
    );
    await refused(() => backend.append(writer.ref, { expect: writer.position, lines, signal: AbortSignal.abort() }), "CANCELLED");
    expect(await backend.append(writer.ref, { expect: writer.position, lines, signal: new AbortController().signal })).toHaveProperty(
      "head.seq",
      4,
    );
  });
});

it("what was left of a line is cut off, also where it is longer than any line may be", async () => {
  const { size } = statSync(log());
  const torn = Buffer.alloc(9 * MEGABYTE, "x");
  torn[8 * MEGABYTE + 1] = 10;
  appendFileSync(log(), torn);
  expect(await send(one())).toHaveProperty("head.seq", 4);
  expect(statSync(log()).size).toBeLessThan(size + 1000);
});

describe("an append on another head than it expects", () => {
  const at = async (expected: Append["expect"]): Promise<Appended> => {
    const mine = LineWriter.after(writer.ref, expected);
    return backend.append(writer.ref, { expect: expected, lines: [mine.message("late")] });
  };

  it("is a conflict with the lines since, as long as the place is one of this log", async () => {
    const entries = await readAll(backend, writer.ref);
    const lines = readFileSync(log()).toString().split("\n").slice(0, -1);
    const place = (seq: number): Append["expect"] => ({ seq, hash: entries[seq]?.hash as string });
    const size = statSync(log()).size;
    for (const seq of [0, 1, 2]) {
      const answer = await at(place(seq));
      expect(answer).toMatchObject({ conflict: { seq: 3, hash: writer.hash } });
      expect(textIn(answer)).toBe(
        lines
          .slice(seq + 1)
          .map((line) => `${line}\n`)
          .join(""),
      );
    }
    for (const elsewhere of [
      { seq: 2, hash: place(1).hash },
      { seq: 4, hash: writer.hash },
      { seq: -1, hash: writer.ref.incarnation },
      { seq: 2, hash: "short" },
      { seq: 3, hash: place(2).hash },
    ]) {
      const answer = await at(elsewhere);
      expect(answer).toMatchObject({ conflict: { seq: 3 } });
      expect(textIn(answer)).toBeUndefined();
    }
    expect(statSync(log()).size).toBe(size);
  });

  it("comes without the lines if they are more than a megabyte", async () => {
    const before = writer.position;
    for (let count = 0; count < 16; count += 1) await send(one("x".repeat(60_000)));
    expect(Buffer.byteLength(textIn(await at(before)) ?? "")).toBeGreaterThan(900_000);
    for (let count = 0; count < 2; count += 1) await send(one("x".repeat(60_000)));
    expect(textIn(await at(before))).toBeUndefined();
  });

  it("says so before it says that a lease is not held, and shows the one that is", async () => {
    await send((mine) => [mine.message("turn", { fence: 1 })], { acquire: acquire(1) as NonNullable<Append["acquire"]> });
    const stale = { seq: 0, hash: "x".repeat(43) };
    const lines = [LineWriter.after(writer.ref, stale).message("late")];
    expect(await backend.append(writer.ref, { expect: stale, lines, lease: { fence: 9, token: "none" } })).toMatchObject({
      conflict: { seq: 4, fence: 1, lease: { fence: 1, holder: "me" } },
    });
    await refused(() => send(one(), { lease: { fence: 9, token: "none" } }), "FENCED");
  });
});

describe("the lease beside a log", () => {
  const record = (): Record<string, unknown> => decodeRecord(readFileSync(recordPath())) as Record<string, unknown>;
  const under = (fence: number, more: Partial<Append> = {}): Promise<Appended> =>
    send((mine) => [mine.message("step", { fence })], { lease: { fence, token: `t${fence}` }, ...more });

  it("is taken with the next fence, changed by nothing in between, and given up with the last append", async () => {
    for (const fence of [0, 2]) expect(await send(one(), { acquire: acquire(fence) as never })).toHaveProperty("conflict.seq", 3);
    const { head } = (await send(one(), { acquire: acquire(1) as never })) as { head: Head };
    expect(head.lease).toEqual({ fence: 1, holder: "me", expiresInMs: expect.any(Number) as number });
    const taken = record();
    expect(taken).toMatchObject({ incarnation: writer.ref.incarnation, fence: 1, token: "t1", holder: "me" });
    expect(await under(1)).toHaveProperty("head.lease.fence", 1);
    expect(await under(1, { release: false })).toHaveProperty("head.lease.fence", 1);
    expect(record()).toEqual(taken);
    const released = (await under(1, { release: true })) as { head: Head };
    expect([released.head.fence, "lease" in released.head]).toEqual([1, false]);
    expect(record()).toEqual({ ...taken, released: true });
    await refused(() => under(1), "FENCED");
    // Without a lease nothing is released, and the fence goes on.
    expect(await send(one(), { release: true })).toHaveProperty("head.seq", 8);
    for (const fence of [1, 3]) expect(await send(one(), { acquire: acquire(fence) as never })).toHaveProperty("conflict");
    expect(await send(one(), { acquire: acquire(2) as never })).toHaveProperty("head.fence", 2);
    expect(await send(one(), { acquire: acquire(3) as never })).toHaveProperty("conflict.lease.fence", 2);
  });

  it("whose record a power cut left half written counts as none, to readers and writers", async () => {
    await send(one(), { acquire: acquire(1) as never });
    await backend.close();
    appendFileSync(recordPath(), "");
    const whole = readFileSync(recordPath());
    rmSync(recordPath());
    appendFileSync(recordPath(), whole.subarray(0, 40), { mode: 0o600 });
    backend = open(store, { maxLineBytes: LIMIT });
    const head = await backend.head(writer.ref.id);
    expect("lease" in head).toBe(false);
    await refused(() => under(1), "FENCED");
    expect(await send(one(), { acquire: acquire(1) as never })).toHaveProperty("head.lease.fence", 1);
  });

  it("has a higher fence than the log where the end of the log was lost", async () => {
    await send(one(), { acquire: acquire(1) as never });
    const kept = { ...record(), fence: 7, released: true };
    await backend.close();
    rmSync(recordPath());
    appendFileSync(recordPath(), encodeRecord(kept), { mode: 0o600 });
    backend = open(store, { maxLineBytes: LIMIT });
    expect(await backend.head(writer.ref.id)).toMatchObject({ fence: 7 });
    expect(await send(one(), { acquire: acquire(2) as never })).toHaveProperty("conflict.fence", 7);
    expect(await send(one(), { acquire: acquire(8) as never })).toHaveProperty("head.fence", 8);
  });
});

describe("keys and heads", () => {
  it("wrapped keys come with the append that brings them, and stay", async () => {
    expect("keys" in (await backend.head(writer.ref.id))).toBe(false);
    const keys = Uint8Array.of(1, 2, 3);
    const { head } = (await send(one(), { keys })) as { head: Head };
    expect([...(head.keys as Uint8Array)]).toEqual([1, 2, 3]);
    await send(one());
    const other = open(store);
    for (const each of [backend, other]) expect([...((await each.head(writer.ref.id)).keys as Uint8Array)]).toEqual([1, 2, 3]);
    await other.close();
  });

  it("of a damaged log are told only to who asks for them", async () => {
    await backend.close();
    const text = readFileSync(log(), "latin1").replace("message 1", "massage 1");
    rmSync(log());
    appendFileSync(log(), text, { encoding: "latin1", mode: 0o600 });
    backend = open(store);
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    await expect(backend.head(writer.ref.id, { evenDamaged: false })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect(await backend.head(writer.ref.id, { evenDamaged: true })).toMatchObject({
      seq: 1,
      damage: { seq: 2, message: expect.stringContaining("is damaged at entry 2") as string },
    });
  });

  it("follow two handles that write in turns, at once and one behind the other", async () => {
    const other = open(store);
    const write = async (at: SessionBackend, text: string): Promise<void> => {
      for (;;) {
        const head = await at.head(writer.ref.id);
        const mine = LineWriter.after(writer.ref, head, head.info.messageCount);
        const answer = await at.append(writer.ref, { expect: { seq: head.seq, hash: head.hash }, lines: [mine.message(text)] });
        if ("head" in answer) return;
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, index) => write(index % 2 === 0 ? backend : other, `w${index}`)));
    for (const each of [backend, other]) expect(await readAll(each, writer.ref)).toHaveLength(24);
    await other.close();
  });
});
