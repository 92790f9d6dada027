import { tool, type Tool } from "@aixgo/agents";
import type { AgentContext, Message } from "@aixgo/core";
import { z } from "zod";

const MAX_HITS = 5;
const MAX_EXCERPT = 300;

/** Looks through the earlier turns of this conversation: all of them, also those that no longer fit into the prompt. */
export function createSearch(): Tool<{ query: string }> {
  return tool({
    description:
      "Searches what the user and the assistant said earlier in this conversation. query: one or more words; the newest hits come first.",
    inputSchema: z.object({ query: z.string().trim().min(1).max(200) }),
    execute: async ({ query }: { query: string }, context: AgentContext) => {
      const words = wordsOf(query);
      const hits = (await context.history({ roles: ["user", "assistant"] }))
        .map((message) => ({ message, text: textIn(message) }))
        .filter(({ text }) => text !== "" && words.length > 0 && mentions(text, words))
        .reverse();
      return {
        query,
        found: hits.length,
        hits: hits
          .slice(0, MAX_HITS)
          .map(({ message, text }) => ({ who: message.role, when: message.timestamp, text: excerpt(text, words) })),
      };
    },
  });
}

/** Each word of the query begins a word of the text. */
function mentions(text: string, words: readonly string[]): boolean {
  const there = wordsOf(text);
  return words.every((word) => there.some((candidate) => candidate.startsWith(word)));
}

function wordsOf(text: string): readonly string[] {
  return (
    text
      .toLowerCase()
      .normalize("NFKC")
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

function textIn(message: Message): string {
  return message.parts.map((part) => (part.type === "text" ? (part as { text: string }).text : "")).join("");
}

/** The part of a long text around the first word found. */
function excerpt(text: string, words: readonly string[]): string {
  if (text.length <= MAX_EXCERPT) return text;
  const at = Math.max(0, text.toLowerCase().indexOf(words[0] ?? ""));
  const from = Math.max(0, Math.min(at - MAX_EXCERPT / 2, text.length - MAX_EXCERPT));
  // A cut through a surrogate pair would leave text that cannot be stored.
  const piece = text.slice(from, from + MAX_EXCERPT).replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, "");
  return `${from > 0 ? "…" : ""}${piece}${from + MAX_EXCERPT < text.length ? "…" : ""}`;
}
