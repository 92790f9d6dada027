/** How votes are counted. */
export type VotingStrategy = "plurality" | "majority" | "unanimous" | "weighted" | "confidence";

export interface Ballot {
  /** Who votes. */
  readonly agent: string;
  /** For what. */
  readonly choice: string;
  /** From 0 to 1; counts only under `confidence`. @default 1 */
  readonly confidence?: number;
}

export interface Count {
  readonly choice: string;
  /** Votes, or the sum of weights or confidences. */
  readonly votes: number;
  readonly agents: readonly string[];
}

export interface Election {
  /** Absent if nobody has won. */
  readonly winner?: string;
  /** Most votes first; of equal ones, the one whose first ballot came first. */
  readonly counts: readonly Count[];
}

/**
 * Counts ballots. `plurality`, `weighted` and `confidence`: the most votes, weight or confidence win, and of equal ones the choice
 * that was voted for first in the order of the ballots. `majority`: more than half of all ballots. `unanimous`: all of them.
 *
 * `weights` are by agent, 1 for those that are not named. The same ballots always give the same election.
 */
export function countVotes(ballots: readonly Ballot[], strategy: VotingStrategy, weights: Readonly<Record<string, number>> = {}): Election {
  const found = new Map<string, { votes: number; agents: string[] }>();
  for (const { agent, choice, confidence = 1 } of ballots) {
    const weight =
      strategy === "weighted"
        ? Object.hasOwn(weights, agent)
          ? (weights[agent] as number)
          : 1
        : strategy === "confidence"
          ? confidence
          : 1;
    const count = found.get(choice) ?? { votes: 0, agents: [] };
    count.votes += weight;
    count.agents.push(agent);
    found.set(choice, count);
  }
  // `sort` keeps the order of equal ones: that of the first ballots.
  const counts = [...found].map(([choice, count]): Count => ({ choice, ...count })).toSorted((a, b) => b.votes - a.votes);
  const [first] = counts;
  const needed = strategy === "majority" ? ballots.length / 2 : strategy === "unanimous" ? ballots.length - 1 : 0;
  return first !== undefined && first.votes > needed ? { winner: first.choice, counts } : { counts };
}
