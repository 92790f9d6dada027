import type { Envelope } from "@aixgo/session/backend";

/**
 * Where entries are found: a hash from ids and ops to the seq of the last entry with it. An entry without an op has its id
 * for one; the seq of an entry that has an op of its own ends with a star, for its id is not its op. The header leaves one
 * more field: a hash without it has been lost and begun anew.
 */
export const WHOLE = "#";
const ID = "i";
const OP = "o";
const OWN_OP = "*";

/** Fields and values of one entry. */
export function marksOf({ seq, id, op }: Pick<Envelope, "seq" | "id" | "op">): readonly string[] {
  if (seq === 0) return [WHOLE, "1", ID + id, op === undefined ? "0" : `0${OWN_OP}`, ...(op === undefined ? [] : [OP + op, "0"])];
  return op === undefined ? [ID + id, String(seq)] : [ID + id, `${seq}${OWN_OP}`, OP + op, String(seq)];
}

/** The fields to ask for. */
export function fieldsFor(what: { readonly op: string } | { readonly entryId: string }): readonly [string, string] {
  return "op" in what ? [OP + what.op, ID + what.op] : [ID + what.entryId, WHOLE];
}

/** The seq that the answers to these fields mean. */
export function seqOf(
  what: { readonly op: string } | { readonly entryId: string },
  first: string | undefined,
  second: string | undefined,
): number | undefined {
  const named = first === undefined ? undefined : Number.parseInt(first, 10);
  if (!("op" in what)) return named;
  const plain = second === undefined || second.endsWith(OWN_OP) ? undefined : Number(second);
  return named === undefined || plain === undefined ? (named ?? plain) : Math.max(named, plain);
}
