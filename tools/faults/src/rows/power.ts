import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createSessionManager } from "@aixgo/session";
import { makeDisk, type Filesystem } from "../disk.ts";
import { Ledger } from "../ledger.ts";
import { startProgram } from "../program.ts";
import { createRandom, seedFor } from "../random.ts";
import type { RowResult } from "../result.ts";
import { openStore, type StoreName } from "../store.ts";

const WRITERS = 2;

export interface PowerOptions {
  readonly filesystem: Filesystem;
  readonly cuts: number;
  readonly seed: number;
  /** @default "disk" */
  readonly durability?: "disk" | "os";
  /** A file system is used for so many cuts. @default 25 */
  readonly cutsPerDisk?: number;
  readonly mutant?: string;
}

/** R2: the power is cut while writers are at work; after the next boot everything acknowledged is there. */
export async function powerRow({
  filesystem,
  cuts,
  seed,
  durability = "disk",
  cutsPerDisk = 25,
  mutant,
}: PowerOptions): Promise<RowResult & { readonly lost: number }> {
  const failures: string[] = [];
  let acknowledged = 0;
  let lost = 0;
  let cut = 0;
  for (let epoch = 0; cut < cuts; epoch++) {
    const disk = makeDisk(filesystem);
    try {
      const store: StoreName = { kind: "file", store: join(disk.path, "store"), options: { durability } };
      const ledger = new Ledger();
      const shared = await begin(store, ledger);
      for (let round = 0; round < cutsPerDisk && cut < cuts && ledger.failures.length === 0; round++, cut++) {
        const random = createRandom(seedFor(seed, cut));
        const writers = Array.from({ length: WRITERS }, (_, i) =>
          startProgram("writer", { store, shared, name: `${cut}.${i}`, seed: seedFor(seed, 100_000 + cut * WRITERS + i) }, { mutant }),
        );
        await Promise.all(writers.map((writer) => writer.line(0)));
        await sleep(random.next() * 60);
        // Standing still, so that nothing is acknowledged after the cut.
        for (const writer of writers) await writer.stop();
        disk.cutPower();
        await Promise.all(writers.map((writer) => writer.kill()));
        for (const writer of writers) {
          if (writer.said() !== "") throw new Error(`a writer failed before the cut: ${writer.said()}`);
          for (const line of writer.lines) ledger.hear(line);
        }
        disk.boot();
        forgetBoot(store);
        await check(store, ledger, `after cut ${cut}`);
      }
      acknowledged += ledger.acknowledged;
      lost += ledger.lost;
      failures.push(...ledger.failures);
    } finally {
      disk.dispose();
    }
  }
  return {
    row: "R2",
    subject: `files on ${filesystem}`,
    fault: "power cuts",
    unit: "cuts",
    n: cut,
    failures,
    lost,
    note: `${acknowledged.toLocaleString("en")} acknowledgements, ${lost} lost`,
    seed,
  };
}

async function begin(store: StoreName, ledger: Ledger): Promise<string> {
  const sessions = createSessionManager({ backend: await openStore(store) });
  const { id } = await sessions.create("shared");
  await sessions.close();
  ledger.hear(JSON.stringify({ kind: "created", session: id }));
  return id;
}

/** What a boot does to a store: its catalog is not trusted, its index is completed. This machine's own boot id stays the same. */
function forgetBoot({ store }: StoreName): void {
  rmSync(join(store, ".aixgo", "catalog", "journal"), { force: true });
  rmSync(join(store, ".aixgo", "index", "boot"), { force: true });
}

async function check(store: StoreName, ledger: Ledger, when: string): Promise<void> {
  const backend = await openStore(store);
  try {
    await ledger.check(backend, when, "start");
    await ledger.checkList(backend, when);
  } finally {
    await backend.close();
  }
}
