/** What became of one session. */
export interface ExportedSession {
  readonly id: string;
  /** Its id in the Go store. */
  readonly goId: string;
  readonly agentName: string;
  readonly userId?: string;
  readonly outcome: "exported" | "skipped";
  /** Messages that the Go release will read. */
  readonly messages: number;
  /** Of a skipped one: why, and what to do. */
  readonly reason?: string;
  readonly code?: string;
  /** What the Go store does not say as it was. */
  readonly notes: readonly string[];
}

export interface ExportReport {
  readonly exported: number;
  readonly skipped: number;
  readonly sessions: readonly ExportedSession[];
}

/** Sums up what became of the sessions. */
export function exportReport(sessions: readonly ExportedSession[]): ExportReport {
  const exported = sessions.filter(({ outcome }) => outcome === "exported").length;
  return { exported, skipped: sessions.length - exported, sessions };
}
