import { AixgoError, isAixgoError, type Json } from "@aixgo/core";
import { expandHome } from "@aixgo/security";
import type { SessionInfo, SessionManager } from "@aixgo/session";
import { type ExportedSession, type ExportReport, exportReport } from "./export-report.ts";
import { createGoDraft, type GoDraft } from "./go-draft.ts";
import { type GoIndexEntry, goSessionIdOf, isGoPathComponent, isObject, sessionIdOf } from "./go-format.ts";
import { GoLog } from "./go-log.ts";
import { ORIGIN } from "./new-log.ts";
import { Notes, shown } from "./notes.ts";

export interface ExportGoStoreOptions {
  /** Read only; `manager.as(principal)` exports the sessions of one user. Not closed. */
  readonly from: SessionManager;
  /** A folder that is not there yet, or empty. */
  readonly to: string;
  /** Only this agent. */
  readonly agent?: string;
  /** Only this tenant; without it, only sessions without a tenant: the Go release knows none and would mix their users. */
  readonly tenantId?: string;
  /** The Go release cannot read lines above 64 KiB. `skip`: a session with such a message is left out; `shorten`: its text is cut. @default "skip" */
  readonly onTooLong?: "skip" | "shorten";
  /** Nothing is left of an export that was stopped. */
  readonly signal?: AbortSignal;
  /** Called with each session, as soon as it is known what became of it. */
  readonly onSession?: (session: ExportedSession) => void;
}

/** Errors that are the session's own. */
const OF_SESSION: ReadonlySet<string> = new Set([
  "INVALID_INPUT",
  "LIMIT_EXCEEDED",
  "ENTRY_CORRUPT",
  "SESSION_DELETED",
  "SESSION_NOT_FOUND",
  "INCARNATION_CHANGED",
]);

/**
 * Writes sessions in the layout of the Go release, for it to read: the history as its messages, checkpoints on the history as its
 * checkpoints. What it cannot say (roles, parts beyond text, other branches, state) lies in members and entries that it reads over,
 * so that an import brings it back; turns and their keys are left out.
 *
 * All or nothing: `to` is there when all is written. Throws `INVALID_OPTION`, also for a folder that is not empty; `CANCELLED`; and
 * what the store throws when it cannot be used. A session that cannot be exported fails nothing: the report says why.
 */
export async function exportGoStore(options: ExportGoStoreOptions): Promise<ExportReport> {
  checkOptions(options);
  const { from, to, agent, tenantId, signal, onSession } = options;
  const draft = await createGoDraft(expandHome(to));
  try {
    const sessions: ExportedSession[] = [];
    const query = {
      order: "id" as const,
      ...(agent === undefined ? undefined : { agentName: agent }),
      ...(tenantId === undefined ? undefined : { tenantId }),
    };
    for await (const info of from.listAll(query)) {
      if (signal?.aborted === true) throw new AixgoError("CANCELLED", "the export was cancelled", { cause: signal.reason });
      const exported = await exportSession(draft, info, options);
      sessions.push(exported);
      onSession?.(exported);
    }
    await draft.publish();
    return exportReport(sessions);
  } finally {
    await draft.discard();
  }
}

async function exportSession(draft: GoDraft, info: SessionInfo, options: ExportGoStoreOptions): Promise<ExportedSession> {
  const { id, agentName, userId } = info;
  const notes = new Notes();
  const goId = goIdOf(info);
  const about = { id, goId, agentName, ...(userId === undefined ? undefined : { userId }) };
  try {
    if (info.tenantId !== undefined && options.tenantId === undefined)
      throw new AixgoError(
        "INVALID_INPUT",
        `it belongs to tenant ${shown(info.tenantId)}, and the Go release knows no tenants: export one tenant at a time (tenantId)`,
      );
    if (!isGoPathComponent(agentName)) throw new AixgoError("INVALID_INPUT", `the Go release refuses the agent name ${shown(agentName)}`);
    let messages = 0;
    await draft.add(agentName, goId, async (write) => {
      const session = await options.from.get(id);
      const end = await new GoLog(options.onTooLong ?? "skip", notes, write).copy(session, options.signal);
      ({ messages } = end);
      const meta: GoIndexEntry = {
        id: goId,
        agentName,
        ...(userId === undefined ? undefined : { userId }),
        createdAt: info.createdAt,
        updatedAt: info.updatedAt,
        messageCount: messages,
        ...(end.currentLeaf === undefined ? undefined : { currentLeaf: end.currentLeaf }),
      };
      const checkpoints = end.checkpoints.map(({ id, ...rest }) => ({ id, sessionId: goId, ...rest }));
      return { meta, checkpoints };
    });
    return { ...about, outcome: "exported", messages, notes: notes.list() };
  } catch (error) {
    if (!isAixgoError(error) || !OF_SESSION.has(error.code)) throw error;
    return { ...about, outcome: "skipped", messages: 0, reason: error.message, code: error.code, notes: notes.list() };
  }
}

/** An imported session gets back the id that it had. */
function goIdOf({ id, metadata }: SessionInfo): string {
  const origin: Json | undefined = metadata[ORIGIN];
  const goId = isObject(origin) ? origin["sessionId"] : undefined;
  return typeof goId === "string" && isGoPathComponent(goId) && sessionIdOf(goId) === id ? goId : goSessionIdOf(id);
}

const KNOWN: ReadonlySet<string> = new Set<keyof ExportGoStoreOptions>([
  "from",
  "to",
  "agent",
  "tenantId",
  "onTooLong",
  "signal",
  "onSession",
]);

function checkOptions(options: ExportGoStoreOptions): void {
  if (typeof options !== "object" || options === null) throw invalid("exportGoStore needs { from, to }");
  const unknown = Object.keys(options).find((name) => !KNOWN.has(name));
  if (unknown !== undefined) throw invalid(`exportGoStore has no option ${JSON.stringify(unknown)}`);
  const { from, to, agent, tenantId, onTooLong, onSession } = options;
  if (typeof from?.listAll !== "function" || typeof from.get !== "function") throw invalid("from must be a session manager");
  if (typeof to !== "string" || to === "") throw invalid("to must be the folder to write the Go store to");
  if (agent !== undefined && typeof agent !== "string") throw invalid("agent must be the name of an agent");
  if (tenantId !== undefined && typeof tenantId !== "string") throw invalid("tenantId must be the id of a tenant");
  if (onTooLong !== undefined && onTooLong !== "skip" && onTooLong !== "shorten") throw invalid('onTooLong must be "skip" or "shorten"');
  if (onSession !== undefined && typeof onSession !== "function") throw invalid("onSession must be a function");
}

function invalid(message: string): AixgoError {
  return new AixgoError("INVALID_OPTION", message);
}
