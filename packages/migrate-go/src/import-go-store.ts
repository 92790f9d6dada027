import { AixgoError } from "@aixgo/core";
import { expandHome } from "@aixgo/security";
import { listGoAgents, openGoAgent } from "./go-store.ts";
import { checkImportOptions, type ImportGoStoreOptions } from "./import-options.ts";
import { type ImportedSession, importReport, type ImportReport } from "./import-report.ts";
import { SessionImport } from "./import-session.ts";
import { Notes, shown } from "./notes.ts";

/**
 * Copies the sessions of a store of the Go release (v0.3 to v0.7) into a backend: ids, times, metadata and users are kept, branches
 * become branches, checkpoints stay restorable by their ids, and the latest session of a user is the one that `getOrCreate` goes on
 * with. The source is only read.
 *
 * A session is created whole or not at all, so a run that was stopped or killed is made good by the next one; what was imported
 * before is left alone, or brought up to date if nobody has written to it here.
 *
 * Throws `INVALID_OPTION`; `INVALID_INPUT` if there is no such store or agent; `CANCELLED`; and what the backend throws when it
 * cannot be used. A session that cannot be imported fails nothing: the report says why.
 */
export async function importGoStore(options: ImportGoStoreOptions): Promise<ImportReport> {
  checkImportOptions(options);
  const { agent, rename = {}, signal, onSession } = options;
  const from = expandHome(options.from);
  const agents = await listGoAgents(from);
  if (agent !== undefined && !agents.includes(agent))
    throw new AixgoError("INVALID_INPUT", `the Go store has no agent ${shown(agent)}; it has ${agents.slice(0, 20).map(shown).join(", ")}`);
  const unknown = Object.keys(rename).find((name) => !agents.includes(name));
  if (unknown !== undefined) throw new AixgoError("INVALID_OPTION", `rename: the Go store has no agent ${shown(unknown)}`);
  const sessions: ImportedSession[] = [];
  const notes: string[] = [];
  let isSourceInUse = false;
  for (const folder of agent === undefined ? agents : [agent]) {
    const found = new Notes();
    const source = await openGoAgent(from, folder, found);
    const importer = new SessionImport(options, rename[folder] ?? source.name);
    for (const session of source.sessions) {
      if (signal?.aborted === true) throw new AixgoError("CANCELLED", "the import was cancelled", { cause: signal.reason });
      const { report, isInUse } = await importer.run(session);
      isSourceInUse ||= isInUse;
      sessions.push(report);
      onSession?.(report);
    }
    isSourceInUse ||= await source.hasChanged();
    notes.push(...found.list());
  }
  return importReport(sessions, notes, isSourceInUse);
}
