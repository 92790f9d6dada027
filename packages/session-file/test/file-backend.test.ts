import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  copyFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { append, createWith, LineWriter, open, readAll, request, temporaryStore, textOf } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;

beforeEach(() => {
  store = temporaryStore();
  backend = open(store);
});
afterEach(async () => {
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const pathOf = (writer: LineWriter): string => join(store, writer.agentName, `${writer.ref.id}.jsonl`);

describe("append", () => {
  it("stores lines as they are, one after another", async () => {
    const writer = new LineWriter();
    const header = request(writer);
    await backend.create(header);
    const expectAt = writer.position;
    const lines = [writer.message("one"), writer.message("two")];
    const result = await backend.append(writer.ref, { expect: expectAt, lines });
    expect(result).toMatchObject({ head: { seq: 2, headSeq: 2, info: { version: 2, messageCount: 2 } } });
    const file = readFileSync(pathOf(writer));
    expect(file.subarray(file.length - Buffer.concat(lines).length - 2).toString()).toBe(`${lines[0]}\n${lines[1]}\n`);
    expect(statSync(pathOf(writer)).mode & 0o777).toBe(0o600);
    expect(statSync(join(store, "writer")).mode & 0o777).toBe(0o700);
  });

  it("with a stale position writes nothing and answers with the lines since", async () => {
    const writer = await createWith(backend, 3);
    const stale = LineWriter.after(writer.ref, writer.position);
    await append(backend, writer, "newer");
    await append(backend, writer, "newest");
    const before = readFileSync(pathOf(writer));
    const result = await backend.append(writer.ref, { expect: stale.position, lines: [stale.message("late")] });
    expect(result).toMatchObject({ conflict: { seq: 5 } });
    const since = Buffer.from((result as { since: Uint8Array }).since).toString();
    expect(
      since
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).seq),
    ).toEqual([4, 5]);
    expect(readFileSync(pathOf(writer))).toEqual(before);
  });

  it("with the right seq and another hash conflicts, without lines that cannot be told", async () => {
    const writer = await createWith(backend, 2);
    const other = LineWriter.after(writer.ref, { seq: writer.seq, hash: "x".repeat(43) });
    const result = await backend.append(writer.ref, { expect: other.position, lines: [other.message("late")] });
    expect(result).toHaveProperty("conflict.seq", 2);
    expect(result).not.toHaveProperty("since");
  });

  it("refuses lines that do not follow, half a batch, a line end inside, and writes nothing", async () => {
    const writer = await createWith(backend, 1);
    const before = readFileSync(pathOf(writer));
    const at = writer.position;
    const half = LineWriter.after(writer.ref, at).batch(["a", "b"]);
    await expect(backend.append(writer.ref, { expect: at, lines: half.slice(0, 1) })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    const skipped = LineWriter.after(writer.ref, at);
    skipped.message("left out");
    await expect(backend.append(writer.ref, { expect: at, lines: [skipped.message("gap")] })).rejects.toMatchObject({
      code: "ENTRY_CORRUPT",
    });
    await expect(backend.append(writer.ref, { expect: at, lines: [Buffer.from("{}\n{}")] })).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    await expect(backend.append(writer.ref, { expect: at, lines: [] })).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(readFileSync(pathOf(writer))).toEqual(before);
    await append(backend, writer, "goes on");
  });

  it("refuses a line over the limit before anything is written", async () => {
    const small = open(store, { maxLineBytes: 2048 });
    const writer = await createWith(small, 1);
    const at = writer.position;
    const long = LineWriter.after(writer.ref, at).message("x".repeat(3000));
    await expect(small.append(writer.ref, { expect: at, lines: [long] })).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    await append(small, writer, "still works");
    await small.close();
  });

  it("of another incarnation is refused before its position is looked at", async () => {
    const writer = await createWith(backend, 1);
    const foreign = new LineWriter({ id: writer.ref.id });
    await expect(backend.append(foreign.ref, { expect: { seq: 99, hash: "" }, lines: [foreign.header()] })).rejects.toMatchObject({
      code: "INCARNATION_CHANGED",
    });
  });

  it("of two at once on one position lets one through", async () => {
    const other = open(store);
    const writer = await createWith(backend, 1);
    const at = writer.position;
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        (i % 2 === 0 ? backend : other).append(writer.ref, { expect: at, lines: [LineWriter.after(writer.ref, at).message(`of ${i}`)] }),
      ),
    );
    expect(results.filter((result) => "head" in result)).toHaveLength(1);
    expect(await readAll(backend, writer.ref)).toHaveLength(3);
    await other.close();
  });

  it("after the signal is aborted writes nothing", async () => {
    const writer = await createWith(backend, 1);
    const at = writer.position;
    await expect(
      backend.append(writer.ref, { expect: at, lines: [LineWriter.after(writer.ref, at).message("no")], signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await readAll(backend, writer.ref)).toHaveLength(2);
  });

  it("stores a line of 16 MiB less one byte", async () => {
    const writer = await createWith(backend, 0);
    const text = "x".repeat(16 * 1024 * 1024 - 400);
    await append(backend, writer, text);
    await append(backend, writer, "after");
    expect((await readAll(backend, writer.ref)).map((entry) => entry.seq)).toEqual([0, 1, 2]);
    const fresh = open(store);
    expect((await fresh.head(writer.ref.id)).seq).toBe(2);
    expect((await readAll(fresh, writer.ref, { reverse: true })).map((entry) => entry.seq)).toEqual([2, 1, 0]);
    await fresh.close();
  });
});

describe("two backends on one folder", () => {
  it("see each other's appends at once", async () => {
    const other = open(store);
    const writer = await createWith(backend, 1);
    for (let i = 0; i < 20; i++) {
      const at = i % 2 === 0 ? backend : other;
      await append(at, writer, `turn ${i}`);
      expect((await (i % 2 === 0 ? other : backend).head(writer.ref.id)).seq).toBe(writer.seq);
    }
    expect((await readAll(other, writer.ref)).map((entry) => entry.seq)).toEqual([...Array(22).keys()]);
    await other.close();
  });

  it("notice a log that was replaced by hand", async () => {
    const writer = await createWith(backend, 3);
    const copy = `${pathOf(writer)}.copy`;
    copyFileSync(pathOf(writer), copy);
    chmodSync(copy, 0o600);
    await append(backend, writer, "lost with the replacement");
    renameSync(copy, pathOf(writer));
    expect((await backend.head(writer.ref.id)).seq).toBe(3);
  });

  it("notice a log that was cut and filled again to the same length", async () => {
    const writer = await createWith(backend, 1);
    const at = writer.position;
    const one = LineWriter.after(writer.ref, at);
    await append(backend, one, "first text");
    const bytes = readFileSync(pathOf(writer));
    const two = LineWriter.after(writer.ref, at);
    const line = two.message("other text");
    writeFileSync(pathOf(writer), Buffer.concat([bytes.subarray(0, bytes.length - line.length - 1), line, Buffer.from("\n")]));
    expect((await backend.head(writer.ref.id)).hash).toBe(two.hash);
  });

  it("notice a log that was removed", async () => {
    const writer = await createWith(backend, 1);
    rmSync(pathOf(writer));
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    await expect(backend.append(writer.ref, { expect: writer.position, lines: [writer.message("late")] })).rejects.toMatchObject({
      code: "SESSION_NOT_FOUND",
    });
    expect(existsSync(pathOf(writer))).toBe(false);
  });
});

describe("read", () => {
  it("answers any range, forwards and backwards", async () => {
    const writer = await createWith(backend, 0);
    const lines: Buffer[] = [];
    const at = writer.position;
    for (let i = 1; i <= 3000; i++) lines.push(writer.message(`${i} ${"y".repeat(i % 97)}`));
    await backend.append(writer.ref, { expect: at, lines });
    const fresh = open(store);
    for (const [from, to] of [
      [0, 3000],
      [1, 1],
      [0, 0],
      [3000, 3000],
      [17, 2500],
      [1499, 1501],
      [2990, 9999],
      [3001, 4000],
    ] as const) {
      const want = Array.from({ length: Math.max(0, Math.min(to, 3000) - from + 1) }, (_, i) => from + i);
      expect((await readAll(fresh, writer.ref, { from, to })).map((entry) => entry.seq)).toEqual(want);
      expect((await readAll(fresh, writer.ref, { from, to, reverse: true })).map((entry) => entry.seq)).toEqual(want.toReversed());
      expect((await readAll(fresh, writer.ref, { from, to, limit: 5 })).map((entry) => entry.seq)).toEqual(want.slice(0, 5));
      expect((await readAll(fresh, writer.ref, { from, to, reverse: true, limit: 5 })).map((entry) => entry.seq)).toEqual(
        want.toReversed().slice(0, 5),
      );
    }
    for await (const page of fresh.read(writer.ref)) expect(page.length).toBeLessThanOrEqual(64 * 1024);
    for await (const page of fresh.read(writer.ref, { reverse: true })) expect(page.length).toBeLessThanOrEqual(64 * 1024);
    await fresh.close();
  });

  it("keeps its end where it was when reading began, and goes on while others write", async () => {
    const writer = await createWith(backend, 0);
    const at = writer.position;
    const lines = Array.from({ length: 2000 }, (_, i) => writer.message(`line ${i} ${"z".repeat(80)}`));
    await backend.append(writer.ref, { expect: at, lines });
    let count = 0;
    for await (const page of backend.read(writer.ref)) {
      count += Buffer.from(page).toString().split("\n").length - 1;
      await append(backend, writer, "meanwhile");
    }
    expect(count).toBe(2001);
  });

  it("of another incarnation is refused", async () => {
    const writer = await createWith(backend, 1);
    await expect(readAll(backend, { id: writer.ref.id, incarnation: "other" })).rejects.toMatchObject({ code: "INCARNATION_CHANGED" });
  });
});

describe("find", () => {
  it("answers with the last entry that has the op or the id", async () => {
    const writer = await createWith(backend, 0);
    await append(backend, writer, 'says ,"op":"u:2" in its text', { op: "u:1" });
    await append(backend, writer, "two", { op: "u:2", id: "the-id" });
    await append(backend, writer, "three", { op: "u:1" });
    for (const at of [backend, open(store)]) {
      expect(await at.find(writer.ref, { op: "u:1" })).toBe(3);
      expect(await at.find(writer.ref, { op: "u:2" })).toBe(2);
      expect(await at.find(writer.ref, { op: "u:3" })).toBeUndefined();
      expect(await at.find(writer.ref, { entryId: "the-id" })).toBe(2);
      expect(await at.find(writer.ref, { entryId: "u:2" })).toBeUndefined();
      if (at !== backend) await at.close();
    }
    await append(backend, writer, "four", { op: 'u:"quoted"\\' });
    expect(await backend.find(writer.ref, { op: 'u:"quoted"\\' })).toBe(4);
  });

  it("knows ops that another process wrote since", async () => {
    const other = open(store);
    const writer = await createWith(backend, 1);
    expect(await backend.find(writer.ref, { op: "late" })).toBeUndefined();
    await append(other, writer, "by another", { op: "late" });
    expect(await backend.find(writer.ref, { op: "late" })).toBe(2);
    await other.close();
  });
});

describe("folders and files", () => {
  it("are refused when others can read them, with the command that mends it", async () => {
    const writer = await createWith(backend, 1);
    chmodSync(pathOf(writer), 0o644);
    const fresh = open(store);
    await expect(fresh.head(writer.ref.id)).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining("chmod 600"),
    });
    chmodSync(pathOf(writer), 0o600);
    expect((await fresh.head(writer.ref.id)).seq).toBe(1);
    await fresh.close();
    chmodSync(store, 0o755);
    const wide = open(store);
    await expect(wide.head(writer.ref.id)).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining(`chmod 700 "${store}"`),
    });
    chmodSync(store, 0o700);
    expect((await wide.head(writer.ref.id)).seq).toBe(1);
    await wide.close();
  });

  it("are private whatever the umask", async () => {
    const former = process.umask(0o777);
    try {
      const inner = open(join(store, "deep", "er"));
      await createWith(inner, 1);
      await inner.close();
    } finally {
      process.umask(former);
    }
    expect(statSync(join(store, "deep", "er")).mode & 0o777).toBe(0o700);
    expect(statSync(join(store, "deep", "er", "writer")).mode & 0o777).toBe(0o700);
  });

  it("that are links or folders in a log's place are refused", async () => {
    const writer = await createWith(backend, 1);
    const moved = join(store, "elsewhere.jsonl");
    renameSync(pathOf(writer), moved);
    symlinkSync(moved, pathOf(writer));
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    rmSync(pathOf(writer));
    mkdirSync(pathOf(writer), { mode: 0o700 });
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });

  it("of agents whose names differ in case are different on every file system", async () => {
    const upper = await createWith(backend, 1, { agentName: "Foo" });
    const lower = await createWith(backend, 1, { agentName: "foo" });
    const folders = readdirSync(store).filter((name) => !name.startsWith("."));
    expect(new Set(folders.map((name) => name.toLowerCase())).size).toBe(2);
    expect((await backend.head(upper.ref.id)).info.agentName).toBe("Foo");
    expect((await backend.head(lower.ref.id)).info.agentName).toBe("foo");
  });

  it("are not made before the first call", async () => {
    const inner = join(store, "lazy");
    const lazy = open(inner);
    expect(existsSync(inner)).toBe(false);
    await lazy.close();
    expect(existsSync(inner)).toBe(false);
  });

  it("hold another session's log only as damage", async () => {
    const one = await createWith(backend, 1);
    const two = await createWith(backend, 1);
    copyFileSync(pathOf(one), pathOf(two));
    const fresh = open(store);
    await expect(fresh.head(two.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    await fresh.close();
  });
});

describe("ids and names", () => {
  it.each(["../x", "a/b", "..", "", "a\0b", "-rf", "CON", "x".repeat(200)])("refuses the session id %j", async (id) => {
    await expect(backend.head(id)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(backend.append({ id, incarnation: "x" }, { expect: { seq: 0, hash: "" }, lines: [] })).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    expect(readdirSync(store).filter((name) => name !== ".aixgo")).toEqual([]);
  });
});

describe("close", () => {
  it("is idempotent, and every later call is BACKEND_CLOSED", async () => {
    const writer = await createWith(backend, 1);
    await Promise.all([backend.close(), backend.close()]);
    await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "BACKEND_CLOSED" });
    await expect(readAll(backend, writer.ref)).rejects.toMatchObject({ code: "BACKEND_CLOSED" });
    await expect(backend.list({})).rejects.toMatchObject({ code: "BACKEND_CLOSED" });
  });

  it("lets go of every descriptor", async () => {
    const before = readdirSync("/proc/self/fd").length;
    const other = open(store, { durability: "disk" });
    for (let i = 0; i < 10; i++) await createWith(other, 2);
    await other.list({});
    await other.close();
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });
});

describe("wrapped keys", () => {
  it("come with the head, survive the process, and change with no refused append", async () => {
    const writer = await createWith(backend, 1);
    const at = writer.position;
    const first = Uint8Array.of(1, 2, 3);
    const result = await backend.append(writer.ref, { expect: at, lines: [writer.message("with keys")], keys: first });
    expect(result).toHaveProperty("head.keys");
    const stale = LineWriter.after(writer.ref, at);
    expect(await backend.append(writer.ref, { expect: at, lines: [stale.message("stale")], keys: Uint8Array.of(9) })).toHaveProperty(
      "conflict",
    );
    const fresh = open(store);
    expect(Buffer.from((await fresh.head(writer.ref.id)).keys as Uint8Array)).toEqual(Buffer.from(first));
    await fresh.close();
  });
});

it("appends to what a process left behind, and lists it", async () => {
  const writer = await createWith(backend, 2);
  appendFileSync(pathOf(writer), '{"v":1,"seq":3,"id":"torn');
  expect((await readAll(backend, writer.ref)).map((entry) => entry.seq)).toEqual([0, 1, 2]);
  await append(backend, writer, "after the crash");
  expect(textOf((await readAll(backend, writer.ref)).at(-1) as never)).toBe("after the crash");
  expect(readFileSync(pathOf(writer).replace(".jsonl", ".damaged"), "utf8")).toBe('{"v":1,"seq":3,"id":"torn');
  expect(lstatSync(pathOf(writer)).nlink).toBe(1);
});
