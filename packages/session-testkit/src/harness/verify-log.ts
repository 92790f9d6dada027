import assert from "node:assert/strict";
import {
  claimedHash,
  envelopeOf,
  expectedHash,
  fold,
  type Head,
  type ReadRange,
  type Ref,
  type SessionBackend,
} from "@aixgo/session/backend";
import { sameLines } from "./same-lines.ts";

const PAGE_BYTES = 64 * 1024;

/**
 * Reads a whole log and checks all that must hold of it: pages of whole lines of the stated size, seq without gaps, the hash
 * chain, whole batches, the same lines backwards, and a head that is the fold over the lines.
 *
 * Throws an `AssertionError`; answers with the lines. No write may be under way meanwhile.
 */
export async function verifyLog(backend: SessionBackend, ref: Ref): Promise<{ readonly head: Head; readonly lines: readonly Buffer[] }> {
  const lines = await readLines(backend, ref);
  const folded = verifyLines(ref, lines);
  const head = await backend.head(ref.id);
  assert.deepEqual(foldedPart(head), foldedPart(folded), "head() is not the fold over the lines");
  assert.ok(head.fence >= folded.fence, `head() shows fence ${head.fence}, the log ${folded.fence}`);
  const backwards = await readLines(backend, ref, { reverse: true });
  sameLines(backwards.reverse(), lines, "read in falling order gives other lines");
  return { head, lines };
}

/** Checks lines from the header on: seq, chain, whole batches. Answers with the fold over them. */
export function verifyLines(ref: Ref, lines: readonly Uint8Array[]): Head {
  let head: Head | undefined;
  let previous = ref.incarnation;
  let due: readonly [number, number] = [0, 1];
  for (const [seq, line] of lines.entries()) {
    const envelope = envelopeOf(line);
    const [index, of] = envelope.batch ?? [0, 1];
    assert.equal(envelope.seq, seq, `line ${seq} has another seq`);
    assert.equal(claimedHash(line), expectedHash(previous, line), `the hash of line ${seq} does not follow from the line before`);
    assert.ok(
      index === due[0] && (index === 0 || of === due[1]),
      `line ${seq} is number ${index} of a batch of ${of}; number ${due[0]} is due`,
    );
    due = index + 1 === of ? [0, 1] : [index + 1, of];
    previous = envelope.hash;
    head = fold(head, line);
  }
  assert.ok(head !== undefined, "the log is empty");
  assert.equal(due[0], 0, "the last batch is not whole");
  assert.deepEqual(
    { id: head.id, incarnation: head.incarnation },
    { id: ref.id, incarnation: ref.incarnation },
    "the header is that of another session",
  );
  return head;
}

/** The lines of a range, each page checked: whole lines, ended by a newline, not longer than stated. */
export async function readLines(backend: SessionBackend, ref: Ref, range?: ReadRange): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  for await (const page of backend.read(ref, range)) {
    const split = linesOf(page);
    assert.ok(split.length > 0, "a page is empty");
    assert.ok(split.length === 1 || page.length <= PAGE_BYTES, `a page of ${split.length} lines has ${page.length} bytes`);
    lines.push(...split);
  }
  return lines;
}

/** Splits a page. */
export function linesOf(page: Uint8Array): Buffer[] {
  const bytes = Buffer.from(page);
  assert.ok(bytes.length === 0 || bytes.at(-1) === 0x0a, "a page does not end with a newline");
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start);
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

/** What follows from the lines alone. */
export function foldedPart(head: Head): Omit<Head, "fence" | "lease" | "keys"> {
  const { fence: _, lease: __, keys: ___, ...folded } = head;
  return folded;
}
