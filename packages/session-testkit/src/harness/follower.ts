import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { createSessionManager, type Entry, type EntryCursor } from "@aixgo/session";
import { envelopeOf, type Position, type Ref, type SessionBackend } from "@aixgo/session/backend";
import { watchOf } from "./offers.ts";
import { linesOf } from "./verify-log.ts";

/** Longest time without anything new, while there is something. */
const PATIENCE_MS = 6_000;

/** Follows a session with the session layer until so many entries have come, or nothing comes any more. */
export async function follow(
  backend: SessionBackend,
  id: string,
  count: number,
  after?: EntryCursor,
): Promise<{ readonly entries: readonly Entry[]; readonly cursor: EntryCursor | undefined }> {
  // Not closed: that would close the backend, which is the case's.
  const session = await createSessionManager({ backend }).get(id);
  const controller = new AbortController();
  const entries: Entry[] = [];
  let timer = setTimeout(() => controller.abort(), PATIENCE_MS);
  try {
    for await (const entry of session.entries({ ...(after === undefined ? {} : { after }), follow: true, signal: controller.signal })) {
      clearTimeout(timer);
      entries.push(entry);
      if (entries.length === count) break;
      timer = setTimeout(() => controller.abort(), PATIENCE_MS);
    }
  } catch (error) {
    assert.ok(!controller.signal.aborted, `the follower got ${entries.length} of ${count} entries and then nothing more`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const last = entries.at(-1);
  return { entries, cursor: last === undefined ? after : session.cursorOf(last) };
}

/** Follows by hints alone: reads once, and then only when a hint has come. Answers with the seqs in the order in which they came. */
export async function followByHints(backend: SessionBackend, ref: Ref, after: Position, until: number): Promise<readonly number[]> {
  const controller = new AbortController();
  const hints = watchOf(backend)(ref, after, controller.signal)[Symbol.asyncIterator]();
  const seqs: number[] = [];
  let seq = after.seq;
  try {
    while (seq < until) {
      assert.equal(await hinted(hints), "hint", `no hint came at seq ${seq}, of ${until}`);
      for await (const page of backend.read(ref, { from: seq + 1 })) {
        for (const line of linesOf(page)) {
          seq = envelopeOf(line).seq;
          seqs.push(seq);
        }
      }
    }
    return seqs;
  } finally {
    controller.abort();
  }
}

/** What the next hint comes to, within the kit's patience. */
export async function hinted(hints: AsyncIterator<void>, patienceMs: number = PATIENCE_MS): Promise<"hint" | "end" | "nothing"> {
  const controller = new AbortController();
  const late = pause(patienceMs, "nothing" as const, { signal: controller.signal }).catch(() => "nothing" as const);
  try {
    return await Promise.race([hints.next().then(({ done }) => (done === true ? ("end" as const) : ("hint" as const))), late]);
  } finally {
    controller.abort();
  }
}
