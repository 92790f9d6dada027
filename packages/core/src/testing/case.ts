import type { Agent, Execute } from "../agent.ts";
import type { RuntimeOptions } from "../options.ts";
import type { Runtime } from "../runtime.ts";

/** One behaviour that every runtime has. */
export interface RuntimeCase {
  /** `area/behaviour`, stable. */
  readonly id: string;
  readonly sentence: string;
  run(test: CaseContext): Promise<void>;
}

/** What a case is given. Runtimes it made are stopped when it ends. */
export interface CaseContext {
  /** A runtime that is not started. */
  create(options?: RuntimeOptions): Promise<Runtime>;
  /** What an agent does that is deaf to its signal: it ends with the case, not before. */
  never(): Promise<never>;
  /** One with these agents, started. */
  started(agents: Readonly<Record<string, Agent | Execute>>, options?: RuntimeOptions): Promise<Runtime>;
}

export function runtimeCase(id: string, sentence: string, run: (test: CaseContext) => Promise<void>): RuntimeCase {
  return { id, sentence, run };
}
