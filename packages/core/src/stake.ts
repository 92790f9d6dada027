import type { Slot } from "./slot.ts";
import type { Tally } from "./tally.ts";

/** What a call holds while its agent works: a slot, and its places in the counts that `stop` and `unregister` wait for. */
export interface Stake {
  slot: Slot | undefined;
  /** The agent runs: from now on the stake goes back when it ends. */
  handedOver: boolean;
  /** Gives everything back, once. */
  release(): void;
}

export function createStake(tallies: readonly Tally[]): Stake {
  for (const tally of tallies) tally.begin();
  let released = false;
  return {
    slot: undefined,
    handedOver: false,
    release() {
      if (released) return;
      released = true;
      this.slot?.end();
      for (const tally of tallies) tally.end();
    },
  };
}

/** Releases when the work itself is garbage: then it can never end. */
const lost = new FinalizationRegistry<() => void>((release) => release());

/**
 * For abandoned work that nothing can ever settle, a promise without a source: it is noticed when it is collected, so that it does not
 * take its slot with it. `release` is called after an end as well, must not mind that, and must not lead back to `work`.
 */
export function releaseIfLost(work: Promise<unknown>, release: () => void): void {
  lost.register(work, release);
}
