import { type Finding, row } from "../finding.ts";
import { interleaved } from "../measure.ts";
import type { StoreFloor } from "../servers/redis-floor.ts";
import { managerAt, message, type Place, textOf } from "../stores.ts";

const CHARACTERS = 200;
const AT_ONCE = 64;

interface Targets {
  readonly store: string;
  readonly against: string;
  /** Latency of one at a time, at most so many times the floor's. */
  readonly one: number;
  /** Throughput of 64 sessions at once, and of 64 appends at once to one session, at least so many times the floor's. */
  readonly sessions: number;
  readonly oneSession: number;
  /** Whether that floor waits for each before the next. Beside it, the same at once is reported then. */
  readonly oneByOne: boolean;
}

/** Appends to a server, beside the least that stores the same bytes there. Both sides build the line and its hash. */
export async function serverAppendRows(targets: Targets, place: Place, floor: StoreFloor): Promise<readonly Finding[]> {
  const { store, against, oneByOne } = targets;
  const manager = managerAt(place);
  const text = textOf(CHARACTERS);
  try {
    const sessions = await Promise.all(Array.from({ length: AT_ONCE }, () => manager.create("a")));
    const session = await manager.create("a");
    const names = sessions.map(({ id }) => `floor-${id}`);
    const times = Array.from({ length: AT_ONCE }, () => "floor-one");

    const one = await interleaved(
      { ours: () => session.append(message(CHARACTERS)), floor: () => floor.append("floor-one", text) },
      { calls: 250 },
    );
    const atOnce = (ids: readonly string[]): Promise<unknown> => Promise.all(ids.map((id) => floor.append(id, text)));
    const inTurn = async (ids: readonly string[]): Promise<void> => {
      for (const id of ids) await floor.append(id, text);
    };
    const toMany = (): Promise<unknown> => Promise.all(sessions.map((each) => each.append(message(CHARACTERS))));
    const toOne = (): Promise<unknown> => Promise.all(times.map(() => session.append(message(CHARACTERS))));
    const rows: Finding[] = [];
    for (const [isFloorAtOnce, way, bare] of [
      [false, "one after the other", inTurn],
      [true, "at once", atOnce],
    ] as const) {
      if (!isFloorAtOnce && !oneByOne) continue;
      const isAsked = isFloorAtOnce !== oneByOne;
      const suffix = isAsked ? "" : "-at-once";
      const facts = { against: `${AT_ONCE} ${way}: ${against}`, better: "more" as const };
      const calls = isFloorAtOnce ? 40 : 8;
      const many = await interleaved({ ours: toMany, floor: () => bare(names) }, { calls });
      const together = await interleaved({ ours: toOne, floor: () => bare(times) }, { calls });
      rows.push(
        row({
          id: `${store}-append-64-sessions${suffix}`,
          what: `${AT_ONCE} sessions at once, ${store}, throughput`,
          ...facts,
          ...many,
          ...(isAsked ? { target: targets.sessions } : undefined),
        }),
        row({
          id: `${store}-append-64-one${suffix}`,
          what: `${AT_ONCE} appends at once to one session, ${store}, throughput`,
          ...facts,
          ...together,
          ...(isAsked ? { target: targets.oneSession } : undefined),
        }),
      );
    }
    return [row({ id: `${store}-append`, what: `append, ${store}, one at a time`, against, ...one, target: targets.one }), ...rows];
  } finally {
    await manager.close();
  }
}
