import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { interleaved } from "../measure.ts";
import { appendFloor, floorLine } from "../floors.ts";
import { type Row, row } from "../finding.ts";
import { filled, inFolder, message, openStore, populate, textOf } from "../stores.ts";

const CHARACTERS = 200;
const text = textOf(CHARACTERS);

export async function appendRows(): Promise<readonly Row[]> {
  await warmUp();
  return [
    await oneAtATime(),
    await manyOnOneSession("group"),
    await manyOnOneSession("each"),
    await manySessions(),
    await notSynced(),
    await atManySessions(),
    await atManyEntries(),
  ];
}

/** A synced append is rare enough that its code would still be compiled while it is measured. */
function warmUp(): Promise<void> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "os");
    const session = await manager.create("a");
    for (let call = 0; call < 8000; call += 1) await session.append(message(CHARACTERS));
    await manager.close();
  });
}

function oneAtATime(): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    const session = await manager.create("a");
    const floor = appendFloor(folder);
    const bytes = Buffer.from(`${floorLine(text)}\n`);
    const compared = await interleaved(
      { ours: () => session.append(message(CHARACTERS)), floor: () => floor.durable(bytes) },
      { calls: 60 },
    );
    await manager.close();
    return row({
      id: "append-disk",
      what: "append, disk, one at a time",
      against: "writeSync + async fdatasync of the same bytes",
      ...compared,
      target: 1.4,
    });
  });
}

function manyOnOneSession(against: "group" | "each"): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    const session = await manager.create("a");
    const floor = appendFloor(folder);
    const bytes = Buffer.from(`${floorLine(text)}\n`);
    const ours = (): Promise<unknown> => Promise.all(Array.from({ length: 64 }, () => session.append(message(CHARACTERS))));
    const theirs = async (): Promise<void> => {
      if (against === "group") return floor.group(text, 64);
      for (let append = 0; append < 64; append += 1) await floor.durable(bytes);
    };
    const compared = await interleaved({ ours, floor: theirs }, { calls: against === "group" ? 30 : 5, rounds: 5 });
    await manager.close();
    const facts = { ...compared, better: "more" as const };
    return against === "group"
      ? row({
          id: "append-disk-64-group",
          what: "64 appends at once on one session, throughput",
          against: "stringify, hash, one write + one fdatasync for 64",
          ...facts,
          target: 0.75,
        })
      : row({
          id: "append-disk-64-each",
          what: "64 appends at once on one session, throughput",
          against: "64 × write + fdatasync, one at a time",
          ...facts,
          target: 15,
        });
  });
}

function manySessions(): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    const sessions = await Promise.all(Array.from({ length: 64 }, () => manager.create("a")));
    mkdirSync(join(folder, "floors"));
    const floors = sessions.map((_, index) => appendFloor(join(folder, "floors"), `${index}`));
    const bytes = Buffer.from(`${floorLine(text)}\n`);
    const compared = await interleaved(
      {
        ours: () => Promise.all(sessions.map((session) => session.append(message(CHARACTERS)))),
        floor: () => Promise.all(floors.map((each) => each.durable(bytes))),
      },
      { calls: 15, rounds: 5 },
    );
    await manager.close();
    return row({
      id: "append-disk-64-sessions",
      what: "64 sessions at once, throughput",
      against: "64 descriptors, each write + fdatasync at once",
      ...compared,
      target: 0.8,
      better: "more",
    });
  });
}

function notSynced(): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "os");
    const session = await manager.create("a");
    const floor = appendFloor(folder);
    const compared = await interleaved(
      { ours: () => session.append(message(CHARACTERS)), floor: () => floor.built(text) },
      { calls: 1500 },
    );
    await manager.close();
    return row({
      id: "append-os",
      what: "append, os, one at a time",
      against: "JSON.stringify + SHA-256 + writeSync of the same line",
      ...compared,
      target: 4,
    });
  });
}

function atManySessions(): Promise<Row> {
  return inFolder(async (folder) => {
    const small = openStore(join(folder, "small"), "os");
    const large = openStore(join(folder, "large"), "os");
    await populate(large, () => "a", 10_000);
    const [few, many] = [await small.create("a"), await large.create("a")];
    const compared = await interleaved(
      { ours: () => many.append(message(CHARACTERS)), floor: () => few.append(message(CHARACTERS)) },
      { calls: 1000 },
    );
    await Promise.all([small.close(), large.close()]);
    return row({
      id: "append-at-10000-sessions",
      what: "append, os, 10,000 sessions in the store",
      against: "the same with one session",
      ...compared,
      target: 1.2,
    });
  });
}

function atManyEntries(): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "os");
    const [long, short] = [await filled(manager, "a", 10_000), await filled(manager, "a", 100)];
    const compared = await interleaved(
      { ours: () => long.append(message(CHARACTERS)), floor: () => short.append(message(CHARACTERS)) },
      { calls: 1000 },
    );
    await manager.close();
    return row({
      id: "append-at-10000-entries",
      what: "append, os, 10,000 entries in the session",
      against: "the same with 100 entries",
      ...compared,
      target: 1.2,
    });
  });
}
