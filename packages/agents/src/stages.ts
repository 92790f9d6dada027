import { createHash } from "node:crypto";
import {
  AixgoError,
  type AgentContext,
  type AgentResult,
  type CallOptions,
  isAixgoError,
  type Json,
  type MessageInput,
  type Part,
  type Reply,
  textOf,
  toMessage,
  type Usage,
} from "@aixgo/core";
import { isRecord } from "./json.ts";
import { addUsage, readUsage } from "./usage.ts";

/** What an agent answered at one stage of a composition. */
export interface StageReply {
  readonly agent: string;
  readonly text: string;
  readonly parts: readonly Part[];
  readonly usage?: Usage;
}

export interface StageOptions {
  /** Lends the agent this conversation. */
  readonly history?: boolean;
  /** Passes what the agent shows on to the reader. */
  readonly show?: boolean;
  /** The reply is the composition's own answer, which is stored anyway. */
  readonly last?: boolean;
  readonly signal?: AbortSignal;
}

/** Agents called one by one under one turn. */
export interface Stages {
  /**
   * Calls the agent, or gives the reply that it gave to the same in an earlier attempt of this turn. `key` names the stage.
   *
   * @throws AixgoError with the code of the agent's error; the message names the composition, the stage and the agent
   */
  call(key: string, agent: string, input: MessageInput, options?: StageOptions): Promise<StageReply>;
  /** What all stages have cost so far. */
  usage(): Usage | undefined;
}

/** Parts of this type are for applications; models are never shown them. */
const STAGE = "data-stage";

/**
 * With a session each reply is stored before the next agent is called, as a message whose only part is `data-stage`: a turn that
 * was cut off goes on where it stopped, and applications can show what was said on the way.
 */
export async function createStages(kind: string, context: AgentContext): Promise<Stages> {
  const earlier = context.session === undefined ? undefined : await earlierReplies(context);
  let usage: Usage | undefined;
  const count = (reply: StageReply): StageReply => {
    usage = addUsage(usage, reply.usage);
    return reply;
  };
  return {
    usage: () => usage,
    async call(key, agent, input, { history = false, show = false, last = false, signal } = {}) {
      const asked = context.session === undefined ? undefined : digestOf(input);
      // Each is given once: a composition that is called twice in one attempt asks twice.
      const before = earlier?.get(placeOf({ kind, key, agent, asked }))?.shift();
      if (before !== undefined) return count(before);
      let reply: Reply;
      try {
        const options: CallOptions & { history?: boolean; show?: boolean } = { history, show };
        reply = await context.call(agent, input, signal === undefined ? options : { ...options, signal });
      } catch (error) {
        throw stageError(error, `${kind} "${context.agentName}", stage ${key}, agent "${agent}"`, context.signal);
      }
      const { parts } = reply.message;
      const answer: StageReply = { agent, text: reply.text, parts, ...(reply.usage === undefined ? undefined : { usage: reply.usage }) };
      if (context.session !== undefined && !last) {
        const { text: _inParts, ...stored } = answer;
        const data = { kind, key, asked: asked ?? null, ...stored } as unknown as Json;
        await context.emit({ type: "message", message: { role: "assistant", parts: [{ type: STAGE, data }] } });
      }
      return count(answer);
    },
  };
}

/** Replies that no stage of this attempt has taken yet, by their places, oldest first. */
type Replies = Map<string, StageReply[]>;

const repliesOf = new WeakMap<AgentContext, Promise<Replies>>();

/** What earlier attempts of the turn have stored; read before this one stores anything. */
function earlierReplies(context: AgentContext): Promise<Replies> {
  let replies = repliesOf.get(context);
  if (replies === undefined) {
    replies = readReplies(context);
    repliesOf.set(context, replies);
  }
  return replies;
}

async function readReplies(context: AgentContext): Promise<Replies> {
  const replies: Replies = new Map();
  for (const { parts } of await context.steps())
    for (const part of parts) {
      const stored = part.type === STAGE ? readStage(part.data) : undefined;
      if (stored === undefined) continue;
      const same = replies.get(stored.place);
      if (same === undefined) replies.set(stored.place, [stored.reply]);
      else same.push(stored.reply);
    }
  return replies;
}

function readStage(data: Json): { readonly place: string; readonly reply: StageReply } | undefined {
  if (!isRecord(data)) return undefined;
  const { kind, key, agent, asked, parts, usage } = data;
  if (typeof kind !== "string" || typeof key !== "string" || typeof agent !== "string" || !Array.isArray(parts)) return undefined;
  const stored = parts as readonly Part[];
  const cost = readUsage(usage);
  const text = textOf({ parts: stored });
  return {
    place: placeOf({ kind, key, agent, asked: typeof asked === "string" ? asked : undefined }),
    reply: { agent, text, parts: stored, ...(cost === undefined ? undefined : { usage: cost }) },
  };
}

interface Place {
  readonly kind: string;
  readonly key: string;
  readonly agent: string;
  readonly asked: string | undefined;
}

function placeOf({ kind, key, agent, asked = "" }: Place): string {
  return JSON.stringify([kind, key, agent, asked]);
}

/** Of what an agent is asked, without id and time, which differ from attempt to attempt. Undefined for what is no message. */
function digestOf(input: MessageInput): string | undefined {
  try {
    const { role, parts } = toMessage(input, "user");
    return createHash("sha256")
      .update(JSON.stringify([role, parts]))
      .digest("base64url");
  } catch {
    return undefined;
  }
}

function stageError(error: unknown, place: string, signal: AbortSignal): unknown {
  if (signal.aborted || !isAixgoError(error)) return error;
  const { code, message, retryable, details } = error;
  return new AixgoError(code, `${place}: ${message}`, { cause: error, retryable, ...(details === undefined ? undefined : { details }) });
}

/** What one agent said, as the next one is asked: text, files and data, not its thoughts and tools. */
export function asInput({ parts }: Pick<StageReply, "parts">): MessageInput {
  return { role: "user", parts: parts.filter(({ type }) => type === "text" || type === "file" || type.startsWith("data-")) };
}

/** The composition's answer, with what all of it has cost. */
export function asAnswer(parts: readonly Part[], stages: Stages, metadata?: { readonly [key: string]: Json }): AgentResult {
  return withUsage({ role: "assistant", parts, ...(metadata === undefined ? undefined : { metadata }) }, stages.usage());
}

export function withUsage(message: MessageInput, usage: Usage | undefined): AgentResult {
  return usage === undefined ? message : { message, usage };
}
