import {
  AixgoError,
  silentLogger,
  toMessage,
  type Agent,
  type AgentContext,
  type AgentEvent,
  type HistoryOptions,
  type Logger,
  type Message,
  type MessageInput,
  type Part,
  type ToolResultPart,
  type Usage,
} from "@aixgo/core";

export interface Attempt {
  readonly events: AgentEvent[];
  readonly answer: Message;
  readonly usage?: Usage;
}

export interface Conversation {
  /** Messages of earlier turns. */
  readonly history: Message[];
  /** Stored messages of the running turn, after its input. */
  readonly stored: Message[];
  /** Options of every read of the history. */
  readonly reads: HistoryOptions[];
  input: Message;
  /** Runs the agent on the open turn; what it stored stays when it fails. */
  attempt(agent: Agent, options?: AttemptOptions): Promise<Attempt>;
  /** A whole turn: sets the input, runs, and makes the turn history. */
  turn(agent: Agent, input: MessageInput, options?: AttemptOptions): Promise<Attempt>;
}

export interface AttemptOptions {
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** The process dies when this many messages were stored in this attempt: the agent is left, its tools' signals abort. */
  readonly dieAfter?: number;
  readonly onEvent?: (event: AgentEvent) => void | Promise<void>;
  readonly call?: AgentContext["call"];
}

export class Died extends Error {}

let nextId = 0;
export function message(role: Message["role"], content: string | readonly Part[]): Message {
  nextId += 1;
  return {
    id: `m${nextId}`,
    role,
    parts: typeof content === "string" ? [{ type: "text", text: content }] : content,
    timestamp: new Date(nextId).toISOString(),
  };
}

/** A runtime and a session in arrays: what an agent sees of them, by the rules of the design. */
export function createConversation(history: readonly Message[] = [], input: Message = message("user", "Hello")): Conversation {
  const conversation: Conversation = {
    history: [...history],
    stored: [],
    reads: [],
    input,
    async attempt(agent, options = {}) {
      const events: AgentEvent[] = [];
      const signal = options.signal ?? new AbortController().signal;
      const context: AgentContext = {
        agentName: agent.name,
        signal,
        logger: options.logger ?? silentLogger,
        history: async (wanted = {}) => {
          conversation.reads.push(wanted);
          return select(closeOpenCalls(conversation.history), wanted);
        },
        steps: async () => closeOpenCalls(conversation.stored),
        getState: async () => undefined,
        setState: async () => {},
        emit: async (event) => void events.push(event),
        suspend: async () => Promise.reject(new AixgoError("INVALID_OPTION", "no session here")),
        decisionOf: async () => undefined,
        call: options.call ?? (async () => Promise.reject(new AixgoError("AGENT_NOT_FOUND", "no agent here"))),
      };
      const generator = asGenerator(agent.execute(conversation.input, context));
      let kept = 0;
      let step = await generator.next();
      while (step.done !== true) {
        events.push(step.value);
        if (step.value.type === "message") {
          if (kept === options.dieAfter) {
            await generator.return(undefined as never);
            throw new Died(`died instead of storing message ${kept}`);
          }
          conversation.stored.push(stamp(toMessage(step.value.message, "assistant")));
          kept += 1;
        }
        try {
          await options.onEvent?.(step.value);
        } catch (error) {
          await generator.return(undefined as never);
          throw error;
        }
        step = await generator.next();
      }
      const result = step.value;
      const plain = typeof result === "object" && "message" in result ? result : { message: result };
      const answer = stamp(toMessage(plain.message, "assistant"));
      return { events, answer, ...("usage" in plain ? { usage: plain.usage } : {}) };
    },
    async turn(agent, given, options) {
      conversation.input = stamp(toMessage(given, "user"));
      const done = await conversation.attempt(agent, options);
      conversation.history.push(conversation.input, ...conversation.stored, done.answer);
      conversation.stored.length = 0;
      return done;
    },
  };
  return conversation;
}

type Work = AsyncGenerator<AgentEvent, MessageInput | { message: MessageInput; usage: Usage }, void>;

function asGenerator(returned: ReturnType<Agent["execute"]>): Work {
  if (typeof returned === "object" && "next" in returned) return returned;
  // oxlint-disable-next-line require-yield -- an agent that only answers
  return (async function* answer(): Work {
    return await returned;
  })();
}

function stamp(draft: ReturnType<typeof toMessage>): Message {
  return { ...message(draft.role, draft.parts), ...draft };
}

/** As every session read does it: right after each step's stored results, `interrupted` for the calls without one. */
function closeOpenCalls(path: readonly Message[]): Message[] {
  const closed: Message[] = [];
  let open = new Map<string, Part & { type: "tool-call" }>();
  let end = 0;
  const close = (): void => {
    if (open.size > 0) {
      const parts = [...open.values()].map(({ toolCallId, toolName }): ToolResultPart => ({
        type: "tool-result",
        toolCallId,
        toolName,
        output: { type: "interrupted", reason: "no stored result" },
      }));
      closed.splice(end, 0, message("tool", parts));
    }
    open = new Map();
  };
  for (const each of path) {
    if (each.role === "assistant") {
      close();
      for (const part of each.parts) if (part.type === "tool-call") open.set(part.toolCallId, part);
    }
    const parts = each.parts.filter((part) => part.type !== "tool-result" || open.delete(part.toolCallId));
    if (each.role === "tool" && parts.length === 0) continue;
    closed.push({ ...each, parts });
    if (each.role !== "user") end = closed.length;
  }
  close();
  return closed;
}

function select(messages: readonly Message[], { last, roles }: HistoryOptions): Message[] {
  const chosen = messages.filter(({ role }) => roles === undefined || roles.includes(role));
  if (last === undefined || last >= chosen.length) return chosen;
  let start = chosen.length - last;
  while (start > 0 && chosen[start]?.role === "tool") start -= 1;
  return chosen.slice(start);
}

/** Text that the caller was shown while it was made. */
export function shown(events: readonly AgentEvent[], type: "text-delta" | "reasoning-delta" = "text-delta"): string {
  return events.map((event) => (event.type === type && "text" in event ? event.text : "")).join("");
}
