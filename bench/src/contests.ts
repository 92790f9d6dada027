import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Conversation, Store } from "./contenders/contender.ts";
import type { Contest, ContestSide } from "./contenders/contest.ts";
import { counted, interleaved, type Side, type Summary } from "./measure.ts";
import type { Missing } from "./results.ts";
import { inFolder, textOf } from "./stores.ts";

const TEXT = textOf(200);
const ROUNDS = 5;
const IN_A_ROW = 5;

/** One operation: how each contender prepares for it, and what is then measured. Undefined: the contender does not offer it. */
interface Discipline {
  readonly id: string;
  readonly what: string;
  readonly size: number;
  readonly series?: string;
  /** Of each contender in a round. */
  readonly calls: number;
  readonly prepare: (store: Store) => Promise<Side | undefined>;
}

/** `kind` is for ids, `where` is added to what is shown. */
export interface Where {
  readonly kind: string;
  readonly where: string;
}

/** Appends at several sizes. */
export function appends({ kind, where }: Where, sizes: readonly number[]): readonly Discipline[] {
  return sizes.map((size) => ({
    id: `append-${kind}-${size}`,
    what: `append to a conversation of ${count(size)} messages${where}`,
    size,
    series: `append-${kind}`,
    calls: 20,
    async prepare(store) {
      // A conversation grows by what is measured: so many take turns.
      const ring = await many(store, size, 30);
      let turn = 0;
      return () => (ring[(turn += 1) % ring.length] as Conversation).append();
    },
  }));
}

export function loads({ kind, where }: Where, size: number): Discipline {
  return {
    id: `load-${kind}-${size}`,
    what: `load ${count(size)} messages of a conversation that is open${where}`,
    size,
    calls: 20,
    async prepare(store) {
      const conversation = await store.filled(size);
      return async () => assertAll(await conversation.load(), size);
    },
  };
}

export function resumes({ kind, where }: Where, size: number): Discipline {
  return {
    id: `resume-${kind}-${size}`,
    what: `resume a conversation of ${count(size)} messages that was never seen before${where}`,
    size,
    calls: 1,
    async prepare(store) {
      if ((await store.filled(1)).resume === undefined) return undefined;
      const conversation = await store.filled(size);
      return async () => assertAll((await conversation.resume?.()) ?? 0, size);
    },
  };
}

export function checkpoints({ kind, where }: Where, sizes: readonly number[]): readonly Discipline[] {
  return sizes.map((size) => ({
    id: `checkpoint-${kind}-${size}`,
    what: `checkpoint a conversation of ${count(size)} messages${where}`,
    size,
    series: `checkpoint-${kind}`,
    calls: 20,
    async prepare(store) {
      const { checkpoint } = await store.filled(size);
      return checkpoint;
    },
  }));
}

export function lists(sessions: number, limit: number): Discipline {
  return {
    id: `list-${limit}-of-${sessions}`,
    what: `list the ${limit} of ${count(sessions)} conversations with the newest update`,
    size: sessions,
    calls: 5,
    async prepare(store) {
      if (store.list === undefined || store.populate === undefined) return undefined;
      await store.populate(sessions);
      return async () => assertAll((await store.list?.(limit)) ?? 0, limit);
    },
  };
}

/** All who offer it, in turn, call by call, in one process. Who fails is named with the reason, and left out. */
export async function contest(discipline: Discipline, contenders: readonly Contender[], missing: Missing[]): Promise<Contest> {
  return inStores(contenders, missing, discipline.what, async (stores) => {
    const sides: Record<string, Side> = {};
    for (const [contender, store] of stores) {
      const side = await attempt(contender, discipline.what, missing, async () => {
        const prepared = await discipline.prepare(store);
        // Also shows that it works before others are measured beside it.
        await prepared?.();
        return prepared;
      });
      if (side !== undefined) sides[contender.name] = side;
    }
    const lost = new Set<string>();
    const found = await interleaved(sides, {
      rounds: ROUNDS,
      calls: discipline.calls,
      inARow: IN_A_ROW,
      failed(name, error) {
        lost.add(name);
        report([...stores.keys()].find((each) => each.name === name) as Contender, discipline.what, missing, error);
      },
    });
    const { id, what, size, series } = discipline;
    return {
      id,
      what,
      unit: "µs",
      size,
      ...(series === undefined ? undefined : { series }),
      sides: [...stores.keys()].flatMap((each) => (lost.has(each.name) ? [] : sideOf(each, found[each.name]))),
    };
  });
}

/** What the store weighs after so many messages, appended one by one. */
export async function space(messages: number, contenders: readonly Contender[], missing: Missing[]): Promise<Contest> {
  const what = `bytes stored after ${count(messages)} messages of ${TEXT.length} characters, appended one by one`;
  return inStores(contenders, missing, what, async (stores) => {
    const sides: ContestSide[] = [];
    for (const [contender, store] of stores) {
      if (store.bytes === undefined) continue;
      const bytes = await attempt(contender, what, missing, async () => {
        const conversation = await store.filled(0);
        for (let left = messages; left > 0; left -= 1) await conversation.append();
        return store.bytes?.();
      });
      if (bytes !== undefined) sides.push(...sideOf(contender, counted(bytes)));
    }
    return { id: `space-${messages}`, what, unit: "bytes", size: messages, sides };
  });
}

function sideOf({ name, role, survives, note }: Contender, summary: Summary | undefined): readonly ContestSide[] {
  return summary === undefined ? [] : [{ name, role, survives, ...(note === undefined ? undefined : { note }), summary }];
}

function inStores(
  contenders: readonly Contender[],
  missing: Missing[],
  what: string,
  body: (stores: ReadonlyMap<Contender, Store>) => Promise<Contest>,
): Promise<Contest> {
  return inFolder(async (folder) => {
    const stores = new Map<Contender, Store>();
    try {
      for (const [index, contender] of contenders.entries()) {
        const own = join(folder, String(index));
        mkdirSync(own);
        const store = await attempt(contender, what, missing, () => contender.open(own, TEXT));
        if (store !== undefined) stores.set(contender, store);
      }
      return await body(stores);
    } finally {
      for (const store of stores.values()) await store.close();
    }
  });
}

/** A peer that cannot is reported; ours and the floor must. */
async function attempt<T>(contender: Contender, what: string, missing: Missing[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    report(contender, what, missing, error);
    return undefined;
  }
}

function report({ name, role }: Contender, what: string, missing: Missing[], error: unknown): void {
  if (role !== "peer") throw error;
  missing.push({ name, reason: `${what}: ${error instanceof Error ? error.message : String(error)}` });
}

async function many(store: Store, size: number, length: number): Promise<readonly Conversation[]> {
  const made: Conversation[] = [];
  for (let index = 0; index < length; index += 1) made.push(await store.filled(size));
  return made;
}

function assertAll(came: number, wanted: number): void {
  if (came !== wanted) throw new Error(`${came} came instead of ${wanted}`);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
