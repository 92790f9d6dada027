import { AixgoError } from "@aixgo/core";
import { asBuffer, claimedHash, envelopeOf, type Position, type ReadRange } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";
import type { SessionRow } from "./session-row.ts";
import { quoted } from "./text.ts";

const PAGE_BYTES = 64 * 1024;
/** Lines whose sizes are looked at for one page: more cannot fit, as the shortest line has over 100 bytes. */
const PAGE_LINES = 1024;
const NEWLINE = Buffer.from("\n");

export function insertLines(connection: Connection, log: number, lines: readonly Uint8Array[]): void {
  for (const line of lines) {
    const { seq, id, op } = envelopeOf(line);
    connection.run(
      "INSERT INTO lines (log, seq, entry, op, line) VALUES (?, ?, ?, ?, ?)",
      log,
      seq,
      quoted(id),
      op === undefined ? null : quoted(op),
      line,
    );
  }
}

/** What is left of a range while it is read: both ends inclusive. */
export interface Span {
  readonly first: number;
  readonly last: number;
  readonly reverse: boolean;
}

/** Throws `INVALID_INPUT`. */
export function spanOf(id: string, { from = 0, to, reverse = false, limit }: ReadRange, seq: number): Span {
  for (const [name, value] of Object.entries({ from, to, limit })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw new AixgoError("INVALID_INPUT", `${name} of a read of session ${id} must be a whole number`);
  }
  const last = Math.min(to ?? seq, seq);
  if (limit === undefined) return { first: from, last, reverse };
  return reverse
    ? { first: Math.max(from, last - limit + 1), last, reverse }
    : { first: from, last: Math.min(last, from + limit - 1), reverse };
}

/** The next page of a span and what is left of it; undefined: nothing is. Sizes are looked at first: a line may have many megabytes. */
export function pageOf(
  connection: Connection,
  { log, folded }: SessionRow,
  span: Span,
): { readonly page: Uint8Array; readonly rest: Span } | undefined {
  const { first, last, reverse } = span;
  if (first > last) return undefined;
  const order = reverse ? "DESC" : "ASC";
  const sizes = connection.all(
    `SELECT length(line) FROM lines WHERE log = ? AND seq BETWEEN ? AND ? ORDER BY seq ${order} LIMIT ${PAGE_LINES}`,
    log,
    first,
    last,
  );
  let count = 0;
  for (let bytes = 0; count < sizes.length; count++) {
    bytes += (sizes[count]?.[0] as number) + 1;
    if (count > 0 && bytes > PAGE_BYTES) break;
  }
  const [low, high] = reverse ? [last - count + 1, last] : [first, first + count - 1];
  const lines = linesBetween(connection, log, low, high);
  if (count === 0 || lines.length !== count) {
    throw new AixgoError(
      "ENTRY_CORRUPT",
      `lines of session ${folded.id} are missing from entry ${low} on; restore the database from a backup`,
      {
        details: { session: folded.id, seq: low },
      },
    );
  }
  if (reverse) lines.reverse();
  return { page: joined(lines), rest: reverse ? { first, last: low - 1, reverse } : { first: high + 1, last, reverse } };
}

/** All lines after a place in the log, or none: a part would be taken for the whole. Undefined as well if the place is not in this log. */
export function linesSince(connection: Connection, { log, folded }: SessionRow, { seq, hash }: Position): Uint8Array | undefined {
  if (!Number.isSafeInteger(seq) || seq < 0 || seq >= folded.seq) return undefined;
  const known = connection.get("SELECT line FROM lines WHERE log = ? AND seq = ?", log, seq)?.[0];
  if (!(known instanceof Uint8Array) || claimedHash(known) !== hash) return undefined;
  const bytes = connection.get("SELECT sum(length(line) + 1) FROM lines WHERE log = ? AND seq > ?", log, seq)?.[0] as number;
  return bytes > PAGE_BYTES ? undefined : joined(linesBetween(connection, log, seq + 1, folded.seq));
}

/** Seq of the last entry with this op or id; an entry without an op has its id for one. */
export function findLine(
  connection: Connection,
  log: number,
  what: { readonly op: string } | { readonly entryId: string },
): number | undefined {
  const byEntry = "SELECT max(seq) FROM lines WHERE log = ? AND entry = ?";
  if ("entryId" in what) return seqIn(connection, byEntry, log, what.entryId);
  const named = seqIn(connection, "SELECT max(seq) FROM lines WHERE log = ? AND op = ?", log, what.op);
  const unnamed = seqIn(connection, `${byEntry} AND op IS NULL`, log, what.op);
  return named === undefined || unnamed === undefined ? (named ?? unnamed) : Math.max(named, unnamed);
}

function seqIn(connection: Connection, sql: string, log: number, text: string): number | undefined {
  return (connection.get(sql, log, quoted(text))?.[0] as number | null | undefined) ?? undefined;
}

function linesBetween(connection: Connection, log: number, low: number, high: number): Buffer[] {
  return connection
    .all("SELECT line FROM lines WHERE log = ? AND seq BETWEEN ? AND ? ORDER BY seq", log, low, high)
    .map(([line]) => asBuffer(line as Uint8Array));
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
}
