import { randomUUID } from "node:crypto";
import { createReActAgent } from "@aixgo/agents";
import { createRuntime, type MessageInput, type ReplyStream, type Runtime, type SuspendRequest, withSessionManager } from "@aixgo/core";
import { createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import type { ChatArguments } from "./arguments.ts";
import { instructionsFor } from "./instructions.ts";
import type { ModelChoice } from "./model-choice.ts";
import { createToolbox } from "./tools/toolbox.ts";
import { findUnfinishedTurn, type UnfinishedTurn } from "./unfinished-turn.ts";

const AGENT = "assistant";
/** Longest wait for another process that is answering in the same session. */
const QUEUE_TIMEOUT_MS = 10 * 60_000;
/** What a model is shown of the conversation. The search tool finds the rest; the offline model reads for nothing. */
const MODEL_TOKENS = 32_000;
const OFFLINE_TOKENS = 500_000;

/** One person's place at the store: their sessions, and the agent that answers in them. */
export interface Chat {
  readonly user: string;
  readonly modelLabel: string;
  readonly isOffline: boolean;
  /** Where sessions are stored, as people write it. */
  readonly place: string;
  readonly sessions: SessionManager;
  /** The session that is talked in. */
  readonly session: Session;
  switchTo(session: Session): void;
  /** Creates a session beside the user's own, and goes there. */
  startAnew(): Promise<Session>;
  /** `onStart`: it is this turn's time, no other process answers any more. */
  ask(text: string, onStart: () => void): ReplyStream;
  /** What a turn of this session waits for its user to allow. */
  requests(): Promise<readonly SuspendRequest[]>;
  /** Allows or refuses what was asked, and goes on where that was all. */
  answer(request: SuspendRequest, allowed: boolean, onStart: () => void): ReplyStream;
  unfinishedTurn(): Promise<UnfinishedTurn | undefined>;
  /** Goes on with a turn that was cut off, as a new attempt. `SESSION_BUSY`: it was not, another process is at it. */
  goOn(turn: UnfinishedTurn, onStart: () => void): ReplyStream;
  close(): Promise<void>;
}

/** Opens the store and the user's session. Closes again what it opened if that fails. */
export async function openChat(
  { user, session: sessionId, sessionDir }: ChatArguments,
  { model, label, offline }: ModelChoice,
): Promise<Chat> {
  const everyone = createSessionManager({ backend: createFileBackend(sessionDir === undefined ? {} : { baseDir: sessionDir }) });
  // One user cannot open another's sessions, by no id.
  const principal = { id: user };
  const sessions = everyone.as(principal);
  const runtime: Runtime = createRuntime(withSessionManager(sessions));
  const close = async (): Promise<void> => {
    // In this order a turn that still runs ends as interrupted, not as cancelled: the next start goes on with it.
    await everyone.close();
    await runtime.stop({ graceMs: 0 });
  };
  try {
    const agent = createReActAgent({
      name: AGENT,
      model,
      instructions: instructionsFor(user),
      tools: createToolbox(),
      history: { maxTokens: offline ? OFFLINE_TOKENS : MODEL_TOKENS },
    });
    const started = new Map<string, () => void>();
    runtime.register({
      ...agent,
      execute(input, context) {
        started.get(context.session?.id ?? "")?.();
        return agent.execute(input, context);
      },
    });
    await runtime.start();
    let session = sessionId === undefined ? await sessions.getOrCreate(AGENT, user) : await sessions.get(sessionId);
    const begin = (onStart: () => void, call: (id: string) => ReplyStream): ReplyStream => {
      const { id } = session;
      started.set(id, onStart);
      const events = call(id);
      void events.reply.catch(() => undefined).finally(() => started.delete(id));
      return events;
    };
    const wait = { principal, queueTimeoutMs: QUEUE_TIMEOUT_MS };
    const stream = (input: MessageInput, turnKey: string, ifBusy: "queue" | "reject", onStart: () => void): ReplyStream =>
      begin(onStart, (id) => runtime.streamWithSession(AGENT, input, id, { ...wait, turnKey, ifBusy }));
    return {
      user,
      modelLabel: label,
      isOffline: offline,
      place: sessionDir ?? "~/.aixgo/sessions",
      sessions,
      get session() {
        return session;
      },
      switchTo(next) {
        session = next;
      },
      async startAnew() {
        session = await sessions.create(AGENT, { userId: user });
        return session;
      },
      ask: (text, onStart) => stream(text, randomUUID(), "queue", onStart),
      requests: () => session.requests(),
      answer: ({ requestId }, approved, onStart) => begin(onStart, (id) => runtime.streamResume(id, requestId, { approved }, wait)),
      unfinishedTurn: () => findUnfinishedTurn(session),
      goOn: ({ input, turnKey }, onStart) => stream(input, turnKey, "reject", onStart),
      close,
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}
