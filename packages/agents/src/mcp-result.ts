import type { Json, Part, ToolOutput } from "@aixgo/core";
import { isRecord } from "./json.ts";

/** What an MCP server answered to a call, as the model is told: texts, images, audio and resources; `isError` as an error. */
export function mcpOutput(result: Json): ToolOutput {
  const { content, structuredContent, isError } = isRecord(result) ? result : {};
  const parts = (Array.isArray(content) ? content : []).map(contentPart);
  if (isError === true) {
    const text = parts.map((part) => (part.type === "text" ? part.text : `[${part.type}]`)).join("\n");
    return { type: "error-text", value: text === "" ? "The tool failed without words." : text };
  }
  if (parts.length === 0) return structuredContent === undefined ? { type: "text", value: "" } : { type: "json", value: structuredContent };
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? { type: "text", value: only.text } : { type: "content", value: parts };
}

function contentPart(content: unknown): Part {
  const { type, text, data, mimeType, resource, uri, name } = isRecord(content) ? content : {};
  switch (type) {
    case "text":
      return { type: "text", text: String(text) };
    case "image":
    case "audio":
      return file(data, mimeType);
    case "resource": {
      const inner = isRecord(resource) ? resource : {};
      return typeof inner["text"] === "string"
        ? { type: "text", text: inner["text"] }
        : file(inner["blob"], inner["mimeType"], inner["uri"]);
    }
    case "resource_link":
      return { type: "text", text: `[resource ${String(name)}: ${String(uri)}${typeof mimeType === "string" ? ` (${mimeType})` : ""}]` };
    default:
      return { type: "text", text: `[content of type ${JSON.stringify(type)?.slice(0, 100)} was left out]` };
  }
}

function file(base64: unknown, mimeType: unknown, uri?: unknown): Part {
  const mediaType = typeof mimeType === "string" && mimeType !== "" ? mimeType : "application/octet-stream";
  const filename = typeof uri === "string" ? /([^/]+)\/?$/.exec(uri)?.[1] : undefined;
  return { type: "file", mediaType, url: `data:${mediaType};base64,${String(base64)}`, ...(filename === undefined ? {} : { filename }) };
}
