import type { Json, Message } from "./message.ts";

/** Of a value beside its text: members without text are not free either. */
const VALUE_BYTES = 16;

/** About what a message holds: its text and names in bytes of UTF-8, and a little for each value. */
export function weightOf({ id, parts, metadata }: Message): number {
  return Buffer.byteLength(id) + weigh(parts as unknown as Json) + (metadata === undefined ? 0 : weigh(metadata));
}

function weigh(value: Json): number {
  if (typeof value === "string") return VALUE_BYTES + Buffer.byteLength(value);
  if (typeof value !== "object" || value === null) return VALUE_BYTES;
  let sum = VALUE_BYTES;
  if (Array.isArray(value)) for (const member of value as readonly Json[]) sum += weigh(member);
  else for (const [name, member] of Object.entries(value)) sum += Buffer.byteLength(name) + weigh(member);
  return sum;
}
