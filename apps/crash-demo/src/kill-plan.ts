/** When a worker dies: by its own hand at a place of the turn, or from outside at a time. */
export type KillPlan =
  | { readonly at: "point"; readonly name: string; readonly nth: number }
  | { readonly at: "time"; readonly afterMs: number };

/** In the middle of a tool that must not run twice: it has done its work, and nobody knows yet. */
export const CLASSIC: KillPlan = { at: "point", name: "send_mail: the mail has left", nth: 1 };

/** What a turn looks like: the places it passes, in order, and how long it takes from its start to its answer. */
export interface Course {
  readonly points: readonly string[];
  readonly durationMs: number;
}

/**
 * Draws a plan: half of them at a place, first of which kind and then which one, so that the few tool steps are hit as often
 * as the many words; half of them at a time, wherever the process is then, also in the middle of a write.
 */
export function drawPlan(course: Course, random: () => number): KillPlan {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  if (random() < 0.5) return { at: "time", afterMs: Math.round(random() * course.durationMs * 10) / 10 };
  const name = pick([...new Set(course.points)]);
  const count = course.points.filter((point) => point === name).length;
  return { at: "point", name, nth: 1 + Math.floor(random() * count) };
}

export function describePlan(plan: KillPlan): string {
  return plan.at === "time" ? `${plan.afterMs} ms after the start` : `"${plan.name}"${plan.nth === 1 ? "" : `, time ${plan.nth}`}`;
}

/** Mulberry32: small, and the same numbers for the same seed everywhere. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
