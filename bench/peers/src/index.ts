import type { Contender } from "#contender";
import { adkInMemory, openAiMemory } from "./in-memory.ts";
import { langGraphInMemory, langGraphPostgres, langGraphSqlite } from "./langgraph.ts";
import { mastra } from "./mastra.ts";
import { sqlite } from "./sqlite.ts";

export interface Peers {
  /** Whose writes nothing or a kill leaves behind. */
  readonly notSynced: readonly Contender[];
  readonly synced: readonly Contender[];
  readonly onPostgres: (url: string) => readonly Contender[];
}

export const peers: Peers = {
  notSynced: [sqlite("NORMAL"), langGraphSqlite("NORMAL"), mastra, langGraphInMemory, openAiMemory, adkInMemory],
  synced: [sqlite("FULL"), langGraphSqlite("FULL")],
  onPostgres: (url) => [langGraphPostgres(url)],
};
