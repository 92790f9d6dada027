import { createHash } from "node:crypto";
import type { AgentContext, Json, SuspendRequest, ToolApproval, ToolCallPart } from "@aixgo/core";
import { isRecord } from "./json.ts";

/** What `runtime.resume` is given for a call that needs approval. Anything else denies it. */
export type Approval = boolean | { readonly approved: boolean; readonly reason?: string };

const MAX_CALL_ID = 256;
const NOT_UNDERSTOOD = "the answer was neither true, false nor { approved, reason }";

/** How a person is asked. The id is the same in each attempt, and no other call of the session has it: providers use their own again. */
export function approvalRequest(call: ToolCallPart, step: number, context: Pick<AgentContext, "session">): SuspendRequest {
  const { toolCallId, toolName, input } = call;
  const callId = toolCallId.length > MAX_CALL_ID ? createHash("sha256").update(toolCallId).digest("base64url") : toolCallId;
  return {
    requestId: `${context.session?.turnId ?? ""}.${step}.${callId}`,
    reason: `The tool ${JSON.stringify(toolName)} needs approval.`,
    data: { type: "tool-approval", toolCallId, toolName, input } satisfies ToolApproval,
  };
}

/** Undefined: the call is approved. Otherwise it is not, for this reason, if one was given. */
export function denialOf(decision: Json): { readonly reason?: string } | undefined {
  if (decision === true) return undefined;
  if (decision === false) return {};
  if (!isRecord(decision) || typeof decision["approved"] !== "boolean") return { reason: NOT_UNDERSTOOD };
  if (decision["approved"]) return undefined;
  const { reason } = decision;
  return typeof reason === "string" && reason !== "" ? { reason } : {};
}
