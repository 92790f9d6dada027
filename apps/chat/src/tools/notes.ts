import { tool, type Tool } from "@aixgo/agents";
import type { AgentContext, Json } from "@aixgo/core";
import { z } from "zod";

const MAX_NOTES = 200;
const MAX_NOTE_LENGTH = 2_000;

const MAX_APPLIED = 32;

type NotesInput = { action: "add" | "list" | "remove" | "clear"; text?: string | undefined; number?: number | undefined };

interface Notes {
  readonly notes: readonly { readonly text: string; readonly addedAt: string }[];
  /** The newest calls that changed something: a call that is run again after a crash is not applied twice. */
  readonly applied: readonly string[];
}

/**
 * Notes lie in the session's state, so that a restore brings back the notes of then.
 * Reading and writing the state are two steps, and a model may ask for several changes at once: they take turns, per session.
 */
export function createNotes(now: () => Date = () => new Date()): Tool<NotesInput> {
  const last = new Map<string, Promise<unknown>>();

  async function inOrder<T>(session: string, change: () => Promise<T>): Promise<T> {
    const before = last.get(session) ?? Promise.resolve();
    const mine = before.then(change, change);
    last.set(session, mine);
    try {
      return await mine;
    } finally {
      if (last.get(session) === mine) last.delete(session);
    }
  }

  return tool({
    description: "Keeps short notes for the user, numbered from 1. add needs text, remove needs number, list and clear need nothing.",
    inputSchema: z.object({
      action: z.enum(["add", "list", "remove", "clear"]),
      text: z.string().trim().min(1).max(MAX_NOTE_LENGTH).optional(),
      number: z.number().int().min(1).optional(),
    }),
    // What is lost then only /undo and /restore bring back.
    needsApproval: ({ action }: NotesInput) => action === "clear",
    execute: (input: NotesInput, context: AgentContext & { toolCallId: string }) =>
      inOrder(context.session?.id ?? "", async () => {
        const state = objectOf(await context.getState());
        const before = notesOf(state);
        const call = `${context.session?.turnId ?? ""}/${context.toolCallId}`;
        const after = before.applied.includes(call) ? before : changed(before, input, call, now().toISOString());
        if (after !== before) await context.setState({ ...state, ...after });
        return { notes: after.notes.map((note, index) => ({ number: index + 1, text: note.text })) };
      }),
  });
}

/** The notes after a change; the same object if nothing changed. */
function changed(before: Notes, input: NotesInput, call: string, addedAt: string): Notes {
  const { notes } = before;
  const applied = [...before.applied, call].slice(-MAX_APPLIED);
  switch (input.action) {
    case "add":
      if (input.text === undefined) throw new Error("add needs text");
      if (notes.length >= MAX_NOTES) throw new Error(`there are ${MAX_NOTES} notes already; remove one first`);
      return { notes: [...notes, { text: input.text, addedAt }], applied };
    case "remove": {
      const { number } = input;
      if (number === undefined) throw new Error("remove needs number");
      if (number > notes.length) throw new Error(`there is no note ${number}; there are ${notes.length}`);
      return { notes: notes.filter((_, index) => index !== number - 1), applied };
    }
    case "clear":
      return { notes: [], applied };
    case "list":
      return before;
  }
}

function objectOf(state: Json | undefined): { readonly [key: string]: Json } {
  return typeof state === "object" && state !== null && !Array.isArray(state) ? (state as { readonly [key: string]: Json }) : {};
}

function notesOf(state: { readonly [key: string]: Json }): Notes {
  const { notes, applied } = state as unknown as Partial<Notes>;
  return { notes: Array.isArray(notes) ? notes : [], applied: Array.isArray(applied) ? applied : [] };
}
