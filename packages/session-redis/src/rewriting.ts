import { AixgoError } from "@aixgo/core";
import type { Appended, Ref, SessionBackend } from "@aixgo/session/backend";
import { SINCE_BYTES } from "./appending.ts";
import type { Catalog } from "./catalog.ts";
import { gather } from "./gathering.ts";
import type { Heads } from "./heads.ts";
import { constantsLine, countersLine, headOf, incarnationText, positionLine, unpackHead } from "./packed-head.ts";
import { unknownOutcome } from "./redis-errors.ts";
import { tellingScripts } from "./scripts.ts";
import { accept, STATUS, type Store } from "./store.ts";

type Request = Parameters<SessionBackend["rewrite"]>[1];

/** Gathers the next life beside the log, then puts it in its place in one step. */
export async function rewrite(
  store: Store,
  heads: Heads,
  catalog: Catalog,
  ref: Ref,
  { expect, next, lines, blobs }: Request,
): Promise<Appended> {
  const operation = `rewrite of session ${ref.id}`;
  store.open(operation);
  if (next.id !== ref.id || next.incarnation === ref.incarnation)
    throw new AixgoError("INVALID_INPUT", `${operation}: it keeps its id and gets another incarnation`);
  const session = store.keys.session(ref.id);
  const position = positionLine({ ...ref, ...expect });
  const life = incarnationText(ref.incarnation);
  const before = (await heads.load(operation, ref.id)).stored.fold.info;

  // What is refused already need not be gathered.
  const look = [life, position, "", "", "", "0", "0", String(SINCE_BYTES), "1"];
  const early = conflictOf(
    await store.write({ operation, script: tellingScripts.rewrite, keys: [session.head, session.lines, session.marks], args: look }),
  );
  if (early !== undefined) return early;

  const gathered = await gather(store, operation, next, lines, { always: true });
  const { head } = gathered;
  try {
    const kept = blobs?.();
    const args = [
      life,
      position,
      positionLine(head),
      countersLine(head),
      constantsLine(head),
      String(head.seq + 1),
      String(store.options.ttlMs),
      String(SINCE_BYTES),
      "",
      kept === undefined ? "" : "1",
      ...(kept ?? []),
    ];
    const keys = [session.head, session.lines, session.marks, gathered.keys.lines, gathered.keys.marks, session.blobs];
    const answer = await store.write({ operation, script: tellingScripts.rewrite, keys, args });
    const [status, there] = answer.reply as readonly [number, Buffer?];
    // Sent again after a broken connection, it finds its own work.
    const isOwn = answer.resent && status === STATUS.otherLife && String(there) === incarnationText(next.incarnation);
    if (!isOwn) {
      const late = conflictOf(answer);
      if (late !== undefined) return late;
    }
    const stored = isOwn ? (await heads.load(operation, ref.id)).stored : unpackHead(ref.id, there as Buffer);
    heads.keep(stored);
    await catalog.move(before, stored.fold.info);
    return { head: headOf(stored, 0) };
  } finally {
    await gathered.drop();
  }

  function conflictOf({ reply, resent }: { readonly reply: unknown; readonly resent: boolean }): Appended | undefined {
    const [status, packed, now, since] = accept(operation, ref, reply);
    if (status !== STATUS.conflict) return undefined;
    if (resent) throw unknownOutcome(operation, "the connection to Redis was lost while it was under way");
    const stored = unpackHead(ref.id, packed as Buffer);
    heads.keep(stored);
    return { conflict: headOf(stored, now as number), ...(since === null ? undefined : { since: since as Buffer }) };
  }
}
