import fs, { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { append, createWith, LineWriter, open, readAll, request, temporaryStore } from "./support/writer.ts";

const CALLS = ["writeSync", "ftruncateSync", "fdatasync", "fsync", "openSync", "renameSync"] as const;
type Call = (typeof CALLS)[number];

const original = { ...fs };
let store: string;
let backend: SessionBackend;

beforeEach(() => {
  store = temporaryStore();
  backend = open(store, { durability: "disk" });
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

/** Replaces a call of the file system where it works on a path that ends like this. */
function fault(call: Call, ending: string, how: (...args: unknown[]) => unknown): void {
  const real = original[call] as (...args: unknown[]) => unknown;
  Object.assign(fs, {
    [call]: (...args: unknown[]) => {
      const target = typeof args[0] === "number" ? readlinkSync(`/proc/self/fd/${args[0]}`) : String(args[call === "renameSync" ? 1 : 0]);
      return target.endsWith(ending) ? how(...args) : real(...args);
    },
  });
  syncBuiltinESMExports();
}

function fails(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: /secret/path`), { code, syscall: "write" });
  };
}

function failsLater(code: string): (...args: unknown[]) => void {
  return (...args) => setImmediate(() => (args.at(-1) as (error: Error) => void)(Object.assign(new Error(code), { code })));
}

const sizeOf = (writer: LineWriter): number => statSync(join(store, "writer", `${writer.ref.id}.jsonl`)).size;

describe("a write to the log", () => {
  it.each(["ENOSPC", "EDQUOT", "EFBIG", "EIO"])("that fails with %s leaves nothing, says so, and names no path", async (code) => {
    const writer = await createWith(backend, 2);
    const size = sizeOf(writer);
    const at = writer.position;
    fault("writeSync", ".jsonl", fails(code));
    await expect(backend.append(writer.ref, { expect: at, lines: [LineWriter.after(writer.ref, at).message("no")] })).rejects.toMatchObject(
      {
        code: "BACKEND_UNAVAILABLE",
        message: expect.stringMatching(/^(?!.*\/secret)(?!.*\/tmp).*nothing was written/),
        details: { errno: code },
      },
    );
    mend();
    expect(sizeOf(writer)).toBe(size);
    await append(backend, writer, "goes on");
    expect(await readAll(backend, writer.ref)).toHaveLength(4);
  });

  it("that is short is cut back, whole batches before the cut included", async () => {
    const writer = await createWith(backend, 1);
    const size = sizeOf(writer);
    const at = writer.position;
    const late = LineWriter.after(writer.ref, at);
    const lines = [late.message("whole"), late.message("cut")];
    fault("writeSync", ".jsonl", (fd, bytes, offset, length, position) =>
      original.writeSync(fd as number, bytes as Buffer, offset as number, (length as number) - 5, position as number),
    );
    await expect(backend.append(writer.ref, { expect: at, lines })).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    mend();
    expect(sizeOf(writer)).toBe(size);
    await append(backend, writer, "goes on");
  });

  it("that is short and cannot be cut back has an unknown outcome, and sending it again finds out", async () => {
    const writer = await createWith(backend, 1);
    const at = writer.position;
    const late = LineWriter.after(writer.ref, at);
    const lines = [late.message("whole"), late.message("cut")];
    fault("writeSync", ".jsonl", (fd, bytes, offset, length, position) => {
      fault("ftruncateSync", ".jsonl", fails("EIO"));
      return original.writeSync(fd as number, bytes as Buffer, offset as number, (length as number) - 5, position as number);
    });
    await expect(backend.append(writer.ref, { expect: at, lines })).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN", retryable: true });
    mend();
    const again = await backend.append(writer.ref, { expect: at, lines });
    expect(again).toMatchObject({ conflict: { seq: 2 } });
    expect(Buffer.from((again as { since: Uint8Array }).since).toString()).toBe(`${lines[0]}\n`);
    const next = LineWriter.after(writer.ref, (again as { conflict: { seq: number; hash: string } }).conflict);
    await append(backend, next, "instead of the one that was cut");
    expect((await readAll(backend, writer.ref)).map(({ seq }) => seq)).toEqual([0, 1, 2, 3]);
  });
});

it("a sync that fails has an unknown outcome, and the descriptor is not used again", async () => {
  const writer = await createWith(backend, 1);
  const at = writer.position;
  const lines = [LineWriter.after(writer.ref, at).message("perhaps")];
  fault("fdatasync", ".jsonl", failsLater("EIO"));
  await expect(backend.append(writer.ref, { expect: at, lines })).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  mend();
  expect(readdirSync("/proc/self/fd").filter((fd) => linkOf(fd).endsWith(`${writer.ref.id}.jsonl`))).toEqual([]);
  expect(await backend.append(writer.ref, { expect: at, lines })).toMatchObject({ conflict: { seq: 2 } });
});

describe("after a sync that failed", () => {
  /** What the disk was asked to do with the log: writes with their place, and syncs. */
  function watched(): string[] {
    const seen: string[] = [];
    fault("writeSync", ".jsonl", (...args) => {
      seen.push(`write ${String(args[4])}+${String(args[3])}`);
      return (original.writeSync as (...args: unknown[]) => number)(...args);
    });
    fault("fdatasync", ".jsonl", (...args) => {
      seen.push("sync");
      (original.fdatasync as (...args: unknown[]) => void)(...args);
    });
    return seen;
  }

  async function failed(): Promise<{ writer: LineWriter; again: Parameters<SessionBackend["append"]>[1]; place: string }> {
    const writer = await createWith(backend, 1, { sync: true });
    const at = writer.position;
    const end = sizeOf(writer);
    const line = LineWriter.after(writer.ref, at).message("perhaps", { op: "u:op", sync: at.seq });
    const again = { expect: at, lines: [line] };
    fault("fdatasync", ".jsonl", failsLater("EIO"));
    await expect(backend.append(writer.ref, again)).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    return { writer, again, place: `write ${end}+${line.length + 1}` };
  }

  it("the same append is not answered before its bytes are written again and synced", async () => {
    const { writer, again, place } = await failed();
    // A disk that goes on failing: the lines can be read, but nobody may be told that they are durable.
    await expect(backend.append(writer.ref, again)).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const seen = watched();
    expect(await backend.append(writer.ref, again)).toMatchObject({ conflict: { seq: 2 } });
    expect(seen).toEqual([place, "sync"]);
    expect(await backend.append(writer.ref, again)).toMatchObject({ conflict: { seq: 2 } });
    expect(seen, "once is enough").toHaveLength(2);
  });

  it("its op is not found before the same", async () => {
    const { writer, place } = await failed();
    await expect(backend.find(writer.ref, { op: "u:op" })).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const seen = watched();
    expect(await backend.find(writer.ref, { op: "u:op" })).toBe(2);
    expect(seen).toEqual([place, "sync"]);
  });

  it("the next append writes the doubtful bytes again before its own", async () => {
    const { writer, place } = await failed();
    const next = LineWriter.after(writer.ref, await backend.head(writer.ref.id));
    const seen = watched();
    await append(backend, next, "next", { sync: 1 });
    expect(seen).toMatchObject([place, expect.stringMatching(/^write /), "sync"]);
    expect((await readAll(backend, writer.ref)).map(({ seq }) => seq)).toEqual([0, 1, 2, 3]);
  });
});

it("an op whose writer was killed before its sync is made durable by who finds it", async () => {
  const writer = await createWith(backend, 1, { sync: true });
  const killed = open(store, { durability: "os" });
  await append(killed, writer, "not synced", { op: "u:op", sync: 1 });
  await killed.close();
  const fresh = open(store, { durability: "disk" });
  let syncs = 0;
  fault("fdatasync", ".jsonl", (...args) => {
    syncs++;
    (original.fdatasync as (...args: unknown[]) => void)(...args);
  });
  expect(await fresh.find(writer.ref, { op: "u:none" })).toBeUndefined();
  expect(syncs).toBe(0);
  expect(await fresh.find(writer.ref, { op: "u:op" })).toBe(2);
  expect(syncs).toBe(1);
  expect(await fresh.find(writer.ref, { op: "u:op" })).toBe(2);
  expect(syncs, "once is enough").toBe(1);
  await fresh.close();
});

it("a lease record that cannot be written takes the lines back with it", async () => {
  const writer = await createWith(backend, 1);
  const size = sizeOf(writer);
  const at = writer.position;
  let writes = 0;
  fault("writeSync", `leases/${writer.ref.id}`, (...args) =>
    ++writes !== 2 ? (original.writeSync as (...args: unknown[]) => number)(...args) : fails("EIO")(),
  );
  const acquire = { fence: 1, token: "t", holder: "h", ttlMs: 1000 };
  await expect(
    backend.append(writer.ref, { expect: at, lines: [LineWriter.after(writer.ref, at).message("turn", { fence: 1 })], acquire }),
  ).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  mend();
  expect(sizeOf(writer)).toBe(size);
  const { fence, ...head } = await backend.head(writer.ref.id);
  expect(head).not.toHaveProperty("lease");
  const next = { ...acquire, fence: fence + 1 };
  expect(
    await backend.append(writer.ref, {
      expect: at,
      lines: [LineWriter.after(writer.ref, at).message("turn", { fence: next.fence })],
      acquire: next,
    }),
  ).toHaveProperty("head.lease");
});

it.each(["EMFILE", "EACCES", "EROFS", "ELOOP"])("opening a log that fails with %s has a code and no path", async (code) => {
  const writer = await createWith(backend, 1);
  const fresh = open(store);
  fault("openSync", ".jsonl", fails(code));
  await expect(fresh.head(writer.ref.id)).rejects.toMatchObject({
    code: code === "EMFILE" ? "BACKEND_UNAVAILABLE" : "PERMISSION_DENIED",
    message: expect.not.stringContaining("/secret"),
  });
  mend();
  expect((await fresh.head(writer.ref.id)).seq).toBe(1);
  await fresh.close();
});

describe("create", () => {
  it.each([
    ["openSync", "EMFILE"],
    ["writeSync", "ENOSPC"],
  ] as const)("whose %s fails with %s leaves nothing", async (call, code) => {
    await createWith(backend, 0);
    const writer = new LineWriter();
    const real = original[call] as (...args: unknown[]) => unknown;
    Object.assign(fs, {
      [call]: (...args: unknown[]) => {
        const target = typeof args[0] === "number" ? readlinkSync(`/proc/self/fd/${args[0]}`) : String(args[0]);
        return target.includes("/drafts/") ? fails(code)() : real(...args);
      },
    });
    syncBuiltinESMExports();
    await expect(backend.create(request(writer, { info: { key: "k" } }))).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    mend();
    expect(readdirSync(join(store, ".aixgo", "drafts"))).toEqual([]);
    expect(readdirSync(join(store, ".aixgo", "keys"))).toEqual([]);
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" } }))).created).toBe(true);
  });

  it("that is not confirmed by the disk has an unknown outcome", async () => {
    await createWith(backend, 0);
    const writer = new LineWriter();
    fault("fsync", ".jsonl", failsLater("EIO"));
    await expect(backend.create(request(writer))).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });

  it("whose log gets no name gives the key back", async () => {
    const holder = new LineWriter();
    await backend.create(request(holder, { info: { key: "k" } }));
    fault("renameSync", ".jsonl", fails("EIO"));
    await expect(backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "take" }))).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
    });
    mend();
    expect((await backend.create(request(new LineWriter(), { info: { key: "k" }, onKey: "get" }))).head.id).toBe(holder.ref.id);
  });
});

it("a catalog that cannot be written fails no append, and is rebuilt", async () => {
  const writer = await createWith(backend, 1);
  await backend.list({});
  fault("writeSync", "catalog/journal", fails("ENOSPC"));
  await append(backend, writer, "stored");
  mend();
  expect((await backend.list({})).items).toMatchObject([{ version: 2 }]);
});

it("a damaged remainder that cannot be kept is not cut", async () => {
  const writer = await createWith(backend, 1);
  const path = join(store, "writer", `${writer.ref.id}.jsonl`);
  fs.appendFileSync(path, "torn");
  const at = writer.position;
  fault("openSync", ".damaged", fails("ENOSPC"));
  await expect(backend.append(writer.ref, { expect: at, lines: [LineWriter.after(writer.ref, at).message("no")] })).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
  });
  mend();
  expect(readFileSync(path, "utf8").endsWith("torn")).toBe(true);
  await append(backend, writer, "now");
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

describe("list, when the catalog is rebuilt", () => {
  async function rebuilt(): Promise<{ readable: LineWriter; unreadable: LineWriter }> {
    const readable = await createWith(backend, 1);
    const unreadable = await createWith(backend, 1);
    await backend.close();
    rmSync(join(store, ".aixgo", "catalog"), { recursive: true });
    backend = open(store, { durability: "disk" });
    return { readable, unreadable };
  }
  const listed = async (at: SessionBackend): Promise<string[]> => (await at.list({ order: "id" })).items.map(({ id }) => id);

  it("leaves a log out that cannot be read, and names it as soon as it can be, to every process", async () => {
    const { readable, unreadable } = await rebuilt();
    fault("openSync", `${unreadable.ref.id}.jsonl`, fails("EIO"));
    expect(await listed(backend)).toEqual([readable.ref.id]);
    mend();
    const other = open(store);
    for (const at of [backend, other]) expect(await listed(at)).toEqual([readable.ref.id, unreadable.ref.id].toSorted());
    await other.close();
  });

  it("fails if there is no descriptor to read with, and then goes on", async () => {
    const { readable, unreadable } = await rebuilt();
    fault("openSync", ".jsonl", fails("EMFILE"));
    await expect(listed(backend)).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringContaining("EMFILE") as string,
    });
    mend();
    expect(await listed(backend)).toEqual([readable.ref.id, unreadable.ref.id].toSorted());
  });
});
