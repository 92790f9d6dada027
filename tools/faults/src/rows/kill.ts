import { setTimeout as sleep } from "node:timers/promises";
import { createSessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { Ledger } from "../ledger.ts";
import { startProgram, type Program } from "../program.ts";
import { createRandom, seedFor } from "../random.ts";
import type { RowResult } from "../result.ts";
import { openStore, type StoreName } from "../store.ts";

const WRITERS = 2;
/** A store is used for so many cycles. */
const EPOCH = 50;

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** A new, empty store. */
  newStore(): StoreName;
  dispose?(store: StoreName): Promise<void> | void;
  readonly mutant?: string;
}

/** R1: writers of one store are killed in the middle of their work, again and again. */
export async function killRow({ kills, seed, newStore, dispose, mutant }: KillOptions): Promise<RowResult> {
  const failures: string[] = [];
  let killed = 0;
  let acknowledged = 0;
  let kind = "";
  for (let epoch = 0; killed < kills && failures.length === 0; epoch++) {
    const store = newStore();
    kind = store.kind;
    const ledger = new Ledger();
    const backend = await openStore(store);
    try {
      const { id } = await createSessionManager({ backend }).create("shared");
      ledger.hear(JSON.stringify({ kind: "created", session: id }));
      for (let cycle = 0; cycle < EPOCH && killed < kills && ledger.failures.length === 0; cycle++) {
        const name = `${epoch}.${cycle}`;
        const children = Array.from({ length: Math.min(WRITERS, kills - killed) }, (_, i) =>
          startProgram(
            "writer",
            { store, shared: id, name: `${name}.${i}`, seed: seedFor(seed, epoch * 1000 + cycle * WRITERS + i) },
            { mutant },
          ),
        );
        ledger.failures.push(...(await killInTime(children, createRandom(seedFor(seed, epoch * 1000 + cycle)))));
        killed += children.length;
        for (const child of children) for (const line of child.lines) ledger.hear(line);
        await ledger.check(backend, `after kill ${killed}`);
      }
      await checkAnew(store, ledger);
    } finally {
      await backend.close();
      acknowledged += ledger.acknowledged;
      failures.push(...ledger.failures);
      await dispose?.(store);
    }
  }
  return {
    row: "R1",
    subject: kind,
    fault: "kill -9 of writers",
    unit: "kills",
    n: killed,
    failures,
    note: `${acknowledged.toLocaleString("en")} acknowledgements`,
    seed,
  };
}

/** By another process's eyes, from the first byte. */
async function checkAnew(store: StoreName, ledger: Ledger): Promise<void> {
  const fresh: SessionBackend = await openStore(store);
  try {
    await ledger.check(fresh, "at the end", "start");
    await ledger.checkList(fresh, "at the end");
  } finally {
    await fresh.close();
  }
}

/** Mostly some time after the first acknowledgement; sometimes while a writer still opens the store. Answers with what went wrong before. */
async function killInTime(children: readonly Program[], random: ReturnType<typeof createRandom>): Promise<string[]> {
  const early = random.next() < 0.1;
  const pauseMs = early ? random.below(200) : random.next() * 40;
  // One that fails says so on its error output.
  if (!early) await Promise.allSettled(children.map((child) => child.line(0)));
  await sleep(pauseMs);
  await Promise.all(children.map((child) => child.kill()));
  return children.filter((child) => child.said() !== "").map((child) => `a writer failed before it was killed: ${child.said()}`);
}
