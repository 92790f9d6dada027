import { parseArguments } from "./arguments.ts";
import { openChat } from "./chat.ts";
import { explain, trace } from "./failures.ts";
import { chooseModel } from "./model-choice.ts";
import { Output } from "./output.ts";
import { runPiped } from "./piped.ts";
import { createStyle } from "./style.ts";
import { runTerminal } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";

/** Milliseconds between two words of the offline model, for people to read along. */
const WORD_DELAY_MS = 25;
const MAX_WORD_DELAY_MS = 10_000;
/** What a shell expects of a program that a signal ended. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const { stdin, stdout, stderr, env } = process;
const output = new Output(stdout);
const errors = new Output(stderr);
const debug = env["AIXGO_DEBUG"] === "1";

async function main(argv: readonly string[]): Promise<number> {
  const options = parseArguments(argv, env);
  if ("printed" in options) {
    await output.write(options.printed);
    return 0;
  }
  const isTerminal = stdin.isTTY === true;
  const model = await chooseModel({ named: options.model, env, wordDelayMs: wordDelay(isTerminal) });
  const chat = await openChat(options, model);

  const stop = new AbortController();
  let onInterrupt = (): void => stop.abort();
  process.on("SIGINT", () => onInterrupt());
  // The turn that runs is recorded as interrupted; the next start goes on with it.
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    process.on(
      signal,
      () =>
        void chat
          .close()
          .catch(() => undefined)
          .finally(() => process.exit(EXIT_BY_SIGNAL[signal])),
    );
  }
  try {
    if (isTerminal) {
      const style = createStyle(options.color && stdout.isTTY === true && env["TERM"] !== "dumb");
      return await runTerminal(chat, { input: stdin, screen: stdout, output, style, debug, onInterrupt: (react) => (onInterrupt = react) });
    }
    const code = await runPiped(chat, { input: stdin, output, errors, debug, stop: stop.signal });
    return stop.signal.aborted ? EXIT_BY_SIGNAL.SIGINT : code;
  } finally {
    await chat.close();
  }
}

function wordDelay(isTerminal: boolean): number {
  const given = env["AIXGO_OFFLINE_DELAY_MS"];
  if (given === undefined || given === "") return isTerminal ? WORD_DELAY_MS : 0;
  const delay = Number(given);
  if (!Number.isInteger(delay) || delay < 0 || delay > MAX_WORD_DELAY_MS)
    throw new UsageError(`AIXGO_OFFLINE_DELAY_MS must be a whole number from 0 to ${MAX_WORD_DELAY_MS}, not ${JSON.stringify(given)}`);
  return delay;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError;
  await errors.write(`chat: ${explain(error)}${isUsage ? " See --help." : ""}\n${debug ? `${trace(error)}\n` : ""}`);
  process.exitCode = isUsage ? 2 : 1;
}
// An input that nobody closes would keep the program alive.
stdin.destroy();
