import type { Json, MessageInput, OpenTurn, Reply } from "@aixgo/core";
import { expect } from "vitest";
import type { Entry, Session, SessionManager, TurnData } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

export const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
export const entriesOf = async (session: Session): Promise<Entry[]> => {
  const found: Entry[] = [];
  for await (const entry of session.entries()) found.push(entry);
  return found;
};
export const turnsOf = async (session: Session): Promise<string[]> =>
  (await entriesOf(session))
    .filter(({ type }) => type === "turn")
    .map(({ data }) => {
      const { phase, attempt, status, requestId, requests } = data as unknown as TurnData;
      const rest = requests?.map((each) => each.requestId).join("+");
      return [phase, attempt, status, requestId, rest && `waits for ${rest}`].filter((part) => part !== undefined && part !== "").join(" ");
    });
export const wellFormed = async (session: Session): Promise<void> => expect((await session.verify()).problems).toEqual([]);
export const call = (...ids: string[]): MessageInput => ({
  role: "assistant",
  parts: ids.map((toolCallId) => ({ type: "tool-call", toolCallId, toolName: "pay", input: {} })),
});
export const result = (toolCallId: string, value: string): MessageInput => ({
  role: "tool",
  parts: [{ type: "tool-result", toolCallId, toolName: "pay", output: { type: "text", value } }],
});

export interface Place {
  readonly a: SessionManager;
  readonly b: SessionManager;
  readonly s: Session;
  readonly t: Session;
  readonly id: string;
}
export async function start(options: Parameters<typeof twoNodes>[0] = {}): Promise<Place> {
  const { a, b } = twoNodes(options);
  const s = await a.create("x", { userId: "ada" });
  return { a, b, s, t: await b.get(s.id), id: s.id };
}

/** Calls a tool for each request, asks for all of them, and says what was decided. The same on every attempt. */
export const asks =
  (...ids: string[]) =>
  async (turn: OpenTurn): Promise<MessageInput> => {
    if ((await turn.steps()).length === 0) await turn.append(call(...ids));
    const answers = await Promise.allSettled(ids.map((requestId) => turn.suspend({ requestId, reason: `may I ${requestId}?` })));
    const missing = answers.find((answer) => answer.status === "rejected");
    if (missing !== undefined) throw missing.reason;
    const decisions = answers.map((answer) => (answer as PromiseFulfilledResult<Json>).value);
    for (const [index, id] of ids.entries()) await turn.append(result(id, JSON.stringify(decisions[index])));
    return `done: ${JSON.stringify(decisions)}`;
  };
export const never = (): Promise<MessageInput> => Promise.reject(new Error("must not run"));
export const idsOf = (reply: Reply): string[] => reply.turn?.requests?.map(({ requestId }) => requestId) ?? [];
