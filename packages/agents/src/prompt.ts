import {
  AixgoError,
  type FilePart,
  type Json,
  type Message,
  type Part,
  type ProviderCarry,
  type ToolCallPart,
  type ToolOutput,
  type ToolResultPart,
} from "@aixgo/core";
import { fileData, readAddress } from "./file-address.ts";
import { isRecord } from "./json.ts";
import type {
  ModelFile,
  ModelMessage,
  ModelText,
  ModelToolCall,
  ModelToolContent,
  ModelToolOutput,
  ModelToolResult,
  SpecificationVersion,
} from "./model.ts";

/** What of a message a prompt is made of. */
export type Spoken = Pick<Message, "role" | "parts">;

export interface PromptRequest {
  readonly version: SpecificationVersion;
  readonly instructions?: string;
  readonly history: readonly Spoken[];
  readonly input: Spoken;
  readonly steps: readonly Spoken[];
}

/**
 * Instructions, history, input, steps as the model's prompt. Whatever the log holds, the prompt is one that providers accept:
 * system messages come first; each tool call is followed by exactly one result, in one tool message right after its step;
 * results without a call are left out; ids are unique; nothing is empty.
 */
export function buildPrompt(request: PromptRequest): ModelMessage[] {
  const { version, instructions, history, input, steps } = request;
  const messages = promptOf([...history, asUser(input), ...steps], version);
  return instructions === undefined || instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages];
}

/** The same of messages alone. */
export function promptOf(messages: readonly Spoken[], version: SpecificationVersion): ModelMessage[] {
  const prompt: ModelMessage[] = [];
  for (const { role, parts } of messages) {
    if (role !== "system") continue;
    const texts = parts.flatMap((part) => (part.type === "text" ? [part] : []));
    const content = texts.map(({ text }) => text).join("");
    const carry = texts.reduce<ProviderCarry["providerOptions"]>(
      (all, { providerOptions }) => (providerOptions === undefined ? all : { ...all, ...providerOptions }),
      undefined,
    );
    if (content !== "") prompt.push({ role, content, ...(carry === undefined ? undefined : { providerOptions: carry }) });
  }
  const ids = new Set<string>();
  messages.forEach(({ role, parts }, index) => {
    if (role === "user") {
      const content = spoken(parts, version);
      if (content.length > 0) prompt.push({ role, content });
    } else if (role === "assistant") prompt.push(...step(parts, resultsAfter(messages, index), version, ids));
  });
  return prompt;
}

/** @throws AixgoError `INVALID_INPUT` if the model would be given nothing, or an address that it cannot be sent */
export function checkInput(agent: string, input: Spoken): void {
  const parts = asUser(input).parts;
  for (const part of parts) {
    if (part.type !== "file") continue;
    const address = readAddress(part);
    if ("refused" in address)
      throw new AixgoError("INVALID_INPUT", `agent "${agent}": a file of the input cannot be used: ${address.refused}`);
  }
  if (spoken(parts, "v4").length === 0)
    throw new AixgoError("INVALID_INPUT", `agent "${agent}": the input has no text and no file for the model`);
}

/** The input is what the agent is asked, whoever wrote it: another agent's answer too. */
function asUser(input: Spoken): Spoken {
  return { role: "user", parts: input.parts.filter(({ type }) => type === "text" || type === "file") };
}

/** One assistant message with the results of its calls. */
function step(
  parts: readonly Part[],
  later: ReadonlyMap<string, ToolResultPart>,
  version: SpecificationVersion,
  ids: Set<string>,
): ModelMessage[] {
  const content: (ModelText | ModelFile | ModelToolCall | ModelToolResult)[] = [];
  const results: ModelToolResult[] = [];
  const own = firstResults(parts);
  const seen = new Set<string>();
  for (const part of parts) {
    if (part.type !== "tool-call") {
      content.push(...spoken([part], version, true));
      continue;
    }
    if (seen.has(part.toolCallId)) continue;
    seen.add(part.toolCallId);
    const call = asModelCall(part, ids);
    // A result in the same message: the provider ran the tool itself.
    const byProvider = own.get(part.toolCallId);
    if (byProvider !== undefined) content.push({ ...call, providerExecuted: true }, asModelResult(byProvider, call, version));
    else {
      content.push(call);
      results.push(asModelResult(later.get(part.toolCallId), call, version));
    }
  }
  if (content.length === 0) return [];
  return results.length === 0
    ? [{ role: "assistant", content }]
    : [
        { role: "assistant", content },
        { role: "tool", content: results },
      ];
}

/** Results belong to the nearest assistant message before them: some providers use their ids again. */
export function resultsAfter(messages: readonly Spoken[], assistant: number): ReadonlyMap<string, ToolResultPart> {
  const parts: Part[] = [];
  for (let index = assistant + 1; index < messages.length && messages[index]?.role !== "assistant"; index += 1) {
    if (messages[index]?.role === "tool") parts.push(...(messages[index]?.parts ?? []));
  }
  return firstResults(parts);
}

/** The first result of each call that says more than `interrupted`; else the last. */
function firstResults(parts: readonly Part[]): Map<string, ToolResultPart> {
  const results = new Map<string, ToolResultPart>();
  for (const part of parts) {
    if (part.type !== "tool-result") continue;
    const earlier = results.get(part.toolCallId);
    if (earlier === undefined || earlier.output.type === "interrupted") results.set(part.toolCallId, part);
  }
  return results;
}

function asModelCall(part: ToolCallPart, ids: Set<string>): ModelToolCall {
  let toolCallId = part.toolCallId === "" ? "call" : part.toolCallId;
  for (let copy = 2; ids.has(toolCallId); copy += 1) toolCallId = `${part.toolCallId === "" ? "call" : part.toolCallId}_${copy}`;
  ids.add(toolCallId);
  // A model may ask for a name that its own provider refuses to be shown again.
  const toolName = part.toolName.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64) || "unknown";
  // What could not be parsed is stored as text; providers accept objects only.
  const input: Json = isRecord(part.input) ? part.input : { input: part.input };
  return { type: "tool-call", toolCallId, toolName, input, ...carried(part) };
}

function asModelResult(result: ToolResultPart | undefined, call: ModelToolCall, version: SpecificationVersion): ModelToolResult {
  const output = asModelOutput(result?.output ?? { type: "interrupted" }, version);
  return {
    type: "tool-result",
    toolCallId: call.toolCallId,
    toolName: call.toolName,
    output,
    ...(result === undefined ? undefined : carried(result)),
  };
}

function asModelOutput(output: ToolOutput, version: SpecificationVersion): ModelToolOutput {
  switch (output.type) {
    case "text":
    case "error-text":
      return { type: output.type, value: output.value };
    case "json":
    case "error-json":
      return { type: output.type, value: output.value };
    case "execution-denied":
      return output.reason === undefined ? { type: output.type } : { type: output.type, reason: output.reason };
    case "interrupted":
      return {
        type: "error-text",
        value: `Interrupted, outcome unknown: the call may or may not have taken effect.${output.reason === undefined ? "" : ` (${output.reason})`}`,
      };
    case "content": {
      const value = output.value.flatMap((part) => asToolContent(part, version));
      return value.length === 0 ? { type: "text", value: "" } : { type: "content", value };
    }
    default:
      // From a newer writer: shown as it is.
      return { type: "json", value: output as Json };
  }
}

function asToolContent(part: Part, version: SpecificationVersion): ModelToolContent[] {
  if (part.type === "text" || part.type === "reasoning") return part.text === "" ? [] : [{ type: "text", text: part.text }];
  if (part.type !== "file") return [];
  const file = asModelFile(part, version);
  if (!("data" in file) || version === "v4") return [file];
  const kind = part.mediaType.startsWith("image/") ? "image" : "file";
  if (file.data instanceof URL) return [{ type: `${kind}-url`, url: file.data.href }];
  return [
    {
      type: `${kind}-data`,
      data: file.data as string,
      mediaType: file.mediaType,
      ...(file.filename === undefined ? undefined : { filename: file.filename }),
    },
  ];
}

/** Text, files and, for the assistant, reasoning; `data-…` parts are for applications. */
function spoken(parts: readonly Part[], version: SpecificationVersion, reasoning = false): (ModelText | ModelFile)[] {
  return parts.flatMap((part): (ModelText | ModelFile)[] => {
    if (part.type === "file") return [asModelFile(part, version)];
    if (part.type !== "text" && (part.type !== "reasoning" || !reasoning)) return [];
    // Providers refuse empty text, but an empty reasoning may carry a signature.
    if (part.text === "" && !(reasoning && part.providerOptions !== undefined)) return [];
    return [{ type: part.type, text: part.text, ...carried(part) }];
  });
}

/** A file that cannot be sent is told in its place: one bad part must not brick the conversation for good. */
function asModelFile(part: FilePart, version: SpecificationVersion): ModelFile | ModelText {
  const address = readAddress(part);
  if ("refused" in address) return { type: "text", text: `[a file of type ${part.mediaType} was left out: ${address.refused}]` };
  return {
    type: "file",
    mediaType: part.mediaType,
    data: fileData(address, version),
    ...(part.filename === undefined ? undefined : { filename: part.filename }),
    ...carried(part),
  };
}

function carried({ providerOptions }: ProviderCarry): ProviderCarry {
  return providerOptions === undefined ? {} : { providerOptions };
}
