import { AixgoError } from "@aixgo/core";
import type { SessionBackend } from "../src/backend.ts";

export interface Faults {
  /** Share of appends that never reach the store. */
  readonly lostRequests: number;
  /** Share of appends that are made, but whose answer is lost. */
  readonly lostReplies: number;
  /** Share of appends that reach the store twice. */
  readonly doubled: number;
  /** 0 to 1, deterministic. */
  random(): number;
}

/** A network between the session layer and a correct store. */
export function faulty(backend: SessionBackend, faults: Faults): SessionBackend {
  const unknown = (): AixgoError => new AixgoError("OUTCOME_UNKNOWN", "the connection broke");
  return new Proxy(backend, {
    get(target, name, receiver) {
      if (name !== "append") {
        const member = Reflect.get(target, name, receiver) as unknown;
        return typeof member === "function" ? (member as (...parameters: unknown[]) => unknown).bind(target) : member;
      }
      return async (...parameters: Parameters<SessionBackend["append"]>) => {
        const chance = faults.random();
        if (chance < faults.lostRequests) throw unknown();
        const answer = await target.append(...parameters);
        if (faults.random() < faults.doubled) await target.append(...parameters).catch(() => undefined);
        if (chance < faults.lostRequests + faults.lostReplies) throw unknown();
        return answer;
      };
    },
  });
}

/** A small deterministic generator (mulberry32): a failing seed replays. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
