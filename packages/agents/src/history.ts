import type { AgentContext, Message, Part } from "@aixgo/core";

/** How much of the earlier conversation a prompt holds. Instructions, input, the turn's own steps and system messages are apart. */
export interface HistoryBudget {
  /** @default unlimited */
  readonly maxMessages?: number;
  /** An estimate, see `estimateTokens`. @default unlimited */
  readonly maxTokens?: number;
}

/** The first read of a budget by tokens; each next one is four times as long, so all reads cost about what the last does. */
const FIRST_READ = 64;
const FILE_TOKENS = 1024;
const MESSAGE_TOKENS = 4;

/**
 * The newest whole turns that fit the budget, in their order, after all system messages. A turn starts at a user's message. If
 * not even the newest turn fits, its user's message and its newest steps that do are kept. A step is an assistant message with
 * the results of its calls; it is never parted.
 */
export async function readHistory(context: Pick<AgentContext, "history" | "signal">, budget: HistoryBudget): Promise<readonly Message[]> {
  const { signal } = context;
  const { maxMessages = Infinity, maxTokens = Infinity } = budget;
  if (maxMessages === Infinity && maxTokens === Infinity) return context.history({ signal });
  if (maxMessages === 0 || maxTokens === 0) return context.history({ roles: ["system"], signal });
  let last = Math.min(maxMessages, FIRST_READ);
  for (;;) {
    const messages = await context.history({ last, signal });
    if (messages.length < last) return withinBudget(messages, budget);
    const spoken = messages.filter(isSpoken);
    const full = spoken.length >= maxMessages || tokensOf(spoken) > maxTokens;
    // What lies before the first user's message belongs to a turn that does not fit. Without one the window lies within the newest
    // turn, whose question is still to be found.
    const start = spoken.findIndex(({ role }) => role === "user");
    if (full && start >= 0) {
      const system = await context.history({ roles: ["system"], signal });
      return [...system, ...withinBudget(spoken.slice(start), budget)];
    }
    last *= 4;
  }
}

/** The same for messages in memory. */
export function withinBudget(messages: readonly Message[], budget: HistoryBudget): readonly Message[] {
  const { maxMessages = Infinity, maxTokens = Infinity } = budget;
  const system = messages.filter((message) => !isSpoken(message));
  const turns = groups(messages.filter(isSpoken), "user");
  let room: Room = { messages: maxMessages, tokens: maxTokens };
  let kept: readonly Message[] = [];
  for (const turn of turns.toReversed()) {
    const left = take(room, turn);
    if (left === undefined) {
      if (kept.length === 0) kept = newestSteps(turn, room);
      break;
    }
    room = left;
    kept = [...turn, ...kept];
  }
  return [...system, ...kept];
}

interface Room {
  readonly messages: number;
  readonly tokens: number;
}

function newestSteps(turn: readonly Message[], all: Room): readonly Message[] {
  const [question, ...steps] = groups(turn, "assistant");
  let room = question === undefined || question[0]?.role !== "user" ? undefined : take(all, question);
  if (room === undefined) return [];
  let kept: readonly Message[] = [];
  for (const step of steps.toReversed()) {
    const left = take(room, step);
    if (left === undefined) break;
    room = left;
    kept = [...step, ...kept];
  }
  // A question alone would look like one that was never answered.
  return kept.length === 0 ? [] : [...(question as readonly Message[]), ...kept];
}

function take(room: Room, messages: readonly Message[]): Room | undefined {
  const left = { messages: room.messages - messages.length, tokens: room.tokens - tokensOf(messages) };
  return left.messages < 0 || left.tokens < 0 ? undefined : left;
}

/** Consecutive messages, a new group at each message of that role; what comes before the first is a group too. */
function groups(messages: readonly Message[], role: Message["role"]): readonly (readonly Message[])[] {
  const found: Message[][] = [];
  for (const message of messages) {
    const group = found.at(-1);
    if (group === undefined || message.role === role) found.push([message]);
    else group.push(message);
  }
  return found;
}

function isSpoken({ role }: Message): boolean {
  return role !== "system";
}

function tokensOf(messages: readonly Message[]): number {
  let sum = 0;
  for (const message of messages) sum += estimateTokens(message);
  return sum;
}

/**
 * A quarter of the characters that the model is shown, 1024 for a file, 4 for each message. Tokenizers differ: English prose is
 * near this, other scripts and code may cost twice as much.
 */
export function estimateTokens(message: Pick<Message, "parts">): number {
  let characters = 0;
  let files = 0;
  const count = (parts: readonly Part[]): void => {
    for (const part of parts) {
      if (part.type === "text" || part.type === "reasoning") characters += part.text.length;
      else if (part.type === "tool-call") characters += part.toolName.length + JSON.stringify(part.input).length;
      else if (part.type === "file") files += 1;
      else if (part.type === "tool-result") {
        if (part.output.type === "content") count(part.output.value);
        else characters += JSON.stringify(part.output).length;
      }
    }
  };
  count(message.parts);
  return Math.ceil(characters / 4) + files * FILE_TOKENS + MESSAGE_TOKENS;
}
