/** What clients did and what they were told: the truth that the log is held against. */
export interface AppendRecord {
  readonly session: string;
  readonly text: string;
  readonly op?: string;
  readonly expectedVersion?: number;
  isAcknowledged: boolean;
  /** Sent more than once by its client, with the same op. */
  version?: number;
}

export interface TurnRecord {
  readonly session: string;
  readonly key: string;
  readonly input: string;
  /** Ids of the answers that clients were given. */
  readonly answers: Set<string>;
}

export class Ledger {
  readonly appends: AppendRecord[] = [];
  readonly turns: Map<string, TurnRecord> = new Map();
  readonly violations: string[] = [];
  /** Highest version of a session that any client was told. */
  readonly versions: Map<string, number> = new Map();
  readonly deleted: Set<string> = new Set();
  /** Checkpoints that clients were told of, by session. */
  readonly checkpoints: Map<string, string[]> = new Map();

  /** What agents were told for each question. */
  readonly decisions: Map<string, Set<string>> = new Map();

  readonly report: (violation: string) => void = (violation) => {
    this.violations.push(violation);
  };

  heard(requestId: string, decision: string): void {
    const known = this.decisions.get(requestId) ?? new Set();
    this.decisions.set(requestId, known.add(decision));
  }

  sawVersion(session: string, version: number): void {
    this.versions.set(session, Math.max(this.versions.get(session) ?? 0, version));
  }
}
