import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Entry, SessionBackend } from "@aixgo/session/backend";
import { append, createWith, LineWriter, open, readAll, request, temporaryStore } from "./support/writer.ts";

let store: string;
let backends: SessionBackend[];

beforeEach(() => {
  store = temporaryStore();
  backends = [];
});
afterEach(async () => {
  for (const backend of backends) await backend.close();
  rmSync(store, { recursive: true, force: true });
});

function start(durability: "disk" | "os" = "os"): SessionBackend {
  const backend = open(store, { durability });
  backends.push(backend);
  return backend;
}

const pathOf = (writer: LineWriter): string => join(store, writer.agentName, `${writer.ref.id}.jsonl`);

interface Sample {
  readonly writer: LineWriter;
  readonly bytes: Buffer;
  readonly lines: readonly string[];
  /** Bytes at which a whole batch ends. */
  readonly commits: readonly number[];
}

/** Header, two messages, a batch of three, a group of two batches, one message; each append a group of its own. */
async function sample(synced: boolean): Promise<Sample> {
  const backend = start();
  const writer = new LineWriter();
  await backend.create(request(writer));
  const sync = (): Partial<Entry> => (synced ? { sync: writer.seq } : {});
  const group = async (build: () => Buffer[]): Promise<void> => {
    const expectAt = writer.position;
    expect(await backend.append(writer.ref, { expect: expectAt, lines: build() })).toHaveProperty("head");
  };
  await group(() => [writer.message("one", sync())]);
  await group(() => [writer.message("two", sync())]);
  await group(() => writer.batch(["a", "b", "c"], sync()));
  await group(() => [writer.message("x", sync()), ...writer.batch(["y", "z"])]);
  await group(() => [writer.message("last", sync())]);
  await backend.close();
  const bytes = readFileSync(pathOf(writer));
  const lines = bytes.toString().split("\n").slice(0, -1);
  const commits = [0];
  let at = 0;
  for (const line of lines) {
    at += Buffer.byteLength(line) + 1;
    const { batch } = JSON.parse(line) as Entry;
    if (batch === undefined || batch[0] + 1 === batch[1]) commits.push(at);
  }
  return { writer, bytes, lines, commits };
}

/** Puts another file in the log's place: nothing of it is known. */
function put({ writer }: Sample, bytes: Uint8Array): void {
  rmSync(join(store, writer.agentName, `${writer.ref.id}.damaged`), { force: true });
  writeFileSync(`${pathOf(writer)}.new`, bytes, { mode: 0o600 });
  renameSync(`${pathOf(writer)}.new`, pathOf(writer));
}

describe.each([
  ["without", false],
  ["with", true],
] as const)("a log written %s syncs", (_, synced) => {
  it("cut at any byte keeps each whole batch, reads back, and can be appended to", async () => {
    const one = await sample(synced);
    const backend = start();
    for (let cut = 0; cut <= one.bytes.length; cut++) {
      put(one, one.bytes.subarray(0, cut));
      const kept = one.commits.filter((commit) => commit <= cut).at(-1) as number;
      if (kept === 0) {
        const code = cut === 0 ? "SESSION_NOT_FOUND" : "ENTRY_CORRUPT";
        await expect(backend.head(one.writer.ref.id), `cut at ${cut}`).rejects.toMatchObject({ code });
      } else {
        const want = one.bytes.subarray(0, kept).toString().split("\n").slice(0, -1);
        expect(
          (await readAll(backend, one.writer.ref)).map((entry) => JSON.stringify(entry)),
          `cut at ${cut}`,
        ).toEqual(want);
        expect(statSync(pathOf(one.writer)).size, "a reader cuts nothing").toBe(cut);
        const head = await backend.head(one.writer.ref.id);
        const next = LineWriter.after(one.writer.ref, head);
        expect(await backend.append(one.writer.ref, { expect: next.position, lines: [next.message("on")] })).toHaveProperty(
          "head.seq",
          want.length,
        );
        const damaged = join(store, "writer", `${one.writer.ref.id}.damaged`);
        expect(existsSync(damaged) ? readFileSync(damaged) : Buffer.alloc(0)).toEqual(one.bytes.subarray(kept, cut));
      }
    }
  });

  it("with any one bit flipped never yields a wrong entry, and says where it is damaged", async () => {
    const one = await sample(synced);
    const backend = start();
    for (let byte = 0; byte < one.bytes.length; byte++) {
      const bit = 1 << ((byte + 5) % 8);
      const bytes = Buffer.from(one.bytes);
      bytes[byte] = (bytes[byte] as number) ^ bit;
      put(one, bytes);
      const error: unknown = await readAll(backend, one.writer.ref).catch((thrown: unknown) => thrown);
      expect(error, `byte ${byte} ^ ${bit}`).toMatchObject({ code: "ENTRY_CORRUPT", details: { session: one.writer.ref.id } });
      expect((error as { details: { offset: number } }).details.offset).toBeLessThanOrEqual(byte);
    }
  });
});

it("a sector that is missing in the last unsynced group is a torn tail even if whole lines follow it", async () => {
  const backend = start();
  const writer = await createWith(backend, 2, { sync: true });
  const kept = readFileSync(pathOf(writer));
  const at = writer.position;
  await backend.append(writer.ref, {
    expect: at,
    lines: [writer.message("first".padEnd(1000), { sync: at.seq }), writer.message("second"), writer.message("third")],
  });
  await backend.close();
  const bytes = readFileSync(pathOf(writer));
  const border = Math.ceil((kept.length + 150) / 512) * 512;
  bytes.fill(0, border - 100, border);
  writeFileSync(pathOf(writer), bytes);
  const again = start();
  expect((await again.head(writer.ref.id)).seq).toBe(2);
  const next = LineWriter.after(writer.ref, at);
  await append(again, next, "instead");
  expect((await readAll(again, writer.ref)).map((entry) => entry.seq)).toEqual([0, 1, 2, 3]);
  expect(readFileSync(pathOf(writer).replace(".jsonl", ".damaged"))).toEqual(bytes.subarray(kept.length));
});

it("damage that a later group vouches for is ENTRY_CORRUPT with its place, and what stands before can be read", async () => {
  const backend = start();
  const writer = await createWith(backend, 5, { sync: true });
  await backend.close();
  const bytes = readFileSync(pathOf(writer));
  const lines = bytes.toString().split("\n");
  const offset = Buffer.byteLength(`${lines.slice(0, 3).join("\n")}\n`);
  bytes[offset + 150] = (bytes[offset + 150] as number) ^ 1;
  writeFileSync(pathOf(writer), bytes);
  const again = start();
  const damage = { code: "ENTRY_CORRUPT", details: { session: writer.ref.id, seq: 3, offset, file: `writer/${writer.ref.id}.jsonl` } };
  await expect(again.head(writer.ref.id)).rejects.toMatchObject(damage);
  await expect(again.append(writer.ref, { expect: writer.position, lines: [writer.message("no")] })).rejects.toMatchObject(damage);
  expect((await readAll(again, writer.ref, { to: 2 })).map((entry) => entry.seq)).toEqual([0, 1, 2]);
  const seen: number[] = [];
  await expect(
    (async () => {
      for await (const page of again.read(writer.ref))
        seen.push(
          ...Buffer.from(page)
            .toString()
            .split("\n")
            .slice(0, -1)
            .map((line) => JSON.parse(line).seq),
        );
    })(),
  ).rejects.toMatchObject(damage);
  expect(seen).toEqual([0, 1, 2]);
  expect(readFileSync(pathOf(writer))).toEqual(bytes);
  // Restored from a backup it works again, without a restart.
  bytes[offset + 150] = (bytes[offset + 150] as number) ^ 1;
  writeFileSync(pathOf(writer), bytes);
  expect((await again.head(writer.ref.id)).seq).toBe(5);
});

describe("a line that is missing or doubled", () => {
  it.each([true, false])("in the middle is ENTRY_CORRUPT (synced: %s)", async (synced) => {
    const one = await sample(synced);
    for (const lines of [
      one.lines.toSpliced(2, 1),
      one.lines.toSpliced(2, 0, one.lines[2] as string),
      one.lines.toSpliced(1, 2, one.lines[2] as string, one.lines[1] as string),
    ]) {
      put(one, Buffer.from(`${lines.join("\n")}\n`));
      await expect(start().head(one.writer.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    }
  });
});

it("a tail of NULs, as a power cut leaves it, is cut", async () => {
  const backend = start("disk");
  const writer = await createWith(backend, 3, { sync: true });
  appendFileSync(pathOf(writer), Buffer.alloc(9000));
  const again = start("disk");
  expect((await again.head(writer.ref.id)).seq).toBe(3);
  await append(again, writer, "after", { sync: 3 });
  expect((await readAll(again, writer.ref)).map((entry) => entry.seq)).toEqual([0, 1, 2, 3, 4]);
  await append(backend, writer, "and by who had it open", { sync: 4 });
});

it("a torn tail of more than a megabyte is cut by an open handle, too", async () => {
  const backend = start();
  const writer = await createWith(backend, 1);
  appendFileSync(pathOf(writer), Buffer.alloc(3 * 1024 * 1024, "x"));
  expect((await backend.head(writer.ref.id)).seq).toBe(1);
  await append(backend, writer, "after");
  expect((await backend.head(writer.ref.id)).seq).toBe(2);
});

it("garbage in many lines over more than a group's size is not taken for a torn tail", async () => {
  const backend = start("disk");
  const writer = await createWith(backend, 1, { sync: true });
  appendFileSync(pathOf(writer), Buffer.alloc(9 * 1024 * 1024, `${"x".repeat(1023)}\n`));
  const again = start("disk");
  await expect(again.head(writer.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
});

it("half a batch in a log's middle is ENTRY_CORRUPT", async () => {
  const backend = start();
  const writer = await createWith(backend, 1);
  const half = writer.batch(["a", "b"])[0] as Buffer;
  writer.seq--;
  writer.hash = JSON.parse(half.toString()).hash;
  const next = writer.message("whole");
  appendFileSync(pathOf(writer), `${half}\n${next}\n`);
  await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
});

it("entries of unknown types and with unknown members pass through", async () => {
  const backend = start();
  const writer = await createWith(backend, 0);
  const at = writer.position;
  const line = writer.line("hologram", { beam: [1, 2] }, { opt: true, extra: { batch: [7, 9], nested: { data: 1 } } } as never);
  await backend.append(writer.ref, { expect: at, lines: [line] });
  const again = start();
  expect((await again.head(writer.ref.id)).seq).toBe(1);
  expect((await readAll(again, writer.ref))[1]).toMatchObject({ type: "hologram", extra: { nested: { data: 1 } } });
});

describe("a sidecar", () => {
  async function long(): Promise<LineWriter> {
    const backend = start();
    const writer = await createWith(backend, 0);
    const at = writer.position;
    await backend.append(writer.ref, {
      expect: at,
      lines: Array.from({ length: 2000 }, (_, i) => writer.message(`${i} ${"x".repeat(200)}`)),
    });
    await append(backend, writer, "one more");
    await backend.close();
    return writer;
  }
  const sidecarOf = (writer: LineWriter): string => join(store, ".aixgo", "heads", writer.ref.id);

  it("is not believed when the log is another one", async () => {
    const writer = await long();
    expect(existsSync(sidecarOf(writer))).toBe(true);
    truncateSync(pathOf(writer), statSync(pathOf(writer)).size - 10);
    expect((await start().head(writer.ref.id)).seq).toBe(2000);
  });

  it.each(["", "garbage", "xxxxxxxxxxxxxxxx {}\n"])("that is damaged (%j) is ignored", async (text) => {
    const writer = await long();
    writeFileSync(sidecarOf(writer), text);
    expect((await start().head(writer.ref.id)).seq).toBe(2001);
  });

  it("spares no damage: reading over it verifies every byte", async () => {
    const writer = await long();
    const bytes = readFileSync(pathOf(writer));
    bytes[100_000] = (bytes[100_000] as number) ^ 4;
    writeFileSync(pathOf(writer), bytes);
    const backend = start();
    expect((await backend.head(writer.ref.id)).seq).toBe(2001);
    await expect(readAll(backend, writer.ref)).rejects.toMatchObject({ code: "ENTRY_CORRUPT", details: { session: writer.ref.id } });
    await expect(readAll(backend, writer.ref, { reverse: true })).rejects.toMatchObject({ code: "ENTRY_CORRUPT" });
    expect(await readAll(backend, writer.ref, { from: 1900 })).toHaveLength(102);
  });
});

it("an empty file is an unfinished create: a session with that id can be made", async () => {
  const writer = new LineWriter();
  mkdirSync(join(store, "writer"), { mode: 0o700 });
  writeFileSync(pathOf(writer), "", { mode: 0o600 });
  const backend = start();
  await expect(backend.head(writer.ref.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  expect(await backend.create(request(writer))).toMatchObject({ created: true });
  expect((await backend.head(writer.ref.id)).seq).toBe(0);
});
