import { isAixgoError } from "@aixgo/core";
import type { SessionBackend } from "@aixgo/session/backend";
import { messageText, readChain, type Line } from "./chain.ts";

/** A store, said so that two runs of one operation look the same: no ids, no times. */
export interface View {
  /** `deleted`, `absent`, or its lines. */
  readonly subject: string | readonly string[];
  readonly bystander: string | readonly string[];
  /** Lines of each session that is listed beside these two. */
  readonly others: readonly (readonly string[])[];
}

/** What a store holds, each line checked against the format. Throws what is wrong with it. */
export async function viewOf(backend: SessionBackend, known: { readonly subject: string; readonly bystander: string }): Promise<View> {
  const { items } = await backend.list({ limit: 500 });
  const subject = await linesOf(backend, known.subject);
  const bystander = await linesOf(backend, known.bystander);
  for (const [id, lines] of [
    [known.subject, subject],
    [known.bystander, bystander],
  ] as const) {
    const listed = items.find((item) => item.id === id);
    if (typeof lines === "string" ? listed !== undefined : listed === undefined)
      throw new Error(`session ${id} is ${typeof lines === "string" ? lines : "there"}, and ${listed === undefined ? "not " : ""}listed`);
    if (typeof lines !== "string" && listed !== undefined && listed.version > lines.length - 1)
      throw new Error(`session ${id} is listed with version ${listed.version}, and has ${lines.length} lines`);
  }
  const others: (readonly string[])[] = [];
  for (const { id } of items) {
    if (id === known.subject || id === known.bystander) continue;
    const lines = await linesOf(backend, id);
    if (typeof lines === "string") throw new Error(`session ${id} is listed, and ${lines}`);
    others.push(lines);
  }
  return { subject, bystander, others };
}

async function linesOf(backend: SessionBackend, id: string): Promise<string | string[]> {
  if (id === "") return "absent";
  try {
    const pages: Uint8Array[] = [];
    for await (const page of backend.read(await backend.head(id))) pages.push(page);
    return readChain(Buffer.concat(pages), undefined).map(shown);
  } catch (error) {
    if (isAixgoError(error, "SESSION_DELETED")) return "deleted";
    if (isAixgoError(error, "SESSION_NOT_FOUND")) return "absent";
    throw error;
  }
}

function shown(line: Line): string {
  const { type, batch, data } = line;
  const more =
    messageText(line) ?? ["phase", "status", "label", "topic", "agentName"].map((key) => data[key]).filter((value) => value !== undefined);
  const place = batch[1] === 1 ? "" : ` ${batch[0] + 1}/${batch[1]}`;
  return `${type}${place} ${typeof more === "string" ? more : JSON.stringify(more)}`;
}
