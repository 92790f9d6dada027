import { AixgoError, type Json } from "@aixgo/core";
import { isRecord, toJson } from "./json.ts";
import type { Tool } from "./tool.ts";

/** The dialect that model providers understand. */
const TARGET = { target: "draft-07" };

/**
 * The JSON Schema that the model is shown: `jsonSchema` if given, else what the schema library converts.
 *
 * @throws AixgoError `INVALID_OPTION` naming the tool
 */
export function jsonSchemaOf(name: string, tool: Tool): { readonly [key: string]: Json } {
  const json = schemaAsJson(`tools.${name}`, tool);
  // No provider accepts a function whose input is anything else.
  if ("type" in json && json["type"] !== "object")
    throw invalid(`tools.${name}`, `its input must be an object, not ${JSON.stringify(json["type"])}`);
  return json;
}

/** The same of any schema. `name` is the option that holds it. */
export function schemaAsJson(name: string, tool: Pick<Tool, "inputSchema" | "jsonSchema">): { readonly [key: string]: Json } {
  const schema = tool.jsonSchema ?? convert(name, tool.inputSchema);
  let json: Json;
  try {
    json = toJson(schema);
  } catch (cause) {
    throw invalid(name, `its JSON Schema is not JSON: it ${(cause as Error).message}`, cause);
  }
  if (!isRecord(json)) throw invalid(name, "its JSON Schema is not an object");
  return json;
}

function convert(name: string, schema: Tool["inputSchema"]): unknown {
  const standard = schema["~standard"] as { readonly jsonSchema?: { readonly input?: unknown } };
  try {
    // Standard JSON Schema: zod from 4.2, arktype, valibot through its converter.
    if (typeof standard.jsonSchema?.input === "function") return standard.jsonSchema.input(TARGET);
    const own = (schema as { readonly toJSONSchema?: unknown }).toJSONSchema;
    if (typeof own === "function") return own.call(schema, { ...TARGET, io: "input" });
  } catch (cause) {
    throw invalid(name, "its inputSchema cannot be converted to JSON Schema; give jsonSchema beside it", cause);
  }
  throw invalid(name, "its inputSchema has no JSON Schema of its own (zod has from 4.2); give jsonSchema beside it");
}

function invalid(name: string, problem: string, cause?: unknown): AixgoError {
  return new AixgoError("INVALID_OPTION", `${name}: ${problem}`, cause === undefined ? {} : { cause });
}
