import type { Message } from "@aixgo/core";
import type { Entry, Session, TurnData } from "@aixgo/session";
import { INPUT } from "./model.ts";
import type { Outbox } from "./outbox.ts";
import type { WorkerRun } from "./worker-process.ts";

export interface Check {
  readonly holds: boolean;
  /** What is claimed, with the figures that were found. */
  readonly claim: string;
}

/** The facts of one round. `runs` are in order: the one that was killed, the one that went on, the one that asked again. */
export interface Evidence {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly runs: readonly [killed: WorkerRun, second: WorkerRun, again: WorkerRun];
  /** Version of the session before it was asked again. */
  readonly versionBefore: number;
}

/** Looks for everything that could have been lost or doubled, in the log itself. */
export async function checkRound({ session, outbox, runs, versionBefore }: Evidence): Promise<readonly Check[]> {
  const [, second, again] = runs;
  const entries: Entry[] = [];
  for await (const entry of session.entries()) entries.push(entry);
  const messages = await session.messages();
  const { entries: verified, problems } = await session.verify();

  const inputs = messages.filter((message) => message.role === "user" && textIn(message) === INPUT).length;
  const acknowledged = new Set(runs.flatMap(({ reports }) => reports.flatMap((report) => (report.type === "stored" ? [report.id] : []))));
  const stored = entries.filter(({ type }) => type === "message").map(({ id, data }) => (data as { readonly id?: string }).id ?? id);
  const missing = [...acknowledged].filter(
    (id) => stored.filter((each) => each === id).length !== 1 || messages.filter((each) => each.id === id).length !== 1,
  );

  const turns = entries.filter(({ type }) => type === "turn").map(({ data }) => data as unknown as TurnData);
  const starts = turns.filter(({ phase }) => phase === "start").length;
  const last = turns.at(-1);
  const answer = answerOf(second);
  const final = messages.at(-1);

  const calls = outbox.calls();
  const twice = calls.filter((id, index) => calls.indexOf(id) !== index);
  const open = openCalls(messages);
  return [
    { holds: problems.length === 0 && verified === entries.length, claim: `the hash chain of all ${entries.length} entries is valid` },
    { holds: inputs === 1, claim: `the question is stored ${times(inputs)}` },
    { holds: missing.length === 0, claim: `each of the ${acknowledged.size} acknowledged messages is there exactly once` },
    { holds: open === 0, claim: "every tool call has its result" },
    {
      holds: twice.length === 0 && outbox.mails().length === 1,
      claim: `no call of send_mail ran twice, and ${outbox.mails().length} mail was sent`,
    },
    {
      holds:
        answer !== undefined &&
        last?.phase === "end" &&
        last.status === "completed" &&
        last.attempt === starts &&
        final?.role === "assistant" &&
        textIn(final) === answer,
      claim: `attempt ${last?.attempt ?? 0} of the same turn answered`,
    },
    {
      holds: answerOf(again) === answer && wasReplayed(again) && entries.length - 1 === versionBefore,
      claim: "asked again with the same key, the log answers and the agent does not run",
    },
  ];
}

function answerOf({ reports }: WorkerRun): string | undefined {
  const report = reports.find(({ type }) => type === "answered");
  return report?.type === "answered" ? report.text : undefined;
}

function wasReplayed({ reports }: WorkerRun): boolean {
  return reports.some((report) => report.type === "answered" && report.replayed) && !reports.some(({ type }) => type === "attempt");
}

function openCalls(messages: readonly Message[]): number {
  const open = new Set<string>();
  for (const { parts } of messages) {
    for (const part of parts) {
      if (part.type === "tool-call") open.add(part.toolCallId);
      if (part.type === "tool-result") open.delete(part.toolCallId);
    }
  }
  return open.size;
}

function textIn({ parts }: Message): string {
  return parts.map((part) => (part.type === "text" ? (part as { readonly text: string }).text : "")).join("");
}

function times(count: number): string {
  return count === 1 ? "exactly once" : `${count} times`;
}
