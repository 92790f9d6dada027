import { checkedString, copyJson, invalid, isPlainObject, kindOf } from "./json.ts";
import type { Json } from "./message.ts";

/** A question that a turn waits with until somebody answers it. */
export interface SuspendRequest {
  /**
   * Names the question when it is answered, and when the agent runs again: the same work must ask under the same id. Unique in the
   * session, with the turn's id in it for example, so that an answer that arrives late cannot meet another question: an id that was
   * answered or withdrawn in another turn is refused. 1 to 512 characters.
   */
  readonly requestId: string;
  /** For the person who is asked. 1 to 4096 characters. */
  readonly reason: string;
  /** For the program that shows the question. */
  readonly data?: Json;
}

/** A question of a turn that waits, with its answer if it has one: the turn goes on when the last has. */
export interface WaitingRequest extends SuspendRequest {
  readonly decision?: Json;
}

/**
 * What `data` of a request holds that asks whether a call may run: whoever asks so is shown as an approval by `toResponse` and
 * `toUIMessages`, whatever agent it is. The answer is `{ approved, reason? }`.
 */
export interface ToolApproval {
  readonly type: "tool-approval";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: Json;
}

/** Undefined: the request asks something else. */
export function toolApprovalOf({ data }: Pick<SuspendRequest, "data">): ToolApproval | undefined {
  if (!isPlainObject(data) || data["type"] !== "tool-approval") return undefined;
  const { toolCallId, toolName, input } = data;
  if (typeof toolCallId !== "string" || toolCallId === "" || typeof toolName !== "string" || toolName === "") return undefined;
  return { type: "tool-approval", toolCallId, toolName, input: input ?? null };
}

const MAX_ID_LENGTH = 512;
const MAX_REASON_LENGTH = 4_096;
const KEYS: ReadonlySet<string> = new Set(["requestId", "reason", "data"]);

/**
 * The request, checked and copied.
 * @throws AixgoError `INVALID_INPUT`, naming the place
 */
export function toSuspendRequest(request: SuspendRequest): SuspendRequest {
  const given: unknown = request;
  if (!isPlainObject(given)) throw invalid("request", `is ${kindOf(given)}, not an object with requestId and reason`);
  const unknown = Object.keys(given).find((key) => !KEYS.has(key) && given[key] !== undefined);
  if (unknown !== undefined) throw invalid(`request.${unknown}`, "is not a member of requests; put what is your own into data");
  return {
    requestId: bounded(given["requestId"], "request.requestId", MAX_ID_LENGTH),
    reason: bounded(given["reason"], "request.reason", MAX_REASON_LENGTH),
    ...(given["data"] === undefined ? undefined : { data: copyJson(given["data"], "request.data", { values: 0 }) }),
  };
}

/**
 * An answer to a request, checked and copied: as in messages, members that are undefined are left out.
 * @throws AixgoError `INVALID_INPUT`, naming the place
 */
export function toDecision(decision: Json): Json {
  return copyJson(decision, "decision", { values: 0 });
}

function bounded(value: unknown, path: string, most: number): string {
  const text = checkedString(value, path);
  if (text === "" || text.length > most) throw invalid(path, `must have 1 to ${most} characters`);
  return text;
}
