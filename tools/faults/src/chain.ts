import { createHash } from "node:crypto";

/**
 * A reader of the log format that shares no code with the packages: what they write is held against the description of the
 * format, not against their own idea of it.
 */
export interface Line {
  readonly seq: number;
  readonly type: string;
  readonly id: string;
  readonly hash: string;
  readonly batch: readonly [index: number, of: number];
  readonly fence?: number;
  readonly turn?: number;
  readonly op?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Tip {
  readonly seq: number;
  readonly hash: string;
}

const TRAILER = ',"hash":"'.length + 43 + '"}'.length;

/** Parses whole lines that follow `tip`, or begin a log. Throws what is wrong, with the seq. */
export function readChain(bytes: Buffer, tip: Tip | undefined): Line[] {
  const lines: Line[] = [];
  let at = 0;
  let before = tip?.hash;
  let seq = (tip?.seq ?? -1) + 1;
  let due = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) throw new Error(`entry ${seq}: the log ends inside a line`);
    const text = bytes.toString("utf8", at, end);
    const value = JSON.parse(text) as Omit<Line, "batch"> & { batch?: [number, number]; v: number; data: { incarnation?: string } };
    if (value.v !== 1 || value.seq !== seq) throw new Error(`entry ${seq}: the line says v ${value.v}, seq ${value.seq}`);
    const previous = before ?? value.data.incarnation ?? "";
    const hash = createHash("sha256")
      .update(`${previous}"}\n`)
      .update(bytes.subarray(at, end - TRAILER))
      .digest("base64url");
    if (value.hash !== hash || !text.endsWith(`,"hash":"${hash}"}`)) throw new Error(`entry ${seq}: its hash does not follow`);
    const batch = value.batch ?? [0, 1];
    if (batch[0] !== due) throw new Error(`entry ${seq}: part ${batch[0]} of its batch, where part ${due} is due`);
    due = batch[0] + 1 < batch[1] ? batch[0] + 1 : 0;
    lines.push({ ...value, batch });
    before = hash;
    seq += 1;
    at = end + 1;
  }
  if (due !== 0) throw new Error(`entry ${seq - 1}: its batch is not whole`);
  return lines;
}

/** The text of a message line; undefined for other lines. */
export function messageText({ type, data }: Line): string | undefined {
  if (type !== "message") return undefined;
  return (data["parts"] as readonly { text?: string }[] | undefined)?.[0]?.text;
}
