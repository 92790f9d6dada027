import { fromUIMessages } from "@aixgo/agents";
import { AixgoError, isAixgoError, type Principal, type Runtime } from "@aixgo/core";
import type { Session, SessionManager } from "@aixgo/session";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { answer } from "./answers.ts";
import { answerId, chatMessages } from "./chat-messages.ts";
import { regenerate } from "./regenerate.ts";
import { chatId, sentIn } from "./sent.ts";

export interface ChatOptions {
  readonly runtime: Runtime;
  readonly sessions: SessionManager;
  readonly agent: string;
  /** Who asks. Your own authentication: whom it names sees that user's chats, and only those. Undefined: 401. */
  readonly user: (context: Context) => string | undefined | Promise<string | undefined>;
}

/** Nothing longer is read: one message, with the files in it. */
const MAX_BODY_BYTES = 12 * 1024 * 1024;

/** Four routes are a chat: its messages, an answer, the answer that is just being given, and a stop. */
export function createChatRoutes({ runtime, sessions, agent, user }: ChatOptions): Hono {
  const chatOf = async (context: Context, given: string): Promise<{ readonly session: Session; readonly principal: Principal }> => {
    const name = await user(context);
    if (name === undefined) throw new AixgoError("UNAUTHENTICATED", "say who you are");
    const id = chatId(given);
    return { session: await sessions.getOrCreate(agent, name, { key: `chat:${name}:${id}` }), principal: { id: name } };
  };
  const routes = new Hono();

  routes.get("/chat/:id", async (context) => {
    const { session } = await chatOf(context, context.req.param("id"));
    const requests = await session.requests({ answered: true });
    return context.json(chatMessages(await session.messages({ attachments: "inline" }), requests));
  });

  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new AixgoError("LIMIT_EXCEEDED", `a message may have ${MAX_BODY_BYTES} bytes, files included`);
    },
  });
  routes.post("/chat", limit, async (context) => {
    const { id, message, again } = sentIn(await context.req.json().catch(() => undefined));
    const { session, principal } = await chatOf(context, id);
    if (message.role === "assistant" && !again) {
      const { id: messageId } = message;
      if (typeof messageId !== "string" || messageId === "")
        throw new AixgoError("INVALID_INPUT", "message must have its id, to be gone on with");
      const goesOn = await answer(runtime, session, message, principal);
      return goesOn.toResponse({ approvals: true, messageId });
    }
    const [input] = fromUIMessages([message]);
    if (input?.role !== "user" || input.id === undefined)
      throw new AixgoError("INVALID_INPUT", "message must be a message of the user, with its id");
    // Who talks on instead of answering has declined. useChat could not answer any more: the question is not its last message.
    const options = { principal, ifSuspended: "decline" } as const;
    // A message's id is its turn's key: a request that is sent twice is one turn.
    const key = again ? { turnKey: await regenerate(session, input) } : {};
    const stream = runtime.streamWithSession(agent, input, session.id, { ...options, ...key });
    return stream.toResponse({ approvals: true, messageId: answerId(input.id) });
  });

  routes.get("/chat/:id/stream", async (context) => {
    const { session, principal } = await chatOf(context, context.req.param("id"));
    const running = await runtime.attach(session.id, { principal });
    if (running === undefined) return context.body(null, 204);
    const question = (await session.messages()).findLast(({ role }) => role === "user");
    return running.toResponse({ approvals: true, ...(question === undefined ? {} : { messageId: answerId(question.id) }) });
  });

  routes.delete("/chat/:id/stream", async (context) => {
    const { session } = await chatOf(context, context.req.param("id"));
    await runtime.cancelTurn(session.id, { reason: "stopped by the user" });
    return context.body(null, 204);
  });

  routes.onError((error, context) => {
    if (!isAixgoError(error)) throw error;
    return context.json({ code: error.code, message: error.message }, STATUS[error.code] ?? 500);
  });
  return routes;
}

const STATUS: Readonly<Record<string, 400 | 401 | 404 | 409 | 413 | 503>> = {
  INVALID_INPUT: 400,
  UNAUTHENTICATED: 401,
  ENTRY_NOT_FOUND: 404,
  SESSION_DELETED: 404,
  SESSION_BUSY: 409,
  TURN_ENDED: 409,
  VERSION_CONFLICT: 409,
  INCARNATION_CHANGED: 409,
  TURN_SUSPENDED: 409,
  LIMIT_EXCEEDED: 413,
  OVERLOADED: 503,
  STORE_BUSY: 503,
  BACKEND_UNAVAILABLE: 503,
};
