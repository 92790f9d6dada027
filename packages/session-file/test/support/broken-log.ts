import { expect } from "vitest";
import type { Entry } from "@aixgo/session/backend";
import { LineWriter } from "./writer.ts";

export interface Log {
  readonly bytes: Buffer;
  /** Where each line begins, and where the last ends. */
  readonly starts: readonly number[];
}
export function logOf(lines: readonly Buffer[]): Log {
  const starts = [0];
  for (const line of lines) starts.push((starts.at(-1) as number) + line.length + 1);
  return { bytes: Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])), starts };
}
export const SECTOR = 512;
/** So long that each line has the end of a sector in it. */
export const long = (text: string): string => text.padEnd(2 * SECTOR);
/** Header, groups of one, two, a batch of three, and of three lines at the end. */
export function sample(synced: boolean): Log {
  const writer = new LineWriter();
  const lines = [writer.header()];
  const sync = (): Partial<Entry> => (synced ? { sync: writer.seq } : {});
  lines.push(writer.message(long("1"), sync()));
  lines.push(writer.message(long("2"), sync()), writer.message(long("3")));
  lines.push(...writer.batch(["4", "5", "6"].map(long), sync()));
  lines.push(writer.message(long("7"), sync()), writer.message(long("8")), writer.message(long("9")));
  return logOf(lines);
}
export function changed({ bytes }: Log, at: number, to: number | ((byte: number) => number) = (byte) => byte ^ 1): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = typeof to === "number" ? to : to(copy[at] as number);
  return copy;
}
/** A sector in line `seq` that never reached the disk; `from`: bytes of the line that did. */
export function holed({ bytes, starts }: Log, seq: number, from = 20): Buffer {
  const copy = Buffer.from(bytes);
  const start = (starts[seq] as number) + from;
  const border = Math.ceil((start + 1) / SECTOR) * SECTOR;
  expect(border).toBeLessThan(starts[seq + 1] as number);
  return copy.fill(0, start, border);
}
