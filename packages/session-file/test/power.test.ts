import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionBackend } from "@aixgo/session/backend";
import { type Power, watchPower } from "./support/power.ts";
import { append, createWith, LineWriter, open, request, temporaryStore } from "./support/writer.ts";

let store: string;
let backend: SessionBackend;
let power: Power;

beforeEach(async () => {
  store = temporaryStore();
  backend = open(store, { durability: "disk" });
  // The store's own folders are made by its first session.
  await createWith(backend, 0, { agentName: "another" });
  power = watchPower(store);
});
afterEach(async () => {
  power.restore();
  await backend.close();
  rmSync(store, { recursive: true, force: true });
});

const keyed = (extra: Parameters<typeof request>[1] = {}): Parameters<typeof request>[1] => ({ ...extra, info: { key: "k" } });
const lastMoment = (ending: RegExp): readonly string[] | undefined => power.moments.findLast(({ at }) => ending.test(at))?.atRisk;

describe.skipIf(process.platform !== "linux")("nothing waits for the disk once it is acknowledged", () => {
  it("a store that promises no disk is at risk: what looks can see it", async () => {
    const os = open(store);
    const writer = await createWith(os, 1);
    const log = `writer/${writer.ref.id}.jsonl`;
    expect(power.atRisk()).toEqual([`bytes of ${log}`, "name writer", `name ${log}`]);
    await os.close();
  });

  it("a session, its name, and the folder of a new agent", async () => {
    const writer = await createWith(backend, 0);
    expect(power.moments.map(({ at }) => at)).toContain(`writer/${writer.ref.id}.jsonl`);
    expect(power.atRisk()).toEqual([]);
  });

  it("an append, and wrapped keys before the lines that need them", async () => {
    const writer = await createWith(backend, 0);
    await append(backend, writer, "one");
    expect(power.atRisk()).toEqual([]);
    for (const key of [1, 2]) {
      const expected = writer.position;
      await backend.append(writer.ref, { expect: expected, lines: [writer.message("sealed")], keys: Uint8Array.of(key) });
      expect(lastMoment(/\/wrapped\//)).toEqual([`name .aixgo/wrapped/${writer.ref.id}`]);
      expect(power.atRisk()).toEqual([]);
    }
  });

  it("a history that a session begins with, which is on the disk before it gets its name", async () => {
    const writer = new LineWriter({});
    const wanted = request(writer);
    await backend.create({
      ...wanted,
      async *lines(id) {
        yield* wanted.lines(id);
        for (let i = 0; i < 3; i += 1) yield writer.message(`${i}`);
      },
    });
    expect(lastMoment(/\.jsonl$/)).toEqual(["name writer", `name writer/${writer.ref.id}.jsonl`]);
    expect(power.atRisk()).toEqual([]);
  });

  it("a key, also one that moves: the record that takes another's place is never an empty one", async () => {
    const [first, second] = [new LineWriter({}), new LineWriter({})];
    await backend.create(request(first, keyed()));
    expect(power.atRisk()).toEqual([]);
    await backend.create(request(second, keyed({ onKey: "take" })));
    expect(lastMoment(/\/keys\//)?.filter((each) => each.startsWith("bytes"))).toEqual([]);
    expect(power.atRisk()).toEqual([]);
  });

  it("a rewritten log, which is on the disk before it takes the place of the old one", async () => {
    const writer = await createWith(backend, 1);
    const next = new LineWriter({ id: writer.ref.id, incarnation: "next" });
    await backend.rewrite(writer.ref, {
      expect: writer.position,
      next: next.ref,
      lines: (async function* () {
        yield next.header();
        yield next.message("redacted");
      })(),
    });
    expect(lastMoment(/\.jsonl$/)).toEqual([`name writer/${writer.ref.id}.jsonl`]);
    expect(power.atRisk()).toEqual([]);
  });

  it("a deletion: the tombstone before the log goes, then the log's name, and the key", async () => {
    const writer = new LineWriter({});
    await backend.create(request(writer, keyed()));
    await backend.delete(writer.ref);
    expect(lastMoment(/\.jsonl$/)).toEqual([]);
    expect(power.moments.map(({ at }) => at)).toContainEqual(expect.stringMatching(/\/keys\//));
    expect(power.atRisk()).toEqual([]);
  });

  it.each(["at once", "afterwards"])("an erasure %s: neither wrapped keys nor what was cut off come back", async (when) => {
    const writer = await createWith(backend, 0);
    const { id } = writer.ref;
    const expected = writer.position;
    await backend.append(writer.ref, { expect: expected, lines: [writer.message("sealed")], keys: Uint8Array.of(1) });
    writeFileSync(join(store, "writer", `${id}.damaged`), "secret", { mode: 0o600 });
    if (when === "afterwards") await backend.delete(writer.ref);
    await backend.delete(writer.ref, { erase: true });
    const gone = power.moments.map(({ at }) => at);
    expect(gone).toEqual(expect.arrayContaining([`.aixgo/wrapped/${id}`, `writer/${id}.damaged`]));
    expect(power.atRisk()).toEqual([]);
  });

  it("a session with the id of one that was forgotten: the keys of that one do not come back", async () => {
    const writer = new LineWriter({});
    const left = join(store, ".aixgo", "wrapped", writer.ref.id);
    writeFileSync(left, "old", { mode: 0o600 });
    await backend.create(request(writer));
    expect(existsSync(left)).toBe(false);
    expect(power.atRisk()).toEqual([]);
  });

  it("the name of a session whose creator did not live to sync it, once somebody uses it", async () => {
    const writer = new LineWriter({});
    power.failSyncs("/writer");
    await expect(backend.create(request(writer))).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    power.failSyncs(undefined);
    expect(power.atRisk()).toContain(`name writer/${writer.ref.id}.jsonl`);
    const other = open(store, { durability: "disk" });
    expect((await other.head(writer.ref.id)).seq).toBe(0);
    expect(power.atRisk()).not.toContain(`name writer/${writer.ref.id}.jsonl`);
    await other.close();
  });
});
