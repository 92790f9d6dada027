import { createFloor } from "../floors.ts";
import { interleaved } from "../measure.ts";
import { type Row, row } from "../finding.ts";
import { inFolder, openStore } from "../stores.ts";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** Locks and index of a store are shared by its sessions, and made by the first few hundred of them. */
const SESSIONS_BEFORE = 1000;

export async function createRows(): Promise<readonly Row[]> {
  return [await create("create-disk", false, 1.3), await create("create-disk-key", true, 2.3)];
}

function create(id: string, withKey: boolean, target: number): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    for (let made = 0; made < SESSIONS_BEFORE; made += 50) await Promise.all(Array.from({ length: 50 }, () => manager.create("a")));
    let count = 0;
    mkdirSync(join(folder, "floor"));
    const compared = await interleaved(
      { ours: () => manager.create("a", withKey ? { key: `k${(count += 1)}` } : {}), floor: createFloor(join(folder, "floor")) },
      { calls: 30 },
    );
    await manager.close();
    return row({
      id,
      what: `${withKey ? "create with a unique key, disk" : "create, disk"}, in a store with ${SESSIONS_BEFORE} sessions`,
      against: "create file + fsync file and folder",
      ...compared,
      target,
    });
  });
}
