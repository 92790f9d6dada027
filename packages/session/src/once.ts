import { AixgoError, type Json, type Message } from "@aixgo/core";
import { isWellFormed, newEntryId } from "@aixgo/security";
import type { Entry } from "./entry.ts";
import { canonicalJson } from "./canonical-json.ts";
import { restoreDraft } from "./checkpoint.ts";
import type { Draft } from "./line.ts";
import { decodeMessage, type EncodedMessage, messageOf } from "./message-data.ts";
import type { OpenSession } from "./open-session.ts";
import { suspended } from "./suspension.ts";
import { resolveTarget } from "./target.ts";
import { assertVersion } from "./version.ts";
import { type Batch, changedByOthers, Moved } from "./writer.ts";

export interface AppendedOnce {
  readonly version: number;
  readonly messages: readonly Message[];
}

interface Options {
  readonly op: string | undefined;
  readonly expectedVersion: number | undefined;
  /** Where the head goes first. */
  readonly at: string | undefined;
  readonly signal: AbortSignal | undefined;
}

const MAX_OP_BYTES = 512;

/** Appends messages outside of turns; with an op at most once in the life of the session, whoever sends it again. */
export function appendOnce(open: OpenSession, inputs: readonly EncodedMessage[], options: Options): Promise<AppendedOnce> {
  return options.op === undefined ? submit(open, inputs, options) : appendWithOp(open, inputs, options, options.op);
}

async function appendWithOp(open: OpenSession, inputs: readonly EncodedMessage[], options: Options, op: string): Promise<AppendedOnce> {
  if (typeof op !== "string" || op === "" || !isWellFormed(op) || Buffer.byteLength(op) > MAX_OP_BYTES) {
    throw new AixgoError("INVALID_INPUT", `op must be a text of 1 to ${MAX_OP_BYTES} bytes`);
  }
  return open.oneAtATime(op, async () => {
    const deadline = performance.now() + open.writer.rebaseMs;
    for (;;) {
      const before = open.writer.written;
      const head = await open.log.refresh();
      const stored = await storedBy(open, inputs, op, options.at);
      if (stored !== undefined) return stored;
      try {
        return await submit(open, inputs, options, (now) => {
          if (now !== head.seq + open.writer.written - before) throw new Moved();
        });
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
        if (performance.now() > deadline) throw changedByOthers(open.ref.id, open.writer.rebaseMs);
      }
    }
  });
}

async function submit(
  open: OpenSession,
  inputs: readonly EncodedMessage[],
  options: Options,
  assertUnmoved?: (seq: number) => void,
): Promise<AppendedOnce> {
  const { op, expectedVersion, at, signal } = options;
  const moves = at === undefined ? [] : [await moveTo(open, at)];
  const messageDrafts = inputs.map(({ json }, index): Draft => {
    const draft = { id: newEntryId(), type: "message", data: json } as const;
    return op === undefined || index > 0 ? draft : { ...draft, op: `u:${op}` };
  });
  const drafts = [...moves, ...messageDrafts];
  const check: Batch["check"] = (head, tip) => {
    assertUnmoved?.(head.seq);
    // A message between a call and its result would part the two for good.
    if (tip.waitsFor !== undefined && at === undefined) throw suspended(head.id, tip.waitsFor);
    assertVersion(head.id, expectedVersion, tip);
  };
  const batch: Batch = { drafts, outsideTurns: true, check };
  const written = await open.writer.submit(signal === undefined ? batch : { ...batch, signal });
  const messages = inputs.map(({ data }, index) => messageOf(data, (messageDrafts[index] as Draft).id, written.timestamp));
  return { version: written.tip.seq, messages };
}

/** What moves the head to where an append is made. */
async function moveTo({ log }: OpenSession, at: string): Promise<Draft> {
  const head = await log.refresh();
  const target = await resolveTarget(log, head, at);
  const waiting = await log.waitingAt({ headSeq: target.headSeq, seq: head.seq });
  if (waiting !== undefined) throw suspended(head.id, waiting.waitsFor);
  return restoreDraft(at, target);
}

async function storedBy(
  open: OpenSession,
  inputs: readonly EncodedMessage[],
  op: string,
  at: string | undefined,
): Promise<AppendedOnce | undefined> {
  const { log } = open;
  const first = await log.backend.find(log.ref, { op: `u:${op}` });
  if (first === undefined) return undefined;
  const entries = [await log.one(first)];
  // A batch that moved the head begins with that.
  const [moved, all] = (entries[0] as Entry).batch ?? [0, 1];
  const of = all - moved;
  while (entries.length < of) entries.push(await log.one(first + entries.length));
  const isSame =
    of === inputs.length &&
    at === (moved === 0 ? undefined : ((await log.one(first - 1)).data as { readonly target?: string }).target) &&
    entries.every((entry, index) => canonicalJson(entry.data) === canonicalJson((inputs[index] as EncodedMessage).data as unknown as Json));
  if (!isSame)
    throw new AixgoError(
      "OP_REUSED",
      `op ${JSON.stringify(op)} of session ${log.ref.id} was used for other content. Use a new op for a new append`,
    );
  return { version: first + of - 1, messages: entries.map(decodeMessage) };
}
