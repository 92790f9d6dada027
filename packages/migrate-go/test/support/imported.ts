import { createMemoryBackend, createSessionManager, type SessionManager } from "@aixgo/session";
import { type Message, textOf } from "@aixgo/core";
import { expect } from "vitest";
import { importGoStore, type ImportedSession, type ImportReport } from "@aixgo/migrate-go";
import { contentsOf, goLine, type GoLineSpec, goTime, tempFolder, uuid, writeGoSession } from "./go-store.ts";

export interface Imported {
  readonly report: ImportReport;
  readonly session: ImportedSession;
  readonly sessions: SessionManager;
  readonly messages: readonly Message[];
  readonly texts: readonly string[];
}

/** Imports a store with one session, and checks what must hold whatever was damaged. */
export async function importOne(from: string, options: Partial<Parameters<typeof importGoStore>[0]> = {}): Promise<Imported> {
  const backend = createMemoryBackend();
  const before = contentsOf(from);
  const report = await importGoStore({ from, to: backend, ...options });
  expect(contentsOf(from)).toEqual(before);
  const session = report.sessions[0] as ImportedSession;
  const sessions = createSessionManager({ backend });
  if (session.outcome === "skipped") {
    expect((await sessions.list()).items).toEqual([]);
    return { report, session, sessions, messages: [], texts: [] };
  }
  const opened = await sessions.get(session.id as string);
  expect((await opened.verify()).problems).toEqual([]);
  const messages = await opened.messages();
  expect(messages).toHaveLength(session.messages);
  await opened.append("and it can be gone on with");
  return { report, session, sessions, messages, texts: messages.map((message) => textOf(message)) };
}

/** A store of one session with these lines, each ended, each the child of the one before unless it says otherwise. */
export function storeOf(lines: readonly (string | GoLineSpec)[], meta?: Parameters<typeof writeGoSession>[2]["meta"], end = "\n"): string {
  const base = tempFolder();
  let parentId: string | undefined;
  const texts = lines.map((line, index) => {
    if (typeof line === "string") return line;
    const id = line.id ?? uuid();
    const text = goLine({ timestamp: goTime(index + 1), ...(parentId === undefined ? undefined : { parentId }), ...line, id });
    parentId = id;
    return text;
  });
  writeGoSession(base, "assistant", { body: texts.join("\n") + end, ...(meta === undefined ? undefined : { meta }) });
  return base;
}
