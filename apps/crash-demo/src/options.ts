import { parseArgs } from "node:util";

export interface DemoOptions {
  /** Undefined: one crash, told as it happens. */
  readonly rounds: number | undefined;
  readonly seed: number | undefined;
  readonly keep: boolean;
}

const MAX_ROUNDS = 100_000;

export const USAGE = `Kills an agent in the middle of its work, goes on with it, and shows from the log that nothing was lost.

  --rounds N   do it N times, killed at another place each time
  --seed N     of the places; the same seed, the same places
  --keep       leave the folder with the sessions behind
  --help       show this
`;

/** The options, "help", or what is wrong with them. */
export function readOptions(argv: readonly string[]): DemoOptions | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { rounds: { type: "string" }, seed: { type: "string" }, keep: { type: "boolean" }, help: { type: "boolean" } },
    });
    if (values.help === true) return "help";
    const rounds = whole("--rounds", values.rounds, 1, MAX_ROUNDS);
    const seed = whole("--seed", values.seed, 0, 2 ** 32 - 1);
    if (seed !== undefined && rounds === undefined) return "--seed needs --rounds.";
    return { rounds, seed, keep: values.keep === true };
  } catch (error) {
    return `${(error as Error).message.split(". ")[0]!.replace(/\.$/, "")}.`;
  }
}

function whole(name: string, given: string | undefined, least: number, most: number): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (!/^\d+$/.test(given) || value < least || value > most)
    throw new Error(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(given)}`);
  return value;
}
