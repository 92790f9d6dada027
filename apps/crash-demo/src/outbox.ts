import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Mail {
  readonly to: string;
  readonly text: string;
}

/** The world outside: what happened there has happened, whatever becomes of the process. */
export interface Outbox {
  /** Notes that a call begins to run; a call noted twice has run twice. */
  began(toolCallId: string): void;
  send(mail: Mail): void;
  mails(): readonly Mail[];
  calls(): readonly string[];
}

export function openOutbox(dir: string): Outbox {
  const mailFile = join(dir, "outbox.jsonl");
  const callFile = join(dir, "send_mail.calls");
  const linesOf = (file: string): string[] =>
    existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line !== "")
      : [];
  return {
    began: (toolCallId) => appendFileSync(callFile, `${toolCallId}\n`),
    send: (mail) => appendFileSync(mailFile, `${JSON.stringify(mail)}\n`),
    mails: () => linesOf(mailFile).map((line) => JSON.parse(line) as Mail),
    calls: () => linesOf(callFile),
  };
}
