import { createHash } from "node:crypto";

/**
 * Texts as columns hold them. PostgreSQL's `text` takes neither NUL nor lone surrogates, so a text is stored as the inside
 * of its JSON string: the same for ordinary names, one-to-one for all.
 */
export function columnText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

export function textOfColumn(column: string): string {
  return column.includes("\\") ? (JSON.parse(`"${column}"`) as string) : column;
}

/** Longest text that goes into an index as it is, in bytes: three of them fit into one index row. */
const MAX_INDEXED_BYTES = 800;

/** For columns that are only ever compared: a long text is stored as its digest. A backslash before `#` is in no JSON string. */
export function mark(text: string): string {
  const column = columnText(text);
  return Buffer.byteLength(column) <= MAX_INDEXED_BYTES ? column : `\\#${createHash("sha256").update(column).digest("base64url")}`;
}

export function fitsIndex(text: string): boolean {
  return Buffer.byteLength(columnText(text)) <= MAX_INDEXED_BYTES;
}

export type Field = string | number | boolean | null | undefined | Uint8Array | readonly Field[];

/** The literal of a composite value: one parameter instead of twenty, parsed by the server without a plan. Texts as columns hold them. */
export function rowLiteral(fields: readonly Field[]): string {
  return `(${fields.map((field) => (field === null || field === undefined ? "" : quote(scalar(field)))).join()})`;
}

/** The literal of an array. */
export function arrayLiteral(items: readonly Field[]): string {
  return `{${items.map((item) => (item === null || item === undefined ? "NULL" : quote(scalar(item)))).join()}}`;
}

function scalar(field: NonNullable<Field>): string {
  if (typeof field === "string") return field;
  if (field instanceof Uint8Array) return `\\x${Buffer.from(field.buffer, field.byteOffset, field.byteLength).toString("hex")}`;
  return Array.isArray(field) ? arrayLiteral(field) : String(field);
}

function quote(text: string): string {
  return `"${text.includes('"') || text.includes("\\") ? text.replace(/["\\]/g, "\\$&") : text}"`;
}

/** What is no whole number equals none that is stored. */
export function whole(value: number): number {
  return Number.isSafeInteger(value) ? value : -1;
}
