import { envelopeOf } from "@aixgo/session/backend";
import type { Ref } from "@aixgo/session/backend";
import { incarnationChanged, type Journal } from "./journal.ts";
import type { Pages } from "./pages.ts";

const NEWLINE = 0x0a;

/**
 * Finds the last entry with an op or an id. Whoever finds an op takes its append for done, so the entry is made durable first: its
 * writer may have been killed before it could.
 */
export async function find(
  journal: Journal,
  pages: Pages,
  ref: Ref,
  what: { readonly op: string } | { readonly entryId: string },
): Promise<number | undefined> {
  const found = await search(journal, pages, ref, what);
  if (found !== undefined && "op" in what) await journal.confirm(ref, `search session ${ref.id}`);
  return found;
}

/** Ops are gathered once per open log; ids are searched from the tail, where they are wanted most. */
async function search(
  journal: Journal,
  pages: Pages,
  ref: Ref,
  what: { readonly op: string } | { readonly entryId: string },
): Promise<number | undefined> {
  const known = await journal.withLog(ref.id, (log) => {
    if (log.damage !== undefined) throw log.damage;
    if (log.state.head.incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
    if ("entryId" in what) return log.marks.seqOfId(what.entryId);
    const seq = log.marks.seqOfOp(what.op);
    if (seq === undefined) log.marks.gather();
    return seq;
  });
  if (known !== undefined) return known ?? undefined;
  if ("entryId" in what) return searchId(pages, ref, what.entryId);

  const ops = new Map<string, number>();
  for await (const page of pages.read(ref)) {
    for (const [line, end] of linesWith(page, Buffer.from(',"op":"'))) {
      const { op, seq } = envelopeOf(page.subarray(line, end));
      if (op !== undefined) ops.set(op, seq);
    }
  }
  await journal.withLog(ref.id, (log) => {
    if (log.state.head.incarnation !== ref.incarnation) throw incarnationChanged(ref.id);
    for (const [op, seq] of ops) log.marks.noteOp(op, seq);
    log.marks.completed();
  });
  return ops.get(what.op);
}

async function searchId(pages: Pages, ref: Ref, id: string): Promise<number | undefined> {
  const wanted = Buffer.from(`,"id":${JSON.stringify(id)}`);
  for await (const page of pages.read(ref, { reverse: true })) {
    for (const [line, end] of linesWith(page, wanted)) {
      const entry = envelopeOf(page.subarray(line, end));
      if (entry.id === id) return entry.seq;
    }
  }
  return undefined;
}

/** The lines of a page that hold these bytes, each once, as `[start, end]`. */
function* linesWith(page: Buffer, wanted: Buffer): Generator<readonly [start: number, end: number]> {
  for (let at = page.indexOf(wanted); at >= 0;) {
    const start = page.lastIndexOf(NEWLINE, at) + 1;
    const end = page.indexOf(NEWLINE, at);
    yield [start, end];
    at = page.indexOf(wanted, end);
  }
}
