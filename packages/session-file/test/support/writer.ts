import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import type { Json } from "@aixgo/core";
import { newEntryId, newSessionId } from "@aixgo/security";
import { sealLine, type CreateRequest, type Entry, type Head, type Position, type Ref, type SessionBackend } from "@aixgo/session/backend";
import { createFileBackend, type FileBackendOptions } from "../../src/index.ts";

/** Builds lines as the session layer does: complete, sealed, one after another. */
export class LineWriter {
  readonly ref: Ref;
  readonly agentName: string;
  seq = -1;
  hash: string;
  n = 0;

  constructor(options: { id?: string; agentName?: string; incarnation?: string } = {}) {
    this.ref = { id: options.id ?? newSessionId(), incarnation: options.incarnation ?? randomBytes(9).toString("base64url") };
    this.agentName = options.agentName ?? "writer";
    this.hash = this.ref.incarnation;
  }

  static after(ref: Ref, position: Position, n = 0): LineWriter {
    const writer = new LineWriter(ref);
    writer.seq = position.seq;
    writer.hash = position.hash;
    writer.n = n;
    return writer;
  }

  get position(): Position {
    return { seq: this.seq, hash: this.hash };
  }

  header(data: { [key: string]: Json } = {}): Buffer {
    return this.line("session", { id: this.ref.id, incarnation: this.ref.incarnation, agentName: this.agentName, ...data });
  }

  message(text: string, extra: Partial<Entry> = {}): Buffer {
    this.n++;
    return this.line("message", { role: "user", parts: [{ type: "text", text }] }, extra);
  }

  batch(texts: readonly string[], extra: Partial<Entry> = {}): Buffer[] {
    return texts.map((text, i) => this.message(text, { ...(i === 0 ? extra : {}), batch: [i, texts.length] }));
  }

  line(type: string, data: Json, extra: Partial<Entry> = {}): Buffer {
    this.seq++;
    const { batch, sync, op, id, timestamp, ...rest } = extra;
    const entry = {
      v: 1,
      seq: this.seq,
      id: id ?? newEntryId(),
      timestamp: timestamp ?? new Date().toISOString(),
      type,
      ...(op === undefined ? {} : { op }),
      ...(batch === undefined ? {} : { batch }),
      ...(sync === undefined ? {} : { sync }),
      n: this.n,
      ...rest,
      data,
    };
    const sealed = sealLine(this.hash, JSON.stringify(entry).slice(0, -1));
    this.hash = sealed.hash;
    return sealed.line;
  }
}

export function temporaryStore(): string {
  return mkdtempSync(join(tmpdir(), "aixgo-file-"));
}

export function open(baseDir: string, options: Omit<FileBackendOptions, "baseDir"> = {}): SessionBackend {
  return createFileBackend({ durability: "os", ...options, baseDir });
}

export function request(writer: LineWriter, extra: { info?: Partial<CreateRequest["info"]>; onKey?: "get" | "take" } = {}): CreateRequest {
  const { key, userId, tenantId, metadata } = extra.info ?? {};
  const now = new Date().toISOString();
  return {
    ref: writer.ref,
    info: {
      id: writer.ref.id,
      agentName: writer.agentName,
      version: 0,
      messageCount: 0,
      createdAt: now,
      updatedAt: now,
      metadata: {},
      ...extra.info,
    },
    ...(extra.onKey === undefined ? {} : { onKey: extra.onKey }),
    async *lines(id) {
      const drawn =
        id === writer.ref.id ? writer : new LineWriter({ id, agentName: writer.agentName, incarnation: writer.ref.incarnation });
      yield drawn.header({
        ...(key === undefined ? {} : { key }),
        ...(userId === undefined ? {} : { userId }),
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(metadata === undefined ? {} : { metadata }),
      });
    },
  };
}

/** A session with a header and so many messages, one append each. */
export async function createWith(
  backend: SessionBackend,
  messages: number,
  options: { id?: string; agentName?: string; sync?: boolean } = {},
): Promise<LineWriter> {
  const writer = new LineWriter(options);
  await backend.create(request(writer));
  for (let i = 0; i < messages; i++) await append(backend, writer, `message ${i}`, options.sync === true ? { sync: writer.seq } : {});
  return writer;
}

export async function append(backend: SessionBackend, writer: LineWriter, text: string, extra: Partial<Entry> = {}): Promise<Head> {
  const expect = writer.position;
  const result = await backend.append(writer.ref, { expect, lines: [writer.message(text, extra)] });
  if (!("head" in result)) throw new Error("unexpected conflict");
  return result.head;
}

export async function readAll(backend: SessionBackend, ref: Ref, range: Parameters<SessionBackend["read"]>[1] = {}): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const page of backend.read(ref, range)) {
    const text = Buffer.from(page).toString("utf8");
    if (!text.endsWith("\n")) throw new Error("a page that does not end with a line");
    for (const line of text.slice(0, -1).split("\n")) entries.push(JSON.parse(line) as Entry);
  }
  return entries;
}

export function textOf(entry: Entry): string {
  return (entry.data as { parts: [{ text: string }] }).parts[0].text;
}
