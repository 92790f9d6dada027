import { AixgoError } from "@aixgo/core";
import type { SessionBackend } from "@aixgo/session/backend";
import type { RoleOf } from "./go-message.ts";
import type { ImportedSession } from "./import-report.ts";

export interface ImportGoStoreOptions {
  /** The folder of the Go release, such as `~/.aixgo/sessions`. Only read. */
  readonly from: string;
  /** Where the sessions go: the backend that a manager is made with. Not closed. A dry run can do without. */
  readonly to?: SessionBackend;
  /** Only this agent. */
  readonly agent?: string;
  /** New names of agents, by their names in the Go store: for those that are refused here. */
  readonly rename?: { readonly [agent: string]: string };
  /** The role of messages of your own types. @default known types by name, others take turns */
  readonly roleOf?: RoleOf;
  /** Reads and reports, and writes nothing. @default false */
  readonly dryRun?: boolean;
  /** Stops between two entries; what was imported stays, and the next run goes on. */
  readonly signal?: AbortSignal;
  /** Called with each session, as soon as it is known what became of it. */
  readonly onSession?: (session: ImportedSession) => void;
}

const KNOWN: ReadonlySet<string> = new Set<keyof ImportGoStoreOptions>([
  "from",
  "to",
  "agent",
  "rename",
  "roleOf",
  "dryRun",
  "signal",
  "onSession",
]);

/** Checks the options. Throws `INVALID_OPTION`, naming the one. */
export function checkImportOptions(options: ImportGoStoreOptions): void {
  if (typeof options !== "object" || options === null) throw invalid("importGoStore needs { from, to }");
  const unknown = Object.keys(options).find((name) => !KNOWN.has(name));
  if (unknown !== undefined) throw invalid(`importGoStore has no option ${JSON.stringify(unknown)}`);
  const { from, to, agent, rename, roleOf, dryRun, onSession } = options;
  if (typeof from !== "string" || from === "") throw invalid("from must be the folder of the Go store");
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw invalid("dryRun must be true or false");
  if (to === undefined ? dryRun !== true : typeof to?.create !== "function" || typeof to.rewrite !== "function")
    throw invalid("to must be a session backend, such as createFileBackend(): the one that your manager is made with, not the manager");
  if (agent !== undefined && typeof agent !== "string") throw invalid("agent must be the name of an agent");
  if (
    rename !== undefined &&
    !(typeof rename === "object" && rename !== null && Object.values(rename).every((name) => typeof name === "string"))
  )
    throw invalid("rename must map names of agents to new names");
  if (roleOf !== undefined && typeof roleOf !== "function") throw invalid("roleOf must be a function");
  if (onSession !== undefined && typeof onSession !== "function") throw invalid("onSession must be a function");
}

function invalid(message: string): AixgoError {
  return new AixgoError("INVALID_OPTION", message);
}
