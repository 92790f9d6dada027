/** One side of a comparison: does the thing once, or a number of times at once. */
export type Side = () => unknown;

/** What the calls of one side took; microseconds, unless its row says otherwise. */
export interface Summary {
  readonly median: number;
  readonly p99: number;
  readonly calls: number;
}

export interface Rounds {
  /** @default 7 */
  readonly rounds?: number;
  /** Calls of each side in a round. */
  readonly calls: number;
  /**
   * Calls that a side makes before it is another's turn. One, unless some sides work so much longer that each call of the others
   * would find the processor's caches full of their data. @default 1
   */
  readonly inARow?: number;
  /** Told of a side that failed; it is then left out. Absent, or if it throws: the failure is the run's. */
  readonly failed?: (name: string, error: unknown) => void;
}

/**
 * All sides in turn, call by call or a few in a row, so that a noisy neighbour hits each of them; whoever began comes last the next time, since
 * the first after another's sync may find the disk still at work. The first round warms up and does not count.
 */
export async function interleaved<Name extends string>(
  sides: Readonly<Record<Name, Side>>,
  { rounds = 7, calls, inARow = 1, failed }: Rounds,
): Promise<Readonly<Record<Name, Summary>>> {
  const names = Object.keys(sides) as Name[];
  const times = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (let done = 0; done < calls; done += inARow) {
      for (let turn = 0; turn < names.length; turn += 1) {
        const name = names[(turn + done / inARow) % names.length] as Name;
        const taken = times.get(name);
        try {
          for (let call = done; call < Math.min(done + inARow, calls) && taken !== undefined; call += 1) {
            const time = await timed(sides[name]);
            if (round > 0) taken.push(time);
          }
        } catch (error) {
          if (failed === undefined) throw error;
          failed(name, error);
          times.delete(name);
        }
      }
    }
  }
  return Object.fromEntries(names.map((name) => [name, summary(times.get(name) ?? [])])) as Record<Name, Summary>;
}

/** Microseconds of one call. */
export async function timed(side: Side): Promise<number> {
  const before = process.hrtime.bigint();
  const result = side();
  if (result instanceof Promise) await result;
  return Number(process.hrtime.bigint() - before) / 1000;
}

/** So many calls of one side, after one that does not count. */
export async function alone(side: Side, calls: number): Promise<Summary> {
  await side();
  const times: number[] = [];
  for (let call = 0; call < calls; call += 1) times.push(await timed(side));
  return summary(times);
}

/** Every `calls` of one kind measured as a whole and divided: for what is shorter than the clock is exact. */
export function perCall({ median, p99, calls }: Summary, each: number): Summary {
  return { median: median / each, p99: p99 / each, calls };
}

/** A number that is counted, not timed. */
export function counted(value: number): Summary {
  return { median: value, p99: value, calls: 1 };
}

/** Of an empty list: NaN. */
export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99), calls: values.length };
}
