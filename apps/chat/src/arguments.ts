import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { Command, CommanderError } from "commander";
import { UsageError } from "./usage-error.ts";

export interface ChatArguments {
  readonly user: string;
  readonly session: string | undefined;
  /** Undefined: the store's own default, ~/.aixgo/sessions. */
  readonly sessionDir: string | undefined;
  readonly model: string | undefined;
  /** False: never. True: where the output shows colours. */
  readonly color: boolean;
}

/** What is printed instead of a chat: help or version. */
export interface Printed {
  readonly printed: string;
}

const MAX_USER_BYTES = 256;

const ENVIRONMENT = `
Environment:
  ANTHROPIC_API_KEY, OPENAI_API_KEY   use that provider's models
  AIXGO_MODEL_URL, AIXGO_MODEL_KEY    use any server that speaks OpenAI's chat completions, and its key if it needs one
  AIXGO_MODEL                         name of the model, like --model
  AIXGO_SESSION_DIR                   folder of the sessions, like --session-dir
  NO_COLOR                            no colours, like --no-color
  AIXGO_DEBUG=1                       show where an error came from
Without any of them a small offline model answers: it remembers and calculates, but it is no AI.

Type a message, or /help for what else can be done. Piped in, each line is one message and each answer is one line:
  printf 'My name is Ada\\n' | npm start -s -- --user ada`;

/** Reads the command line. Throws `UsageError`. */
export function parseArguments(argv: readonly string[], env: NodeJS.ProcessEnv): ChatArguments | Printed {
  let printed = "";
  const command = new Command("chat")
    .description("A chat with an agent that remembers, also after a crash.")
    .option("--user <name>", "who is talking (default: your name on this machine)")
    .option("--session <id>", "go on with this session instead of the user's own")
    .option("--session-dir <dir>", "folder of the sessions (default: ~/.aixgo/sessions)")
    .option("--model <name>", 'name of the model, or "offline"')
    .option("--no-color", "no colours")
    .version(versionOfThis(), "--version")
    .helpOption("--help", "show this")
    .addHelpText("after", ENVIRONMENT)
    .argument("[stray...]")
    .usage("[options]")
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => undefined });
  // The stray arguments are taken only to say something helpful about them.
  command.registeredArguments[0]!.description = "";
  command.configureHelp({ visibleArguments: () => [] });
  try {
    command.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { printed };
    throw new UsageError(error.message.replace(/^error: /, "").replace(/\n/g, " "));
  }
  const [stray] = command.args;
  if (stray !== undefined) {
    throw new UsageError(
      `the argument ${quoted(stray)} was not expected; options begin with --, and after npm start they need a -- of their own: npm start -- --user ada`,
    );
  }
  const options = command.opts<{ user?: string; session?: string; sessionDir?: string; model?: string; color: boolean }>();
  return {
    user: options.user === undefined ? nameOfUser() : checkedUser(options.user),
    session: options.session === undefined ? undefined : checkedSession(options.session),
    sessionDir: notEmpty("--session-dir", options.sessionDir) ?? (env["AIXGO_SESSION_DIR"] || undefined),
    model: notEmpty("--model", options.model),
    color: options.color && !env["NO_COLOR"],
  };
}

function checkedUser(user: string): string {
  if (user.trim() === "") throw new UsageError("--user needs a name");
  if (!isPlain(user)) throw new UsageError(`--user ${quoted(user)} holds characters that cannot be shown`);
  if (Buffer.byteLength(user) > MAX_USER_BYTES)
    throw new UsageError(`--user may have ${MAX_USER_BYTES} bytes, this one has ${Buffer.byteLength(user)}`);
  return user;
}

function checkedSession(id: string): string {
  if (!/^[0-9a-f]{32}$/.test(id))
    throw new UsageError(`--session ${quoted(id)} is no session id: these are 32 characters 0-9 and a-f, as /sessions shows them`);
  return id;
}

function notEmpty(option: string, value: string | undefined): string | undefined {
  if (value?.trim() === "") throw new UsageError(`${option} needs a value`);
  return value;
}

/** The system's name of the user; some containers have none. */
function nameOfUser(): string {
  try {
    const { username } = userInfo();
    return username !== "" && isPlain(username) ? username : "me";
  } catch {
    return "me";
  }
}

function isPlain(text: string): boolean {
  return !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text);
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function versionOfThis(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}
