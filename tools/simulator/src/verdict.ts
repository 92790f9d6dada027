import { type Message, textOf } from "@aixgo/core";
import type { Entry, TurnData, Verification } from "@aixgo/session";
import { problemsOf } from "./agent.ts";
import type { Ledger } from "./ledger.ts";

/** What is left of a session when all is over. */
export interface Remains {
  readonly session: string;
  readonly entries: readonly Entry[];
  readonly messages: readonly Message[];
  readonly verification: Verification;
}

/** Holds what is left against what clients were told. */
export function judge({ session, entries, messages, verification }: Remains, ledger: Ledger): void {
  const report = (violation: string): void => ledger.report(`session ${entries[0]?.seq === 0 ? "log" : session}: ${violation}`);
  for (const { seq, message } of verification.problems) report(`verify: entry ${seq}: ${message}`);
  for (const problem of problemsOf(messages)) report(`its history is broken: ${problem}`);
  const known = ledger.versions.get(session) ?? 0;
  const last = entries.at(-1)?.seq ?? -1;
  if (last < known) report(`ends at version ${last}, version ${known} was acknowledged`);
  judgeTurns(entries, report);
  judgeAppends(session, entries, ledger, report);
  judgeKeys(session, entries, ledger, report);
}

/** Turns one after the other, each with its own fence; nothing of an earlier one behind a later one's start. */
function judgeTurns(entries: readonly Entry[], report: (violation: string) => void): void {
  let fence = 0;
  let open: { readonly seq: number; readonly fence: number } | undefined;
  const suspended = new Set<number>();
  for (const entry of entries) {
    if (entry.fence !== undefined && entry.fence < fence) report(`entry ${entry.seq} has fence ${entry.fence} after fence ${fence}`);
    fence = Math.max(fence, entry.fence ?? 0);
    const { turn, seq } = entry;
    // Of a turn that waits, an answer, a denied call or the end may be written while no other turn is open.
    const waits = turn !== undefined && open === undefined && suspended.has(turn);
    if (entry.type !== "turn") {
      if (turn !== undefined && !waits && (turn !== open?.seq || entry.fence !== open.fence))
        report(`entry ${seq} (${entry.type}) belongs to turn ${turn}, fence ${entry.fence}, which is not the open one`);
      continue;
    }
    const { phase } = entry.data as unknown as TurnData;
    if (phase === "start") {
      if (open !== undefined) report(`turn ${seq} starts while turn ${open.seq} has no end`);
      open = { seq: turn ?? seq, fence: entry.fence ?? 0 };
      continue;
    }
    if (phase === "decide") {
      if (!waits) report(`entry ${seq} answers turn ${turn}, which does not wait`);
      continue;
    }
    if (!waits && turn !== open?.seq) report(`entry ${seq} ends turn ${turn}, which is not open`);
    if (phase === "suspend" && turn !== undefined) suspended.add(turn);
    open = undefined;
  }
}

function judgeAppends(session: string, entries: readonly Entry[], ledger: Ledger, report: (violation: string) => void): void {
  const stored = new Map<string, number[]>();
  for (const entry of entries) {
    if (entry.type !== "message") continue;
    const text = textOf(entry.data as unknown as Message);
    stored.set(text, [...(stored.get(text) ?? []), entry.seq]);
  }
  for (const { session: of, text, isAcknowledged, expectedVersion, op } of ledger.appends) {
    if (of !== session) continue;
    const seqs = stored.get(text) ?? [];
    if (isAcknowledged && seqs.length === 0) report(`the acknowledged append ${text} is lost`);
    if (seqs.length > 1) report(`the append ${text}${op === undefined ? "" : " with op"} stands ${seqs.length} times (${seqs.join(", ")})`);
    if (expectedVersion !== undefined && seqs.some((seq) => seq !== expectedVersion + 1))
      report(`the append ${text} that expected version ${expectedVersion} stands at ${seqs.join(", ")}`);
  }
}

function judgeKeys(session: string, entries: readonly Entry[], ledger: Ledger, report: (violation: string) => void): void {
  const restores = entries.filter(({ type }) => type === "restore").length;
  const texts = entries.flatMap((entry) => (entry.type === "message" ? [textOf(entry.data as unknown as Message)] : []));
  const ids = new Set(entries.map(({ id }) => id));
  for (const { session: of, key, input, answers } of ledger.turns.values()) {
    if (of !== session) continue;
    const ends = entries.filter((entry) => {
      const data = entry.data as unknown as TurnData;
      return entry.type === "turn" && data.phase === "end" && data.key === key && data.status === "completed";
    });
    if (ends.length > 1) report(`turn ${key} was completed ${ends.length} times`);
    if (answers.size > 1) report(`turn ${key} was answered in ${answers.size} different ways`);
    if (answers.size > 0 && ends.length === 0) report(`turn ${key} was answered, and the log has no end of it`);
    for (const id of answers) if (!ids.has(id)) report(`the answer of turn ${key} is lost`);
    const decided = entries.filter((entry) => {
      const { phase, requestId } = entry.data as unknown as TurnData;
      return entry.type === "turn" && phase === "decide" && requestId?.startsWith(`${key}?0`) === true;
    });
    if (decided.length > 1 + restores) report(`question ${key}?0 was decided ${decided.length} times`);
    // A turn that a restore has left behind starts anew, and asks anew.
    for (const [requestId, heard] of ledger.decisions)
      if (requestId.startsWith(`${key}?`) && heard.size > 1 + restores) report(`question ${requestId} was answered in ${heard.size} ways`);
    const inputs = texts.filter((text) => text === input).length;
    if (inputs > 1 + restores) report(`the input of turn ${key} stands ${inputs} times`);
  }
}
