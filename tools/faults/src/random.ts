import { randomInt } from "node:crypto";

/** What a run draws its plan from: the same seed draws the same plan. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
}

/** A small generator with 32 bits of state (splitmix32). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { next, below, pick: (from) => from[below(from.length)] as never };
}

/** One seed for a part of a run: so that cycle 7 can be replayed without the six before it. */
export function seedFor(seed: number, part: number): number {
  return (Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) + Math.imul(part + 1, 0x85ebca6b)) >>> 0;
}

/** The seed that `AIXGO_FAULTS_SEED` gives, or a new one. */
export function chosenSeed(): number {
  const given = process.env["AIXGO_FAULTS_SEED"];
  if (given === undefined || given === "") return randomInt(2 ** 32);
  return seedIn(given, "AIXGO_FAULTS_SEED");
}

/** Throws for what is no seed; `name` is what gave it. */
export function seedIn(text: string, name: string): number {
  const seed = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new Error(`${name} must be a whole number below 2^32, not ${JSON.stringify(text)}`);
  return seed;
}
