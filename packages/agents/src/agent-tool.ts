import { createHash } from "node:crypto";
import { isAixgoError, type Json, type Principal, type Reply, type Runtime, type SuspendRequest } from "@aixgo/core";
import { isRecord } from "./json.ts";
import { check, type Checks, flag, invalid, methods, words } from "./option-check.ts";
import type { StandardInput, Tool, ToolContext } from "./tool.ts";

/** Of a session manager, what the conversations of an agent's tools need. A `SessionManager` of `@aixgo/session` fits. */
export interface AgentToolSessions {
  create(
    agentName: string,
    options: { readonly key: string; readonly onKey: "get"; readonly userId?: string; readonly metadata: { readonly [key: string]: Json } },
  ): Promise<{ readonly id: string }>;
  as(principal: Principal): AgentToolSessions;
}

export interface AgentToolOptions {
  /** The name under which the agent is registered. */
  readonly agent: string;
  /** Tells the model what the agent is good for. */
  readonly description: string;
  /** Lends the agent the conversation of the one that calls it, read-only. Not with `sessions`. @default false */
  readonly history?: boolean;
  /** Calls the agent where it has a session. Given together with `sessions`. */
  readonly runtime?: Pick<Runtime, "callWithSession" | "resume">;
  /**
   * Each call has a session of its own, with `metadata.parent` (`sessionId`, `turnId`, `toolCallId`): it goes on where it was after a
   * crash, and its agent's questions become questions of the turn that called it. In a call without a session there is none.
   */
  readonly sessions?: AgentToolSessions;
}

const CHECKS: Checks<AgentToolOptions> = {
  agent: words,
  description: words,
  history: flag,
  runtime: methods("callWithSession", "resume"),
  sessions: methods("create", "as"),
};

const MAX_REQUEST_ID = 512;
const MAX_REASON = 4096;
const TASK = "What is to be done, with all that must be known for it.";

interface Task {
  readonly task: string;
}

const TASK_SCHEMA: StandardInput<Task> = {
  "~standard": {
    version: 1,
    vendor: "aixgo",
    validate: (value) =>
      isRecord(value) && typeof value["task"] === "string" && value["task"].trim() !== ""
        ? { value: { task: value["task"] } }
        : { issues: [{ message: "must be a text that is not empty", path: ["task"] }] },
  },
};

/**
 * An agent as a tool of another: the model gives it a `task`, and is told what it answers.
 *
 * Without `sessions` it is a sub-call, `context.call`: it inherits deadline and cancel, and begins anew when the turn is continued
 * after a crash. With them it is a turn of its own, which is continued. When a tool of the agent needs approval, or the agent suspends,
 * the calling turn is suspended with the same questions (`data` is `{ type: "agent-request", agent, sessionId, requestId, data? }`) and
 * `runtime.resume` of the calling turn's session answers them. What goes wrong in the agent is told to the model.
 *
 * The call has no time limit but that of the agent's own call: set `timeoutMs` on what this returns, as everything else of a tool:
 * `{ ...createAgentTool(…), needsApproval: true }`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createAgentTool(options: AgentToolOptions): Tool<Task> {
  check("createAgentTool", "", CHECKS, options, ["agent", "description"]);
  const { agent, description, history = false, runtime, sessions } = options;
  if ((runtime === undefined) !== (sessions === undefined))
    throw invalid("createAgentTool", `${runtime === undefined ? "runtime" : "sessions"} is missing: a session of its own needs both`);
  if (history && sessions !== undefined)
    throw invalid("createAgentTool", "history must be left out where there are sessions: the agent has a conversation of its own");
  const owned = runtime === undefined || sessions === undefined ? undefined : { agent, runtime, sessions };
  return {
    description,
    inputSchema: TASK_SCHEMA,
    jsonSchema: {
      type: "object",
      properties: { task: { type: "string", description: TASK } },
      required: ["task"],
      additionalProperties: false,
    },
    timeoutMs: Infinity,
    async execute({ task }, context) {
      if (owned !== undefined && context.session !== undefined) return inOwnSession(owned, task, context, context.session);
      return (await context.call(agent, task, { history })).text;
    },
  };
}

interface Owned {
  readonly agent: string;
  readonly runtime: NonNullable<AgentToolOptions["runtime"]>;
  readonly sessions: AgentToolSessions;
}

async function inOwnSession(
  { agent, runtime, sessions }: Owned,
  task: string,
  context: ToolContext,
  { id: sessionId, turnId, userId }: NonNullable<ToolContext["session"]>,
): Promise<string> {
  const { toolCallId, principal, signal } = context;
  const owner = principal === undefined ? sessions : sessions.as(principal);
  // Providers use the ids of calls again: a call is known by its step, too, which is the same in each attempt.
  const step = (await context.steps()).filter(({ role }) => role === "assistant").length;
  const { id } = await owner.create(agent, {
    key: `tool:${digest([sessionId, turnId, step, toolCallId])}`,
    onKey: "get",
    metadata: { parent: { sessionId, turnId, toolCallId } },
    ...(principal === undefined && userId !== undefined ? { userId } : undefined),
  });
  const as = { signal, ...(principal === undefined ? undefined : { principal }) };
  let reply = await runtime.callWithSession(agent, task, id, { ...as, turnKey: "task" });
  for (let open = openIn(reply); open.length > 0; open = openIn(reply)) {
    const decisions = await askAll(
      open.map((request) => forwarded(request, agent, id)),
      context,
    );
    for (const [index, { requestId }] of open.entries()) reply = await runtime.resume(id, requestId, decisions[index] as Json, as);
  }
  return reply.text;
}

function openIn({ turn }: Reply): readonly SuspendRequest[] {
  return turn?.status === "suspended" ? (turn.requests ?? []) : [];
}

/** All are asked before the turn is suspended. */
async function askAll(requests: readonly SuspendRequest[], context: ToolContext): Promise<readonly Json[]> {
  const outcomes = await Promise.allSettled(requests.map((request) => context.suspend(request)));
  const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
  if (errors.length > 0) throw errors.find((error) => !isAixgoError(error, "TURN_SUSPENDED")) ?? errors[0];
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<Json>).value);
}

/** The agent's question as one of the turn that called it. Its session is this call's alone, so the id is no other's. */
function forwarded({ requestId, reason, data }: SuspendRequest, agent: string, sessionId: string): SuspendRequest {
  const id = `${sessionId}.${requestId}`;
  return {
    requestId: id.length > MAX_REQUEST_ID ? `${sessionId}.${digest([requestId])}` : id,
    // A character that was cut in half is none.
    reason: `${agent}: ${reason}`.slice(0, MAX_REASON).replace(/[\uD800-\uDBFF]$/, ""),
    data: { type: "agent-request", agent, sessionId, requestId, ...(data === undefined ? undefined : { data }) },
  };
}

function digest(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
}
