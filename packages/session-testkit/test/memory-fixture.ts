import type { Fixture } from "../src/index.ts";
import { brokenFixture } from "../src/mutants/mutant.ts";

/** The memory backend, nothing broken: all opens of one name are nodes on one backend. */
export function memoryFixture(name: string, options: Parameters<typeof brokenFixture>[2] = {}): Fixture {
  return brokenFixture(name, () => ({}), options);
}
