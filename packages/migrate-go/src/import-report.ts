/** What became of one session of the Go store. */
export interface ImportedSession {
  readonly agentName: string;
  /** Its id in the Go store. */
  readonly goId: string;
  /** Its id here; absent if it could not be told. */
  readonly id?: string;
  readonly userId?: string;
  /**
   * `imported`; `updated`: it was imported before, not touched here, and has grown there; `present`: it was imported before;
   * `skipped`: see `reason`. In a dry run, what would become of it.
   */
  readonly outcome: "imported" | "updated" | "present" | "skipped";
  /** Messages of its history. */
  readonly messages: number;
  /** Ends of branches that the history does not go through. */
  readonly branches: number;
  /** It is the one that `getOrCreate(agent, user)` goes on with. */
  readonly isLatest: boolean;
  /** Of a skipped one: why, and what to do. */
  readonly reason?: string;
  /** Of a skipped one: the code of the error, if there was one. */
  readonly code?: string;
  /** What was damaged, or cannot be said here, and what was done about it. */
  readonly notes: readonly string[];
}

export interface ImportReport {
  readonly imported: number;
  readonly updated: number;
  readonly present: number;
  readonly skipped: number;
  /** Sessions with notes. */
  readonly repaired: number;
  /** Something in the source changed while it was read: a Go process is using it. Stop it, and import again. */
  readonly isSourceInUse: boolean;
  readonly sessions: readonly ImportedSession[];
  /** Of agents as a whole. */
  readonly notes: readonly string[];
}

/** Sums up what became of the sessions. */
export function importReport(sessions: readonly ImportedSession[], notes: readonly string[], isSourceInUse: boolean): ImportReport {
  const count = (outcome: ImportedSession["outcome"]): number => sessions.filter((session) => session.outcome === outcome).length;
  return {
    imported: count("imported"),
    updated: count("updated"),
    present: count("present"),
    skipped: count("skipped"),
    repaired: sessions.filter((session) => session.notes.length > 0).length,
    isSourceInUse,
    sessions,
    notes,
  };
}
