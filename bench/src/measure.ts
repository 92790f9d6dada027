/** One side of a comparison: does the thing once, or `batch` times at once. */
export type Side = () => unknown;

export interface Compared {
  /** Medians of one call, in microseconds. */
  readonly contender: number;
  readonly floor: number;
}

export interface Rounds {
  /** @default 7 */
  readonly rounds?: number;
  /** Calls of each side in a round. */
  readonly calls: number;
}

/**
 * Contender and floor in turn, call by call, so that a noisy neighbour hits both. The first round warms up and does not count.
 * What counts is the median of the single calls, and the ratio of the two medians.
 */
export async function compare(contender: Side, floor: Side, { rounds = 7, calls }: Rounds): Promise<Compared> {
  const times: { contender: number[]; floor: number[] } = { contender: [], floor: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (let call = 0; call < calls; call += 1) {
      const first = await timed(contender);
      const second = await timed(floor);
      if (round === 0) continue;
      times.contender.push(first);
      times.floor.push(second);
    }
  }
  return { contender: median(times.contender), floor: median(times.floor) };
}

/** Microseconds of one call. */
export async function timed(side: Side): Promise<number> {
  const before = process.hrtime.bigint();
  const result = side();
  if (result instanceof Promise) await result;
  return Number(process.hrtime.bigint() - before) / 1000;
}

/** Median of the calls, after one that does not count; in microseconds. */
export async function alone(side: Side, calls: number): Promise<number> {
  await side();
  const times: number[] = [];
  for (let call = 0; call < calls; call += 1) times.push(await timed(side));
  return median(times);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
