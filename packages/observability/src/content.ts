import { scrub } from "./scrub.ts";

/** Messages as the conventions write them: system messages apart from the others. */
export interface WrittenMessages {
  readonly messages: string;
  readonly instructions?: string;
}

type Foreign = Readonly<Record<string, unknown>>;

/** What `content` hands over, without secrets, as JSON of at most `maxBytes`: of messages the last ones that fit. */
export function writeMessages(content: unknown, maxBytes: number): WrittenMessages {
  const all = (Array.isArray(content) ? content : [content]).filter(isRecord);
  const instructions = all.filter(({ role }) => role === "system").flatMap(partsOf);
  const omitted = (count: number): object => ({ type: "omitted", count });
  return {
    messages: writeList(
      all.filter(({ role }) => role !== "system").map((message) => ({ role: message["role"], parts: partsOf(message) })),
      maxBytes,
      (count) => ({ role: "system", parts: [omitted(count)] }),
    ),
    ...(instructions.length === 0 ? undefined : { instructions: writeList(instructions, maxBytes, omitted) }),
  };
}

/** One value: the input of a tool, or its result. */
export function writeValue(value: unknown, maxBytes: number): string {
  const text = JSON.stringify(scrub(value)) ?? "null";
  return fits(text, maxBytes) ? text : JSON.stringify({ omitted: `${Buffer.byteLength(text)} bytes` });
}

/** Each message is scrubbed alone: the bounds of one must not cut the others. */
function writeList(items: readonly unknown[], maxBytes: number, omitted: (count: number) => object): string {
  const kept: string[] = [];
  let left = maxBytes - 2;
  for (let index = items.length - 1; index >= 0; index -= 1) {
    const text = JSON.stringify(scrub(items[index]));
    left -= Buffer.byteLength(text) + 1;
    if (left < 0) {
      kept.push(JSON.stringify(omitted(index + 1)));
      break;
    }
    kept.push(text);
  }
  return `[${kept.reverse().join(",")}]`;
}

function fits(text: string, maxBytes: number): boolean {
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes;
}

/** Both of a message of ours, which has `parts`, and of a model's prompt, which has `content`. */
function partsOf(message: Foreign): readonly object[] {
  const given = message["parts"] ?? message["content"];
  if (typeof given === "string") return [{ type: "text", content: given }];
  return Array.isArray(given) ? given.filter(isRecord).map(partOf) : [];
}

function partOf(part: Foreign): object {
  const { type } = part;
  switch (type) {
    case "text":
    case "reasoning":
      return { type, content: part["text"] };
    case "tool-call":
      return { type: "tool_call", id: part["toolCallId"], name: part["toolName"], arguments: part["input"] };
    case "tool-result":
      return { type: "tool_call_response", id: part["toolCallId"], response: part["output"] };
    case "file":
      return fileOf(part);
    default:
      return { type, content: part["data"] };
  }
}

/** Never the bytes of a file. */
function fileOf({ mediaType, url, data }: Foreign): object {
  const at = isRecord(data) ? (data["url"] ?? data["data"]) : (url ?? data);
  const uri = at instanceof URL ? at.href : at;
  const isAddress = typeof uri === "string" && /^(?:https?|attachment):/.test(uri);
  return isAddress
    ? { type: "uri", mime_type: mediaType, modality: modalityOf(mediaType), uri }
    : { type: "blob", mime_type: mediaType, modality: modalityOf(mediaType), content: "" };
}

function modalityOf(mediaType: unknown): string {
  return typeof mediaType === "string" ? (/^(?:image|video|audio)(?=\/)/.exec(mediaType)?.[0] ?? "document") : "document";
}

function isRecord(value: unknown): value is Foreign {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
