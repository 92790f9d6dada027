import { AixgoError, expectMethods, type Logger } from "@aixgo/core";
import { redact } from "@aixgo/security";
import { scrub } from "./scrub.ts";

export interface RedactionOptions {
  /** Takes out what only this application knows to be secret; given each text after our own redaction. What it throws masks the text. */
  readonly redact?: (text: string) => string;
}

type Level = keyof Logger;

/**
 * The same logger without secrets: every text in the fields, at any depth, and the message are redacted, and what lies under the name
 * of a secret (`password`, `authorization`, `apiKey` …) is masked. Errors become `type`, `message`, `stack`, own members and `cause`.
 *
 * Fields are copied as plain data, bounded in depth and number; texts to 2,048 characters. It never throws. Levels that the logger
 * has switched off (`isLevelEnabled`, as pino has) cost nothing.
 *
 * @throws AixgoError `INVALID_OPTION` for what is no logger
 */
export function withRedaction(logger: Logger, options: RedactionOptions = {}): Logger {
  const expected = expectMethods("debug", "info", "warn", "error")(logger);
  if (expected !== undefined) throw new AixgoError("INVALID_OPTION", `withRedaction: the logger must be ${expected}`);
  for (const key of Object.keys(options))
    if (key !== "redact")
      throw new AixgoError("INVALID_OPTION", `withRedaction: there is no option ${JSON.stringify(key)}; known is redact`);
  const { redact: own } = options;
  if (own !== undefined && typeof own !== "function")
    throw new AixgoError("INVALID_OPTION", 'withRedaction: the option "redact" must be a function of a text');
  const clean = own === undefined ? redact : (text: string) => cleaned(own, redact(text));
  const { isLevelEnabled } = logger as { readonly isLevelEnabled?: unknown };
  const isEnabled = (level: Level): boolean =>
    typeof isLevelEnabled !== "function" || (isLevelEnabled as (level: string) => unknown).call(logger, level) !== false;
  const log =
    (level: Level) =>
    (fields: object, message: string): void => {
      if (!isEnabled(level)) return;
      const plain = scrub(fields, clean);
      logger[level](
        typeof plain === "object" && plain !== null ? plain : { fields: plain },
        clean(typeof message === "string" ? message : (JSON.stringify(scrub(message)) ?? "")),
      );
    };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

function cleaned(own: (text: string) => string, text: string): string {
  try {
    return own(text);
  } catch {
    return "[redacted]";
  }
}
