import { foreign, inside, list, name, type Place, refused, string } from "./foreign-message.ts";
import type { UIMessageInput } from "./from-ui-messages.ts";

/** A person's answer to a request, for `runtime.resume(sessionId, requestId, decision)`. */
export interface ApprovalAnswer {
  readonly requestId: string;
  readonly decision: { readonly approved: boolean; readonly reason?: string };
}

/**
 * The answers in the assistant's message that `useChat` of the AI SDK 6 sends when `addToolApprovalResponse` was called, in the order of
 * the calls; none if it has none. Of the message nothing else is looked at: what is approved is the call as it was stored.
 *
 * Answers that were sent before are among them as long as the client does not know what became of their calls.
 *
 * @throws AixgoError `INVALID_INPUT` naming the part, also if one request is answered in two ways
 */
export function approvalsIn(message: UIMessageInput): ApprovalAnswer[] {
  const place: Place = { text: "approvalsIn: message" };
  const { role, parts } = foreign(message, place);
  if (role !== "assistant") throw refused(inside(place, ".role"), "is not assistant: answers come in the message that asked");
  const answers = new Map<string, ApprovalAnswer>();
  list(parts, inside(place, ".parts")).forEach((part, index) => {
    const at = inside(place, `.parts[${index}]`);
    const { state, approval } = foreign(part, at);
    if (state !== "approval-responded") return;
    const here = inside(at, ".approval");
    const { id, approved, reason } = foreign(approval, here);
    const requestId = name(id, inside(here, ".id"));
    if (typeof approved !== "boolean") throw refused(inside(here, ".approved"), "is not true or false");
    const earlier = answers.get(requestId);
    if (earlier !== undefined && earlier.decision.approved !== approved)
      throw refused(here, `answers request ${JSON.stringify(requestId.slice(0, 80))} in another way than a part before`);
    const why = reason === undefined || reason === null ? "" : string(reason, inside(here, ".reason"));
    if (earlier === undefined) answers.set(requestId, { requestId, decision: { approved, ...(why === "" ? {} : { reason: why }) } });
  });
  return [...answers.values()];
}
