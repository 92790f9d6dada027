import { type Agent, defineAgent, type Json, type Logger, textOf } from "@aixgo/core";
import { cutText } from "./json.ts";
import { check, type Checks, flag, methods, oneOf, text, whole, words } from "./option-check.ts";

export interface LoggerAgentOptions {
  readonly name: string;
  readonly role?: string;
  /** @default the runtime's */
  readonly logger?: Logger;
  /** @default "info" */
  readonly level?: "debug" | "info" | "warn" | "error";
  /** Logs the text, too. What people write may be private: only where the log may hold it. @default false */
  readonly content?: boolean;
  /** Of the text that is logged. @default 1000 */
  readonly maxBytes?: number;
}

const CHECKS: Checks<LoggerAgentOptions> = {
  name: words,
  role: text,
  logger: methods("debug", "info", "warn", "error"),
  level: oneOf("debug", "info", "warn", "error"),
  content: flag,
  maxBytes: whole(1),
};

/**
 * An agent that logs what it is given and answers with the same: put it between two others, or send it copies. It logs the kinds and
 * the size of the parts and the session, never the content unless asked for.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createLoggerAgent(options: LoggerAgentOptions): Agent {
  check("createLoggerAgent", "", CHECKS, options, ["name"]);
  const { name, role, logger, level = "info", content = false, maxBytes = 1000 } = options;
  return defineAgent({
    name,
    ...(role === undefined ? undefined : { role }),
    execute(input, context) {
      const { parts } = input;
      const entry: { [key: string]: Json } = {
        agent: name,
        message: input.id,
        parts: parts.map(({ type }) => type),
        bytes: Buffer.byteLength(JSON.stringify(parts)),
        ...(context.session === undefined ? undefined : { session: context.session.id }),
        ...(content ? { text: cutText(textOf(input), maxBytes) } : undefined),
      };
      (logger ?? context.logger)[level](entry, "message");
      return { role: "assistant", parts };
    },
  });
}
