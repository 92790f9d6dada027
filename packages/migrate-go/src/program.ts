import { lstatSync } from "node:fs";
import { join } from "node:path";
import { isAixgoError } from "@aixgo/core";
import { expandHome } from "@aixgo/security";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { exportGoStore } from "./export-go-store.ts";
import { importGoStore } from "./import-go-store.ts";
import { shown } from "./notes.ts";
import { exportText, importText, Progress, type Screen } from "./program-text.ts";

/** Exit codes. */
const DONE = 0;
const FAILED = 1;
const USAGE = 2;
/** Done, but for sessions that were skipped. */
const INCOMPLETE = 3;
const CANCELLED = 130;

interface ImportFlags {
  readonly from: string;
  readonly to: string;
  readonly agent?: string;
  readonly rename: { readonly [agent: string]: string };
  readonly dryRun: boolean;
  readonly json: boolean;
}

interface ExportFlags {
  readonly from: string;
  readonly to: string;
  readonly agent?: string;
  readonly tenant?: string;
  readonly onTooLong: "skip" | "shorten";
  readonly json: boolean;
}

/** Runs the command line and answers with the exit code: 0 done, 1 failed, 2 wrong use, 3 done but for skipped sessions, 130 cancelled. */
export async function run(args: readonly string[], screen: Screen, signal: AbortSignal): Promise<number> {
  let code = DONE;
  const program = new Command("aixgo-migrate-go")
    .description("Moves session stores of the Go release of aixgo to this one, and back.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => screen.out(text), writeErr: (text) => screen.err(text) })
    .showHelpAfterError("(--help tells how it is used)")
    .addHelpText("after", "\nExit codes: 0 done, 1 failed, 2 wrong use, 3 done but for sessions that were skipped.\n");
  program
    .command("import")
    .description("copy the sessions of a Go store into a file store; what is there already is left alone")
    .requiredOption("--from <folder>", "the Go store, such as ~/.aixgo/sessions: only read")
    .requiredOption("--to <folder>", "the file store; may be the same folder")
    .option("--agent <name>", "only this agent")
    .addOption(
      new Option("--rename <old=new>", "import an agent under another name; may be repeated")
        .argParser((text: string, before: { readonly [agent: string]: string }) => ({ ...before, ...pairOf(text) }))
        .default({}, "none"),
    )
    .option("--dry-run", "read and report, write nothing", false)
    .option("--json", "the report as JSON", false)
    .action(async (flags: ImportFlags) => {
      code = await runImport(flags, screen, signal);
    });
  program
    .command("export")
    .description("write the sessions of a file store as a Go store, into a new folder")
    .requiredOption("--from <folder>", "the file store: only read")
    .requiredOption("--to <folder>", "a folder that is not there yet, or empty")
    .option("--agent <name>", "only this agent")
    .option("--tenant <id>", "only this tenant")
    .addOption(
      new Option("--on-too-long <what>", "messages above 64 KiB, which the Go release cannot read")
        .choices(["skip", "shorten"])
        .default("skip"),
    )
    .option("--json", "the report as JSON", false)
    .action(async (flags: ExportFlags) => {
      code = await runExport(flags, screen, signal);
    });
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : USAGE;
    screen.err(`aixgo-migrate-go: ${isAixgoError(error) ? `${error.message} (${error.code})` : String(error)}\n`);
    if (isAixgoError(error, "CANCELLED")) return CANCELLED;
    return isAixgoError(error, "INVALID_OPTION") ? USAGE : FAILED;
  }
}

async function runImport({ from, to, agent, rename, dryRun, json }: ImportFlags, screen: Screen, signal: AbortSignal): Promise<number> {
  const baseDir = expandHome(to);
  // A dry run leaves no empty store behind.
  const backend = dryRun && !isStore(baseDir) ? undefined : createFileBackend({ baseDir });
  const progress = new Progress(screen);
  try {
    const report = await importGoStore({
      from,
      ...(backend === undefined ? undefined : { to: backend }),
      ...(agent === undefined ? undefined : { agent }),
      rename,
      dryRun,
      signal,
      onSession: (session) => progress.step(session.agentName),
    });
    progress.end();
    screen.out(json ? `${JSON.stringify(report)}\n` : importText(report, dryRun));
    return report.skipped > 0 || report.isSourceInUse ? INCOMPLETE : DONE;
  } finally {
    progress.end();
    await backend?.close();
  }
}

async function runExport({ from, to, agent, tenant, onTooLong, json }: ExportFlags, screen: Screen, signal: AbortSignal): Promise<number> {
  const baseDir = expandHome(from);
  // A backend would make a store of whatever folder there is.
  if (!isStore(baseDir)) {
    screen.err(`aixgo-migrate-go: there is no session store in ${JSON.stringify(from)}: give the folder that import was told as --to\n`);
    return FAILED;
  }
  await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  const wanted = {
    ...(agent === undefined ? undefined : { agentName: agent }),
    ...(tenant === undefined ? undefined : { tenantId: tenant }),
  };
  if (Object.keys(wanted).length > 0 && (await sessions.list({ ...wanted, limit: 1 })).items.length === 0) {
    const whose = [agent === undefined ? [] : `agent ${shown(agent)}`, tenant === undefined ? [] : `tenant ${shown(tenant)}`].flat();
    screen.err(`aixgo-migrate-go: the store has no sessions of ${whose.join(" and ")}: nothing was written\n`);
    return FAILED;
  }
  const progress = new Progress(screen);
  try {
    const report = await exportGoStore({
      from: sessions,
      to,
      ...(agent === undefined ? undefined : { agent }),
      ...(tenant === undefined ? undefined : { tenantId: tenant }),
      onTooLong,
      signal,
      onSession: (session) => progress.step(session.agentName),
    });
    progress.end();
    screen.out(json ? `${JSON.stringify(report)}\n` : exportText(report));
    return report.skipped > 0 ? INCOMPLETE : DONE;
  } finally {
    progress.end();
  }
}

/** Whether a store of ours lies here. What cannot be looked into is left to the backend, whose errors say why. */
function isStore(baseDir: string): boolean {
  try {
    return lstatSync(join(baseDir, ".aixgo"), { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOTDIR";
  }
}

function pairOf(text: string): { readonly [agent: string]: string } {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("give OLD=NEW");
  return { [text.slice(0, at)]: text.slice(at + 1) };
}
