import { randomUUID } from "node:crypto";
import { AixgoError, type MessageDraft } from "@aixgo/core";
import type { Session } from "@aixgo/session";

/** Goes back to before the question: the answer that was given stays in the log as a branch. Returns the key of the turn that asks again. */
export async function regenerate(session: Session, question: MessageDraft): Promise<string> {
  const { version } = await session.info();
  const messages = await session.messages();
  const index = messages.findLastIndex(({ id, role }) => id === question.id && role === "user");
  if (index < 0) throw new AixgoError("ENTRY_NOT_FOUND", "the question that is to be answered again is not in this chat");
  const before = messages[index - 1]?.id ?? (await firstEntryOf(session));
  await session.restore(before, { reason: "regenerate", expectedVersion: version });
  return `${question.id ?? ""}/${randomUUID()}`;
}

async function firstEntryOf(session: Session): Promise<string> {
  for await (const { id } of session.entries()) return id;
  throw new AixgoError("ENTRY_CORRUPT", `session ${session.id} has no first entry`);
}
