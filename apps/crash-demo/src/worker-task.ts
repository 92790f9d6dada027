export const AGENT = "buyer";

/** What a worker is to do. */
export interface WorkerTask {
  readonly sessionDir: string;
  readonly outboxDir: string;
  readonly sessionId: string;
  readonly turnKey: string;
  /** Milliseconds between two words; tools take a multiple of it. */
  readonly paceMs: number;
  /** The place where the worker kills itself, and the how manieth time it gets there. */
  readonly fatal?: string;
  readonly nth: number;
}

export function workerTask(json: string): WorkerTask {
  return JSON.parse(json) as WorkerTask;
}
