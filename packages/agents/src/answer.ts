import { randomBytes } from "node:crypto";
import {
  AixgoError,
  type AgentEvent,
  type DataPart,
  type FilePart,
  type Json,
  type Part,
  type ProviderCarry,
  type ToolCallPart,
  type ToolResultPart,
  type Usage,
} from "@aixgo/core";
import { isRecord, toJson, wellFormed } from "./json.ts";

/** What a model answered in one step. */
export interface Answer {
  readonly message: { readonly role: "assistant"; readonly parts: readonly Part[]; readonly metadata?: { readonly [key: string]: Json } };
  /** The calls that are ours to run; those that the provider ran itself are not among them. */
  readonly calls: readonly ToolCallPart[];
  readonly usage?: Usage;
}

/** Collects the parts of one stream. */
export interface AnswerCollector {
  /** Takes the next part; returns what is to be shown of it. Parts of unknown shape are passed over. */
  take(part: unknown): AgentEvent | undefined;
  /** After the part that ends a stream. */
  readonly finished: boolean;
  /** @throws Error if the stream ended without content and without saying that it is finished */
  end(): Answer;
}

/** No answer, or none to the end: another call may bring one. */
class BrokenAnswer extends Error {
  override readonly name = "BrokenAnswer";
  readonly isRetryable = true;
}

/** A text that still grows. `carry` is the provider's data, as it came with start, deltas and end. */
interface OpenText {
  readonly type: "text" | "reasoning";
  text: string;
  carry: ProviderCarry;
}
type Draft = OpenText | FilePart | DataPart | ToolResultPart | (ToolCallPart & { readonly byProvider?: true });

/** Of a part beside its text: so that empty parts without end meet the limit too. */
const PART_BYTES = 64;
/** Reasons that need no telling. */
const USUAL: ReadonlySet<unknown> = new Set(["stop", "tool-calls"]);

/**
 * The raw input of a call that is no JSON is kept as text: the model is told, and the log shows what came.
 */
export function createAnswerCollector(maxBytes: number): AnswerCollector {
  const drafts: Draft[] = [];
  const open = new Map<string, OpenText>();
  const calls = new Map<string, ToolCallPart>();
  let bytes = 0;
  let finish: { readonly reason: string; readonly usage: Usage | undefined } | undefined;

  const count = (more: number): void => {
    bytes += more;
    if (bytes > maxBytes) throw new AixgoError("LIMIT_EXCEEDED", `the model's answer is longer than maxResponseBytes (${maxBytes})`);
  };
  const add = <D extends Draft>(draft: D, size: number): D => {
    count(PART_BYTES + size);
    drafts.push(draft);
    return draft;
  };
  const sized = <D extends Draft>(draft: D): D => add(draft, Buffer.byteLength(JSON.stringify(draft)));
  const start = (type: OpenText["type"], id: string): OpenText => {
    const text = add({ type, text: "", carry: {} }, 0);
    open.set(`${type}:${id}`, text);
    return text;
  };

  function takeText(type: OpenText["type"], phase: string, part: Foreign): AgentEvent | undefined {
    const id = String(part["id"]);
    // A start without an end before it, or a delta without a start: providers do both.
    const text = (phase === "start" ? undefined : open.get(`${type}:${id}`)) ?? (phase === "end" ? undefined : start(type, id));
    if (text === undefined) return undefined;
    const carry = carryOf(part);
    if (carry.providerOptions !== undefined) {
      text.carry = merge(text.carry, carry.providerOptions);
      count(Buffer.byteLength(JSON.stringify(carry)));
    }
    if (phase === "end") open.delete(`${type}:${id}`);
    const delta = part["delta"];
    if (phase !== "delta" || typeof delta !== "string" || delta === "") return undefined;
    count(Buffer.byteLength(delta));
    text.text += delta;
    return { type: `${type}-delta`, text: delta };
  }

  function takeCall(part: Foreign): void {
    const toolName = typeof part["toolName"] === "string" && part["toolName"] !== "" ? wellFormed(part["toolName"]) : "unknown";
    const call: ToolCallPart = {
      type: "tool-call",
      toolCallId: idOf(part["toolCallId"]),
      toolName,
      input: readInput(part["input"]),
      ...carryOf(part),
    };
    if (part["providerExecuted"] === true) {
      sized({ ...call, byProvider: true });
      return;
    }
    const twin = calls.get(call.toolCallId);
    // The same call sent twice is one call; another call under the same id gets its own.
    if (twin !== undefined && twin.toolName === call.toolName && JSON.stringify(twin.input) === JSON.stringify(call.input)) return;
    const unique = twin === undefined ? call : { ...call, toolCallId: newCallId() };
    calls.set(unique.toolCallId, sized(unique));
  }

  function takeProviderResult(part: Foreign): void {
    if (part["preliminary"] === true) return;
    const call = drafts.find(
      (draft) => draft.type === "tool-call" && draft.byProvider === true && draft.toolCallId === part["toolCallId"],
    ) as ToolCallPart | undefined;
    if (call === undefined) return;
    const output = { type: part["isError"] === true ? "error-json" : "json", value: orNull(part["result"]) } as const;
    sized({ type: "tool-result", toolCallId: call.toolCallId, toolName: call.toolName, output, ...carryOf(part) });
  }

  return {
    get finished() {
      return finish !== undefined;
    },
    take(part) {
      if (!isRecord(part)) return undefined;
      const { type } = part;
      switch (type) {
        case "text-start":
        case "text-delta":
        case "text-end":
          return takeText("text", type.slice(5), part);
        case "reasoning-start":
        case "reasoning-delta":
        case "reasoning-end":
          return takeText("reasoning", type.slice(10), part);
        case "tool-call":
          takeCall(part);
          return undefined;
        case "tool-result":
          takeProviderResult(part);
          return undefined;
        case "file": {
          const file = asFile(part);
          if (file !== undefined) sized(file);
          return undefined;
        }
        case "source": {
          // For applications, which show where an answer comes from; never sent back.
          const { type: _type, providerMetadata: _metadata, ...source } = part;
          sized({ type: "data-source", data: orNull(source) });
          return undefined;
        }
        case "error":
          throw part["error"] ?? new Error("the stream brought an error without content");
        case "finish":
          finish = { reason: reasonOf(part["finishReason"]), usage: usageOf(part["usage"]) };
          return undefined;
        default:
          return undefined;
      }
    },
    end() {
      const answered = new Set(drafts.map((draft) => (draft.type === "tool-result" ? draft.toolCallId : "")));
      const parts = drafts.flatMap((draft): Part[] => {
        if (draft.type === "tool-call") {
          const { byProvider, ...call } = draft;
          return byProvider === true && !answered.has(call.toolCallId) ? [] : [call];
        }
        if (!("carry" in draft)) return [draft];
        const { type, text, carry } = draft;
        return text === "" && carry.providerOptions === undefined ? [] : [{ type, text: wellFormed(text), ...carry }];
      });
      const reason = finish?.reason ?? "unknown";
      if (reason === "error") throw new BrokenAnswer("the model ended its answer with an error");
      if (parts.length === 0 && (finish === undefined || reason === "tool-calls"))
        throw new BrokenAnswer("the model's stream ended without an answer");
      // A message has a part, and an empty answer is one: providers give it after a tool whose result needs no words.
      if (parts.length === 0) parts.push({ type: "text", text: "" });
      const metadata = USUAL.has(reason) ? undefined : { metadata: { finishReason: reason } };
      return {
        message: { role: "assistant", parts, ...metadata },
        calls: [...calls.values()],
        ...(finish?.usage === undefined ? undefined : { usage: finish.usage }),
      };
    },
  };
}

type Foreign = { readonly [key: string]: unknown };

function idOf(id: unknown): string {
  return typeof id === "string" && id !== "" ? wellFormed(id) : newCallId();
}

function newCallId(): string {
  return `call_${randomBytes(12).toString("base64url")}`;
}

/** No input is the empty input: providers send it so for functions without parameters. */
function readInput(input: unknown): Json {
  if (typeof input !== "string") return input === undefined ? {} : orNull(input);
  if (input.trim() === "") return {};
  try {
    return toJson(JSON.parse(input));
  } catch {
    return wellFormed(input);
  }
}

function carryOf(part: Foreign): ProviderCarry {
  const metadata = part["providerMetadata"];
  if (!isRecord(metadata)) return {};
  const options = orNull(metadata);
  return isRecord(options) && Object.keys(options).length > 0 ? { providerOptions: options } : {};
}

/** Later data wins, name by name: a signature comes with the end, an id with the start. */
function merge(carry: ProviderCarry, more: NonNullable<ProviderCarry["providerOptions"]>): ProviderCarry {
  const merged: { [provider: string]: Json } = { ...carry.providerOptions };
  for (const [provider, data] of Object.entries(more)) {
    const before = merged[provider];
    merged[provider] = isRecord(before) && isRecord(data) ? { ...before, ...data } : data;
  }
  return { providerOptions: merged };
}

function asFile(part: Foreign): FilePart | undefined {
  const { data, mediaType } = part;
  if (typeof mediaType !== "string" || mediaType === "") return undefined;
  // Version 4 says what its data is.
  const content: unknown = isRecord(data) && "data" in data ? data["data"] : isRecord(data) && "url" in data ? data["url"] : data;
  if (content instanceof URL)
    return content.protocol !== "https:" ? undefined : { type: "file", mediaType, url: content.href, ...carryOf(part) };
  const base64 = content instanceof Uint8Array ? Buffer.from(content).toString("base64") : content;
  return typeof base64 === "string" ? { type: "file", mediaType, url: `data:${mediaType};base64,${base64}`, ...carryOf(part) } : undefined;
}

function reasonOf(reason: unknown): string {
  const unified: unknown = isRecord(reason) ? reason["unified"] : reason;
  return typeof unified === "string" && /^[a-z-]{1,32}$/.test(unified) ? unified : "unknown";
}

function usageOf(usage: unknown): Usage | undefined {
  if (!isRecord(usage)) return undefined;
  const inputTokens = tokens(usage["inputTokens"]);
  const outputTokens = tokens(usage["outputTokens"]);
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  return { ...(inputTokens === undefined ? undefined : { inputTokens }), ...(outputTokens === undefined ? undefined : { outputTokens }) };
}

function tokens(count: unknown): number | undefined {
  const total: unknown = isRecord(count) ? count["total"] : count;
  return typeof total === "number" && Number.isFinite(total) && total >= 0 ? total : undefined;
}

/** Provider data that is no JSON is none. */
function orNull(value: unknown): Json {
  try {
    return toJson(value);
  } catch {
    return null;
  }
}
