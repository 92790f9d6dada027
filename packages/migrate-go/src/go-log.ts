import { createHash } from "node:crypto";
import { AixgoError, type Json, type Message } from "@aixgo/core";
import type { Entry, HeaderData, Session } from "@aixgo/session";
import { escapeHtml, GO_LINE_BYTES, type GoCheckpoint, goJson, KEPT } from "./go-format.ts";
import { shortened, toGoMessage, withoutAttachments } from "./go-message.ts";
import { ORIGIN } from "./new-log.ts";
import { type Notes, shown } from "./notes.ts";

/** What a session becomes in the Go release's layout, besides its lines. */
export interface GoLogEnd {
  readonly messages: number;
  readonly currentLeaf: string | undefined;
  readonly checkpoints: readonly Omit<GoCheckpoint, "sessionId">[];
}

const HEADER = 0;

/** What has to be known of a log before its first line is written. */
class Shape {
  /** By seq: the entry before it on its path. */
  readonly parents: number[] = [];
  /** By seq: whether it becomes a line that a path may go through. */
  readonly grows: boolean[] = [];
  headSeq = HEADER;
  /** By seq: on the path to the head. */
  isOn = new Uint8Array(0);

  take(entry: Entry): void {
    if (entry.enc === 1) throw new AixgoError("INVALID_INPUT", "its contents are sealed: the Go release cannot read them");
    this.parents.push(entry.parentSeq ?? entry.seq - 1);
    this.grows.push((entry.type === "message" || entry.type === "state") && (entry.head ?? entry.seq) === entry.seq);
    this.headSeq = entry.head ?? entry.seq;
  }

  finish(): this {
    this.isOn = new Uint8Array(this.parents.length);
    for (let seq = this.headSeq; seq >= 0; seq = this.parents[seq] as number) this.isOn[seq] = 1;
    return this;
  }
}

/** One session on its way into the Go release's layout. */
export class GoLog {
  readonly #notes: Notes;
  readonly #onTooLong: "skip" | "shorten";
  readonly #write: (line: string) => Promise<void>;
  #shape = new Shape();
  /** By seq: the entry that it is, or stands for; the header is 0. */
  readonly #standsFor: number[] = [];
  /** Ids of the entries that became lines. */
  readonly #ids = new Map<number, string>([[HEADER, ""]]);
  readonly #digest = createHash("sha256");
  /** By seq: the checksum that the Go release would compute there. */
  readonly #checksums = new Map<number, string>([[HEADER, createHash("sha256").digest("hex")]]);
  readonly #checkpoints: Omit<GoCheckpoint, "sessionId">[] = [];
  /** What the last line stands for. */
  #last = HEADER;
  #messages = 0;

  constructor(onTooLong: "skip" | "shorten", notes: Notes, write: (line: string) => Promise<void>) {
    this.#onTooLong = onTooLong;
    this.#notes = notes;
    this.#write = write;
  }

  /** Reads the log twice: first its shape, then its contents, entry by entry. */
  async copy(session: Session, signal: AbortSignal | undefined): Promise<GoLogEnd> {
    const reading = signal === undefined ? {} : { signal };
    for await (const entry of session.entries(reading)) this.#shape.take(entry);
    this.#shape.finish();
    for await (const entry of session.entries(reading)) {
      // What was appended meanwhile belongs to another export.
      if (entry.seq >= this.#shape.parents.length) break;
      await this.#take(entry);
    }
    const leaf = this.#standsFor[this.#shape.headSeq] as number;
    // The Go release goes on from the last line, whatever it is.
    if (this.#last !== leaf) await this.#line(`head-${session.id}`, leaf, await timeOf(session), KEPT.head, {});
    return { messages: this.#messages, currentLeaf: leaf === HEADER ? undefined : this.#ids.get(leaf), checkpoints: this.#checkpoints };
  }

  async #take(entry: Entry): Promise<void> {
    const { seq } = entry;
    const isOn = this.#shape.isOn[seq] === 1;
    const before =
      this.#standsFor[this.#shape.grows[seq] === true ? (this.#shape.parents[seq] as number) : (entry.head ?? seq - 1)] ?? HEADER;
    this.#standsFor[seq] = before;
    switch (entry.type) {
      case "session": {
        const { metadata = {} } = entry.data as unknown as HeaderData;
        await this.#metadata(entry, metadata, before);
        return;
      }
      case "metadata":
        await this.#metadata(entry, entry.data as { readonly [key: string]: Json }, before);
        return;
      case "message":
        if (await this.#message(entry, before, isOn)) this.#grown(entry);
        return;
      case "state":
        if (await this.#kept(entry, before, KEPT.state, { value: entry.data })) this.#grown(entry);
        return;
      case "checkpoint":
        await this.#checkpoint(entry, before);
        return;
      default:
    }
  }

  #grown({ seq, id }: Entry): void {
    this.#standsFor[seq] = seq;
    this.#last = seq;
    this.#ids.set(seq, id);
    this.#checksums.set(seq, this.#digest.copy().digest("hex"));
  }

  async #message(entry: Entry, before: number, isOn: boolean): Promise<boolean> {
    const { message, left } = withoutAttachments(messageOf(entry));
    if (left > 0)
      this.#notes.add(
        `message ${shown(message.id)}: ${left} attached ${left === 1 ? "file has" : "files have"} no place in a Go store: left out`,
      );
    if (!isOn) return this.#kept(entry, before, KEPT.message, toGoMessage(message));
    let data = toGoMessage(message);
    if (this.#lengthOf(entry, before, "message", data) > GO_LINE_BYTES) {
      if (this.#onTooLong === "skip") {
        throw new AixgoError(
          "LIMIT_EXCEEDED",
          `message ${shown(message.id)} is longer than the 64 KiB that the Go release reads; it would make the session unreadable there. Export with onTooLong: "shorten" to cut such messages`,
        );
      }
      data = this.#shorten(entry, before, message);
      this.#notes.add(`message ${shown(message.id)} was shortened: the Go release reads 64 KiB at most`);
    }
    await this.#line(entry.id, before, entry.timestamp, "message", data);
    this.#messages += 1;
    return true;
  }

  /** As much of the text as fits. */
  #shorten(entry: Entry, before: number, message: Message): { readonly [key: string]: Json } {
    let fits = 0;
    for (let step = GO_LINE_BYTES; step >= 1; step = Math.floor(step / 2)) {
      if (this.#lengthOf(entry, before, "message", toGoMessage(shortened(message, fits + step))) <= GO_LINE_BYTES) fits += step;
    }
    const data = toGoMessage(shortened(message, fits));
    if (this.#lengthOf(entry, before, "message", data) <= GO_LINE_BYTES) return data;
    throw new AixgoError(
      "LIMIT_EXCEEDED",
      `message ${shown(message.id)} has metadata that are longer than the 64 KiB that the Go release reads`,
    );
  }

  async #metadata(entry: Entry, { [ORIGIN]: _, ...metadata }: { readonly [key: string]: Json }, before: number): Promise<void> {
    if (entry.type === "session" && Object.keys(metadata).length === 0) return;
    await this.#kept(entry, before, "metadata", metadata);
  }

  async #checkpoint(entry: Entry, before: number): Promise<void> {
    const { label } = entry.data as { readonly label?: string };
    // The Go release takes all lines up to the entry for the history: right on the path, wrong beside it.
    if (this.#shape.isOn[before] !== 1) {
      await this.#kept(entry, before, KEPT.checkpoint, label === undefined ? {} : { label });
      return;
    }
    this.#checkpoints.push({
      id: entry.id,
      timestamp: entry.timestamp,
      entryId: this.#ids.get(before) as string,
      checksum: this.#checksums.get(before) as string,
      ...(label === undefined ? undefined : { metadata: { label } }),
    });
  }

  /** A line that the Go release reads over. False: it is too long even for that. */
  async #kept(entry: Entry, before: number, type: string, data: { readonly [key: string]: Json }): Promise<boolean> {
    if (this.#lengthOf(entry, before, type, data) > GO_LINE_BYTES) {
      this.#notes.add(`entry ${shown(entry.id)} (${type}) is longer than the 64 KiB that the Go release reads: left out`);
      return false;
    }
    await this.#line(entry.id, before, entry.timestamp, type, data);
    return true;
  }

  #lengthOf(entry: Entry, before: number, type: string, data: { readonly [key: string]: Json }): number {
    return Buffer.byteLength(this.#textOf(entry.id, before, entry.timestamp, type, data)) + 1;
  }

  #textOf(id: string, before: number, timestamp: string, type: string, data: { readonly [key: string]: Json }): string {
    const parentId = this.#ids.get(before) as string;
    const parent = parentId === "" ? "" : `,"parentId":${JSON.stringify(parentId)}`;
    return escapeHtml(`{"id":${JSON.stringify(id)}${parent},"timestamp":"${timestamp}","type":"${type}","data":${goJson(data)}}`);
  }

  async #line(id: string, before: number, timestamp: string, type: string, data: { readonly [key: string]: Json }): Promise<void> {
    await this.#write(this.#textOf(id, before, timestamp, type, data));
    this.#digest.update(id);
    this.#last = before;
  }
}

async function timeOf(session: Session): Promise<string> {
  return (await session.info()).updatedAt;
}

function messageOf(entry: Entry): Message {
  const data = entry.data as unknown as Pick<Message, "role" | "parts"> & Partial<Message>;
  return { ...data, id: data.id ?? entry.id, timestamp: data.timestamp ?? entry.timestamp };
}
